"""`nodes(ids:)`: each id for itself."""

from __future__ import annotations

import pytest

from db import models
from graph.core import ids
from tests.factories import ENGINES, Engine, World, fresh_id

NODES = "query ($ids: [ID!]!) { viewer { user { id } } nodes(ids: $ids) { id __typename } }"


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_malformed_id_is_an_error_of_its_own(world: World, engine: Engine) -> None:
    ada = await world.person()
    task = await world.task(ada)
    own, mine = ids.encode(models.User, ada.id), ids.encode(models.Task, task.id)
    unknown = ids.encode(models.Task, fresh_id())
    asked = [own, "gone", mine, unknown, "", "task_", f"{mine}0", "ghost_" + "0" * 32, own]
    reply = await world.run(NODES, ada, engine=engine, ids=asked)
    assert reply.data["viewer"] == {"user": {"id": own}}
    assert reply.data["nodes"] == [
        {"id": own, "__typename": "User"},
        None,
        {"id": mine, "__typename": "Task"},
        *[None] * 5,
        {"id": own, "__typename": "User"},
    ]
    wrong = [1, 4, 5, 6, 7]
    assert sorted(error["path"] for error in reply.errors) == [["nodes", at] for at in wrong]
    for error in reply.errors:
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["extensions"]["argumentPath"] == ["ids", str(error["path"][1])]


@pytest.mark.parametrize("engine", ENGINES)
async def test_written_into_the_document(world: World, engine: Engine) -> None:
    ada = await world.person()
    own = ids.encode(models.User, ada.id)
    reply = await world.run(f'{{ nodes(ids: ["{own}", "gone"]) {{ id }} }}', ada, engine=engine)
    assert reply.data == {"nodes": [{"id": own}, None]}
    assert [error["path"] for error in reply.errors] == [["nodes", 1]]
