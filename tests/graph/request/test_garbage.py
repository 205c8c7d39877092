"""Operations leave nothing that only the collector of cycles could free: it comes by seldom, and
whatever waits for it is memory.
"""

from __future__ import annotations

import gc

import pytest
from graphql import Token

from db.statements import Row
from graph.core.context import Context
from graph.core.selection import Selection, SelectionIndex
from graph.engine import execute
from graph.engine.executor import planner_of
from graph.engine.plan import FieldPlan, ObjectPlan, Plan
from graph.engine.planning import SERIALIZED_AFTER, PlannedOperation
from graph.request.document_limits import DocumentLimits
from graph.request.documents import Documents
from graph.schema import schema
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

    # Often enough that a query is written (`graph.engine.serialization`), as it is in a server.
    for _ in range(SERIALIZED_AFTER + 1):
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


async def test_nothing_of_a_document_that_is_given_up_is_left_to_the_collector(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ever new documents memory would grow until the next full collection, which may be never:
    what lives long enough to be kept is old to the collector.
    """
    ada = await world.person()
    core = schema._schema
    documents = Documents(core, DocumentLimits(), suggestions=False, max_bytes=1)
    monkeypatch.setattr(planner_of(core), "max_bytes", 1)

    async def ask(alias: str) -> None:
        text = f"{{ {alias}: tasks(first: 2) {{ nodes {{ title project {{ {alias}: name }} }} }} }}"
        for _ in range(SERIALIZED_AFTER + 1):
            operation = (await documents.get(text)).select(None)
            result = await execute(
                core,
                operation.document,
                context_value=world.context(ada),
                operation=operation.node,
                serialized=True,
            )
            assert not result.errors

    for alias in ("first", "second", "third"):
        await ask(alias)
    gc.collect()
    gc.disable()
    try:
        gc.set_debug(gc.DEBUG_SAVEALL)
        # A document for which there is no room: it takes the place of the last one.
        await documents.get("{ serverInfo { version } }")
        planner_of(core).operation((await documents.get("{ __typename }")).select(None).node, dict)
        gc.collect()
        kept = (Plan, PlannedOperation, ObjectPlan, FieldPlan, SelectionIndex, Selection)
        left = {type(each) for each in gc.garbage if isinstance(each, kept)}
        tokens = [each for each in gc.garbage if isinstance(each, Token) and each.value == "third"]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert left == set()
    assert tokens == []
