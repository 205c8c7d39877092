"""Every operation, cancelled at every suspension.

After each blow: the state is the one before or after the operation, and nothing in between; every
connection is idle, outside a transaction and holds no lock; the next changes on all of them are
committed; nothing is left running or counted. The same if the server closes all connections at that
point: an answer is then correct, or says that the database is unavailable.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest
from graphql import OperationDefinitionNode

from app import create_app
from auth.request import RequestInfo
from auth.viewer import Viewer
from db.pool import Pool
from graph.core.context import Services
from graph.request.answer import Answer, Refused
from graph.request.execution import Executor
from graph.request.preparation import GraphQLRequest
from settings import Settings
from tests.accounts import Clock
from tests.cancellation.state import Difference, State, state_of
from tests.cancelling import Blow, Strike, cancel, struck
from tests.databases import copied_database
from tests.db.test_transaction import _ADD
from tests.graph.engine.fixtures import Scene, _first, codes, scene
from tests.graph.engine.operations import FILES, CorpusOperation, at, read

NAME = "cancelled"
CORPUS = {path.stem: read(path) for path in FILES}
SOME = {
    "TaskCreateFull",  # in one statement
    "TaskUpdateTitle",
    "BulkCreate",
}
BLOWS: dict[str, Blow] = {
    "waiting": cancel(Strike.WAITING),
    "answered": cancel(Strike.ANSWERED),
    "waiting twice": cancel(Strike.WAITING, times=2),
}

_ids = itertools.count(1_000_000)


class Probe:
    """One process on one database, with pools of two, and the observer of the database."""

    def __init__(self, services: Services, executor: Executor, scene: Scene, state: State) -> None:
        self.services = services
        self.executor = executor
        self.scene = scene
        self.state = state
        self.names = dict(scene.names)
        self.count = 0

    async def run(self, operation: CorpusOperation) -> list[Answer]:
        """Run an operation as a transport does."""
        text, variables = operation.filled(self.names)
        request = RequestInfo(id="cancelled0001", ip="203.0.113.8", user_agent="tests/1")
        viewer = self.scene.viewer(operation.person)

        context = self.services.context(viewer, request)

        async def current() -> Viewer:
            return viewer

        try:
            prepared = await self.executor.prepare(
                GraphQLRequest(query=text, variables=variables), request_id=request.id
            )
            if operation.kind == "subscription":
                stream = await self.executor.subscribe(prepared, context, current)
                answers = await _first(stream, operation.deliveries)
            else:
                answers = [await self.executor.execute(prepared, context)]
        except Refused as refused:
            answers = [refused.answer]
        for answer in answers:
            answer.data = orjson.loads(answer.body()).get("data")
        return answers

    async def everywhere(self, operation: CorpusOperation, blows: Mapping[str, Blow]) -> None:
        """Strike it at every suspension; leave the operation done at the end."""
        reading = operation.kind != "mutation"
        await self.state.keep()
        await self.run(operation)  # The first run fills the caches.
        expected: Difference = {}
        if not reading:
            await self.state.restore()
            await self.run(operation)
            expected = await self.state.difference()
            await self.state.restore()
        parts = _parts(operation) > 1
        for name, blow in blows.items():
            await self._with(operation, name, blow, expected, parts=parts)
        await self._with(operation, "ended", self._end, expected, parts=parts)
        answers = await self.run(operation)
        for kept, path in operation.keep.items():
            self.names[kept] = at(answers[0].data, path)

    def _end(self, _task: Any, _future: Any) -> None:
        self.state.end_connections()

    async def _with(
        self,
        operation: CorpusOperation,
        name: str,
        blow: Blow,
        expected: Difference,
        *,
        parts: bool,
    ) -> None:
        for place in range(1, 200):
            where = f"{operation.name}, {name} at {place}"
            tasks, moment = asyncio.all_tasks(), await self.state.moment()
            stepped, result = await struck(lambda: self.run(operation), place, blow)
            self.count += stepped.struck
            await self.state.settled(self._connections())
            if operation.kind == "mutation":
                written = await self.state.moment() != moment
                difference = await self.state.difference() if written else {}
                assert parts or difference in ({}, expected), where
                if not isinstance(result, BaseException) and not codes(result[0]):
                    assert difference == expected, f"acknowledged and lost: {where}"
                if difference:
                    await self.state.restore()
            if isinstance(result, BaseException):
                assert isinstance(result, asyncio.CancelledError), where
                assert name != "ended", where
            elif name == "ended":
                _told(operation, result, where)
            await self._usable(where)
            await self._nothing_left(tasks, where)
            if not stepped.struck:
                return
        raise AssertionError(f"{operation.name} never ends")

    def _connections(self) -> int:
        database = self.services.database
        pools: list[Pool[Any]] = [database._changes]
        pools += [*database.reader.pools().values(), *database.single.pools().values()]
        return sum(not one.is_closed() for pool in pools for one in pool._all)

    async def _usable(self, where: str) -> None:
        """Check that changes on all connections of all pools are committed."""
        database, numbers = self.services.database, [next(_ids) for _ in range(4)]
        async with asyncio.timeout(10):
            async with database.transaction() as one, database.transaction() as two:
                await one.fetch(_ADD, {"new_id": numbers[0], "made_by": "probe"})
                await two.fetch(_ADD, {"new_id": numbers[1], "made_by": "probe"})
            await asyncio.gather(
                *(
                    database.single.fetch(_ADD, {"new_id": n, "made_by": "probe"})
                    for n in numbers[2:]
                )
            )
        gone = await self.state.watch.fetch(
            "DELETE FROM log_epoch WHERE id = ANY($1) RETURNING id", numbers
        )
        assert len(gone) == 4, f"acknowledged and lost after {where}"

    async def _nothing_left(self, before: set[Any], where: str) -> None:
        executor = self.executor
        left: list[Any] = []
        for _ in range(200):
            left = [task for task in asyncio.all_tasks() - before if not task.done()]
            if not left:
                break
            await asyncio.sleep(0.005)
        assert left == [], where
        assert {use.in_use for use in self.services.database.pools().values()} == {0}, where
        assert executor._deadlines._running == {}, where
        assert executor._subscriptions._delivering._running == {}, where
        assert executor._concurrency._free._value == 2, where
        assert not executor._introspecting.locked(), where
        assert self.services.live.listeners == 0, where


def _told(operation: CorpusOperation, answers: list[Answer], where: str) -> None:
    found = set().union(*map(codes, answers))
    if operation.kind == "mutation":
        assert found <= {"UNAVAILABLE", *operation.fails}, (where, answers[0].errors)
    else:
        assert found == operation.fails, (where, answers[0].errors)


def _parts(operation: CorpusOperation) -> int:
    """How many root fields it has: each mutation is a separate transaction."""
    (definition,) = (
        node for node in operation.document.definitions if isinstance(node, OperationDefinitionNode)
    )
    return len(definition.selection_set.selections)


@pytest.fixture(scope="module")
async def company(settings: Settings) -> AsyncIterator[Scene]:
    async with scene(settings) as made:
        yield made


@pytest.fixture
async def probe(settings: Settings, company: Scene) -> AsyncIterator[Probe]:
    """A process with pools of two on a copy of the company."""
    async with AsyncExitStack() as stack:
        copy = await stack.enter_async_context(copied_database(settings, company.database))
        url = copy.dsn
        named = f"{url}{'&' if '?' in url else '?'}application_name={NAME}"
        own = settings.with_database(named)
        small = own.database.model_copy(update={"connections": 6})
        clock = Clock()
        clock.now = company.now
        app = create_app(own.model_copy(update={"database": small}), clock=clock)
        services = await stack.enter_async_context(app.lifespan())
        state = await stack.enter_async_context(state_of(url, NAME))
        yield Probe(services, app.runtime.executor, company, state)


async def test_some_operations_survive_cancellation_everywhere(probe: Probe) -> None:
    found = [one for file in CORPUS.values() for one in file if one.name in SOME]
    assert {one.name for one in found} == SOME
    # One kind of blow for each operation, in turn; the nightly run uses both.
    for operation, strike in zip(found, itertools.cycle(Strike), strict=False):
        await probe.everywhere(operation, {strike.value: cancel(strike)})
    assert probe.count > 30


@pytest.mark.nightly
@pytest.mark.parametrize("name", sorted(CORPUS))
async def test_all_operations_survive_cancellation_everywhere(name: str, probe: Probe) -> None:
    wrong: list[str] = []
    for operation in CORPUS[name]:
        try:
            await probe.everywhere(operation, BLOWS)
        except Exception as error:  # noqa: BLE001 - the rest of the file should run too
            wrong.append(f"{operation.name}: {type(error).__name__}: {error}")
    assert not wrong, "\n\n".join(wrong)
