"""What `extensions.explain` says, held against what the driver sent to PostgreSQL.

The oracle is asyncpg's own query log, on every connection of a process of its own: it knows nothing
of fields, and hears what is really sent.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from app import create_app
from graph.engine import execute
from graph.engine.planning import SERIALIZED_AFTER, SPREAD
from graph.request.answer import Refused
from graph.request.execution import Executor
from graph.request.preparation import GraphQLRequest
from graph.schema import schema
from settings import Settings
from tests.accounts import Person
from tests.factories import World, gid, world_of

# What frames a transaction, what asyncpg asks of a connection that it opens, and its settings.
FRAME = re.compile(
    r"^(BEGIN|COMMIT|ROLLBACK|SET )|typeinfo_tree|pg_catalog\.pg_type|set_config\('jit'",
    re.IGNORECASE,
)
# Where PostgreSQL's name of a type is not SQLAlchemy's.
TYPES = {"VARCHAR": "character varying"}


@dataclass
class Observed:
    """A process of the server, and the statements that its connections sent."""

    world: World
    sent: list[str] = field(default_factory=list)

    async def explain(self, query: str, person: Person, **variables: Any) -> Any:
        """The answer's `explain`, of an operation without errors."""
        executor, context = self.world.executors["batch"], self.world.context(person)
        request = GraphQLRequest(query, variables, extensions={"explain": True})
        prepared = await executor.prepare(request, request_id=context.request.id)
        answer = await executor.execute(prepared, context)
        assert not answer.errors
        return answer.extensions["explain"]

    async def compare(self, query: str, person: Person, **variables: Any) -> Any:
        """The same, once its statements have proved to be those that were sent."""
        await asyncio.sleep(0.01)
        self.sent.clear()
        explained = await self.explain(query, person, **variables)
        # asyncpg calls loggers in the next turn of the loop.
        await asyncio.sleep(0.01)
        sent = [text for text in self.sent if not FRAME.search(text)]
        assert Counter(statements(explained)) == Counter(sent)
        await self._compare_types(explained)
        return explained

    async def _compare_types(self, explained: Any) -> None:
        """Hold the types of the parameters to those that PostgreSQL finds."""
        found = [each for run in explained.get("fields", ()) for each in run["statements"]]
        async with self.world.database.connection() as connection:
            for statement in found + explained.get("statements", []):
                prepared = await connection.prepare(statement["text"])
                shown = [TYPES.get(name, name.lower()) for name in statement["parameters"]]
                for name, type_ in zip(shown, prepared.get_parameters(), strict=True):
                    assert name in {
                        "unknown" if type_.name == "xid8" else None,
                        await connection.fetchval("SELECT format_type($1, NULL)", type_.oid),
                    }


@pytest.fixture
async def observed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Observed]:
    sent: list[str] = []
    connect = asyncpg.connect

    async def logged(*args: Any, **options: Any) -> Any:
        connection = await connect(*args, **options)
        connection.add_query_logger(lambda query: sent.append(query.query))
        return connection

    monkeypatch.setattr(asyncpg, "connect", logged)
    app = create_app(settings)
    # Nothing of the process's own (the log, live events) runs beside the operations.
    async with app.lifespan(), world_of(app) as world:
        yield Observed(world, sent)


def statements(explained: Any) -> list[str]:
    """All statements, whichever field they are shown at."""
    found = [each["text"] for each in explained.get("statements", ())]
    for run in explained.get("fields", ()):
        found += [each["text"] for each in run["statements"]]
    return found


QUERIES = [
    "{ viewer { user { username } } }",
    "query ($project: ID!) { project(id: $project) { name owner { username } } }",
    "{ tasks(first: 2) { totalCount nodes { title owner { username } project { name } } } }",
    """query ($project: ID!) { project(id: $project) { tasks(first: 3) { nodes {
        title comments(first: 2) { nodes { body author { username } } }
    } } } }""",
    """{
        high: tasks(first: 1, filter: {priority: {eq: HIGH}}) { nodes { id } }
        low: tasks(first: 1, filter: {priority: {eq: LOW}}) { nodes { id } }
    }""",
    "{ taskStats { total } viewer { activity(first: 2) { nodes { kind } } } }",
    '{ tasks(first: 1, filter: {title: {contains: "secret words"}}) { nodes { title } } }',
]


@pytest.mark.statements
@pytest.mark.parametrize("query", QUERIES)
async def test_the_statements_are_those_that_the_database_got(
    observed: Observed, query: str
) -> None:
    world = observed.world
    ada = await world.person()
    project = await world.project(ada)
    for number in range(3):
        await world.task(ada, project_id=project.id, title=f"Task {number}")
    variables = {"project": gid(project)} if "$project" in query else {}
    # The first runs, and one that is serialized.
    for run in range(SERIALIZED_AFTER + 1):
        explained = await observed.compare(query, ada, **variables)
        assert explained["engine"] == "batch"
        if run <= SERIALIZED_AFTER - SPREAD or run == SERIALIZED_AFTER:
            assert explained["serialized"] == (run == SERIALIZED_AFTER)
        assert "secret words" not in str(explained)


@pytest.mark.statements
async def test_a_mutation_is_explained_without_its_values(observed: Observed) -> None:
    ada = await observed.world.person()
    query = """mutation ($title: String!) {
        taskCreate(input: {title: $title}) { task { title } errors { code } }
    }"""
    explained = await observed.compare(query, ada, title="A hidden title")
    assert statements(explained)
    assert "A hidden title" not in str(explained)


async def test_fields_say_how_they_were_read(observed: Observed) -> None:
    world = observed.world
    ada = await world.person()
    project = await world.project(ada)
    await world.tasks(ada, ["One", "Two"], project_id=project.id)
    query = """{ tasks(first: 5) { nodes { title status comments(first: 1) { nodes { id } } } } }"""
    for _ in range(SERIALIZED_AFTER - SPREAD):
        explained = await observed.explain(query, ada)
    by_path = {run["path"]: run for run in explained["fields"]}
    tasks, comments = by_path["tasks"], by_path["tasks.nodes.comments"]
    assert tasks["source"] == comments["source"] == "batch"
    assert (tasks["batches"], comments["batches"]) == ([1], [2])
    assert by_path["tasks.nodes.title"]["batches"] == [2]
    assert not by_path["tasks.nodes.title"]["serialized"]
    assert tasks["accessPath"]["path"] == "scan"
    assert "ms" in tasks["accessPath"]["why"]
    # Lists of a parent have but one way, by its key.
    assert comments["accessPath"] is None
    (statement,) = comments["statements"]
    assert "UUID[]" in statement["parameters"]
    assert tasks["milliseconds"] > 0
    for _ in range(SPREAD + 1):
        explained = await observed.explain(query, ada)
    by_path = {run["path"]: run for run in explained["fields"]}
    assert by_path["tasks.nodes.title"]["serialized"]


@pytest.mark.statements
async def test_a_candidate_set_is_named(observed: Observed) -> None:
    world = observed.world
    ada = await world.person()
    await world.task(ada)
    paths = world.services.access_paths
    paths.slow_seconds = 0.0
    query = "{ tasks(first: 5) { nodes { title } } }"
    await observed.explain(query, ada)
    explained = await observed.compare(query, ada)
    assert explained["fields"][0]["accessPath"] == {
        "path": "candidates",
        "why": "the viewer can see at most 1,000 rows",
    }


async def test_operations_at_once_do_not_hear_each_other(observed: Observed) -> None:
    world = observed.world
    ada = await world.person()
    project = await world.project(ada)
    await world.tasks(ada, ["One", "Two"], project_id=project.id)
    alone = []
    for query in QUERIES[:1] + QUERIES[2:3]:
        for _ in range(SERIALIZED_AFTER + 1):
            explained = await observed.explain(query, ada)
        alone.append(sorted(statements(explained)))
    together = await asyncio.gather(
        *(observed.explain(query, ada) for query in (QUERIES[0], QUERIES[2]) for _ in range(4)),
        *(world.run(QUERIES[4], ada) for _ in range(4)),
    )
    found = [sorted(statements(explained)) for explained in together[:8]]
    assert found == [alone[0]] * 4 + [alone[1]] * 4
    assert not world.database.listeners


@pytest.mark.statements
async def test_the_standard_engine_says_why_it_was_needed(observed: Observed) -> None:
    ada = await observed.world.person()
    explained = await observed.compare(
        "{ __schema { queryType { name } } viewer { user { username } } }", ada
    )
    assert (explained["engine"], explained["reason"]) == ("standard", "introspection")
    assert "fields" not in explained


async def test_production_refuses_and_says_so(settings: Settings) -> None:
    server = settings.server.model_copy(update={"env": "production"})
    app = create_app(settings.model_copy(update={"server": server}))
    executor = app.runtime.executor
    request = GraphQLRequest("{ viewer { user { username } } }", extensions={"explain": True})
    with pytest.raises(Refused) as refused:
        await executor.prepare(request, request_id="explained")
    (error,) = refused.value.answer.errors
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert "development" in error["message"]
    assert refused.value.answer.extensions.keys() == {"requestId"}


@pytest.mark.parametrize(
    ("query", "wanted", "message"),
    [
        ("{ viewer { user { username } } }", "yes", "`extensions.explain` must be a boolean."),
        ("subscription { taskEvents { cursor } }", True, "is for queries and mutations"),
    ],
)
async def test_what_cannot_be_explained_is_refused(
    observed: Observed, query: str, wanted: object, message: str
) -> None:
    request = GraphQLRequest(query, extensions={"explain": wanted})
    with pytest.raises(Refused) as refused:
        await observed.world.executors["batch"].prepare(request, request_id="explained")
    assert message in refused.value.answer.errors[0]["message"]


async def test_an_operation_that_is_stopped_is_explained(observed: Observed) -> None:
    world = observed.world
    ada = await world.person()
    executor = Executor(schema, engine=execute, operation_seconds=0.5, explain=True)
    context = world.context(ada)
    request = GraphQLRequest("{ tasks(first: 1) { nodes { id } } }", extensions={"explain": True})
    prepared = await executor.prepare(request, request_id=context.request.id)
    async with world.database.session() as session, session.begin():
        await session.execute(text("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE"))
        answer = await executor.execute(prepared, context)
    assert answer.code == "TIMEOUT"
    (field,) = answer.extensions["explain"]["fields"]
    assert field["path"] == "tasks"
    assert field["milliseconds"] > 400
    assert "FROM tasks" in field["statements"][0]["text"]
    assert not world.database.listeners
