"""Input objects of which exactly one field must be given."""

from __future__ import annotations

import pytest

from tests.factories import World

ORDER = "query ($order: [TaskOrder!]) { tasks(orderBy: $order) { totalCount } }"


@pytest.mark.parametrize("order", [{}, {"title": {}, "number": {}}], ids=["none", "two"])
async def test_none_and_several_are_refused_in_words_for_the_client(
    order: dict[str, object], world: World
) -> None:
    ada = await world.person()
    reply = await world.run(ORDER, ada, order=[order])
    assert reply.codes == ["BAD_USER_INPUT"]
    assert "exactly one" in reply.errors[0]["message"]


@pytest.mark.parametrize("fields", ["", "title: {} number: {}"], ids=["none", "two"])
async def test_literals_too(fields: str, world: World) -> None:
    ada = await world.person()
    reply = await world.run(f"{{ tasks(orderBy: [{{{fields}}}]) {{ totalCount }} }}", ada)
    assert reply.codes == ["BAD_USER_INPUT"]
    assert "exactly one" in reply.errors[0]["message"]
