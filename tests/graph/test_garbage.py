"""Operations leave nothing that only the collector of cycles could free: it comes by seldom, and
whatever waits for it is memory.
"""

from __future__ import annotations

import gc

import pytest

from db.read import Row
from graph.context import Context
from graph.engine.plan import WRITTEN_AFTER
from tests.factories import World, gid

QUERY = """
query Board($id: ID!) {
  project(id: $id) {
    name owner { username }
    open: tasks(filter: { status: { eq: TODO } }) { nodes { title assignee { username } } }
    done: tasks(filter: { status: { eq: COMPLETED } }) { nodes { title } totalCount }
  }
}
"""
CREATE = """
mutation Create($input: TaskCreateInput!) {
  taskCreate(input: $input) { task { title project { name } } errors { code } }
}
"""


@pytest.mark.parametrize("what", ["query", "mutation", "failure"])
async def test_nothing_of_an_operation_is_left_to_the_collector(world: World, what: str) -> None:
    ada = await world.person()
    project = await world.project(ada)
    await world.tasks(ada, ["a", "b"], project_id=project.id, assignee_id=ada.id)

    async def ask() -> None:
        if what == "query":
            assert (await world.run(QUERY, ada, id=gid(project))).good
        elif what == "mutation":
            assert (
                await world.run(CREATE, ada, input={"title": "c", "projectId": gid(project)})
            ).good
        else:
            assert (await world.run(QUERY, await world.person(), id=gid(project))).errors

    # Often enough that a query is written (`graph.engine.writing`), as it is in a server.
    for _ in range(WRITTEN_AFTER + 1):
        await ask()
    gc.collect()
    gc.disable()
    try:
        gc.set_debug(gc.DEBUG_SAVEALL)
        await ask()
        gc.collect()
        left = [type(each).__name__ for each in gc.garbage if isinstance(each, (Row, Context))]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert left == []
