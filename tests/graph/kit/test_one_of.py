"""Input objects of which exactly one field must be given."""

from __future__ import annotations

import pytest

from tests.factories import World

ORDER = "query ($order: [TaskOrder!]) { tasks(orderBy: $order) { totalCount } }"


@pytest.mark.parametrize(
    ("order", "place"),
    [({}, "[1]"), ({"title": "ASC", "number": "ASC"}, "[1]"), ({"title": None}, "[1].title")],
    ids=["none", "two", "null"],
)
async def test_none_and_several_are_refused_with_their_place(
    order: dict[str, object], place: str, world: World
) -> None:
    ada = await world.person()
    reply = await world.run(ORDER, ada, order=[{"number": "ASC"}, order])
    assert reply.codes == ["BAD_USER_INPUT"]
    message = reply.errors[0]["message"]
    assert f"$order' has invalid value at {place}: " in message
    assert "exactly one field" in message


@pytest.mark.parametrize("fields", ["", "title: ASC number: ASC", "title: null"])
async def test_literals_too(fields: str, world: World) -> None:
    ada = await world.person()
    reply = await world.run(f"{{ tasks(orderBy: [{{{fields}}}]) {{ totalCount }} }}", ada)
    assert reply.codes == ["GRAPHQL_VALIDATION_FAILED"]
    assert "exactly one field" in reply.errors[0]["message"]


async def test_a_variable_that_may_be_null_is_one_of_them_when_it_is_not(world: World) -> None:
    ada = await world.person()
    text = "query ($title: SortOrder) { tasks(orderBy: [{title: $title}]) { totalCount } }"
    assert (await world.run(text, ada, title="DESC")).good["tasks"]["totalCount"] == 0
    assert (await world.run(text, ada)).codes == ["BAD_USER_INPUT"]
