"""No two operations can deadlock: every mutation and every step of the worker, by their locks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest

from app import create_app
from jobs.reminders import notify_of_due, remind
from jobs.worker import worker_context
from jobs.worker_context import WorkerContext
from settings import Settings
from tests.accounts import Clock
from tests.cancellation.state import state_of
from tests.cancellation.test_operations import CORPUS, Probe
from tests.cancellation.test_worker import Step, consume, run_jobs, tidy
from tests.databases import copied_database
from tests.graph.engine.fixtures import Scene, scene
from tests.graph.engine.operations import CorpusOperation, at
from tests.locks.order import inversions
from tests.locks.recorder import Recorder, Taken, Trace

NAME = "locks"
STEPS: tuple[Step, ...] = (consume, run_jobs, remind, notify_of_due, tidy)


class Company:
    """A server and a worker on one database, and what records their locks."""

    def __init__(
        self, probe: Probe, context: WorkerContext, server: Recorder, worker: Recorder
    ) -> None:
        self._probe = probe
        self._context = context
        self._server = server
        self._worker = worker

    async def traces(
        self, operations: Sequence[CorpusOperation], steps: Sequence[Step]
    ) -> list[Trace]:
        """The mutations, one after the other, and then the steps of the worker."""
        found = []
        for operation in operations:
            run = partial(self._probe.run, operation)
            if operation.kind == "mutation":
                found.append(await self._server.trace(operation.name, run))
            if operation.kind == "mutation" or operation.keep:
                answers = await run()
                for kept, path in operation.keep.items():
                    self._probe.names[kept] = at(answers[0].data, path)
        for step in steps:
            name = f"{step.__name__} after {operations[-1].name}"
            found.append(await self._worker.trace(name, partial(step, self._context)))
            await asyncio.create_task(step(self._context))
        return found


@asynccontextmanager
async def company(settings: Settings, made: Scene) -> AsyncIterator[Company]:
    """On a copy of the company."""
    async with AsyncExitStack() as stack:
        copy = await stack.enter_async_context(copied_database(settings, made.database))
        url = copy.dsn
        own = settings.with_database(f"{url}{'&' if '?' in url else '?'}application_name={NAME}")
        clock = Clock()
        clock.now = made.now
        app = create_app(own, clock=clock)
        services = await stack.enter_async_context(app.lifespan())
        context = await stack.enter_async_context(worker_context(own, clock=clock))
        state = await stack.enter_async_context(state_of(url, NAME))
        recorders = []
        for database in (services.database, context.database):
            recorder = Recorder(state, url, database.listeners)
            await recorder.prepare()
            stack.push_async_callback(recorder.close)
            recorders.append(recorder)
        # From now on the consumers follow the log.
        await consume(context)
        yield Company(Probe(services, app.runtime.executor, made, state), context, *recorders)


# By day; the whole corpus by night.
SOME = ("BulkUpdate", "BulkUpdateConflict", "BulkDelete")
CREATE = CorpusOperation(
    "CreateTwo",
    "mutation",
    'mutation CreateTwo { taskBulkCreate(input: {items: [{title: "1", projectId: "<atlas>"},'
    ' {title: "2", projectId: "<atlas>"}]}) { results { task { id } } errors { code } } }',
    keep={
        "first": "taskBulkCreate.results.0.task.id",
        "second": "taskBulkCreate.results.1.task.id",
    },
)


def _assign(name: str, person: str, *tasks: str) -> CorpusOperation:
    items = ", ".join(f'{{id: "<{task}>", assigneeId: {person}}}' for task in tasks)
    return CorpusOperation(
        name,
        "mutation",
        f"mutation {name} {{ taskBulkUpdate(input: {{items: [{items}]}})"
        " { doneCount errors { code } } }",
    )


# Their events, and so their notifications, are in the order of the items, once in that of the IDs.
ASSIGN = _assign("AssignTwo", '"<cleo>"', "first", "second")
TAKE_BACK = _assign("TakeBack", "null", "first", "second")
ASSIGN_BACKWARDS = _assign("AssignBackwards", '"<cleo>"', "second", "first")


@pytest.fixture(scope="module")
async def made(settings: Settings) -> AsyncIterator[Scene]:
    async with scene(settings) as found:
        yield found


def _demand_order(traces: Sequence[Trace]) -> None:
    found = inversions(traces)
    assert not found, "\n".join(f"{kind}\n    {example}" for kind, example in found.items())
    # Where nothing is passed over, every row was seen.
    missed = {row.table for one in traces for row in one.untold if row.table not in one.passed}
    assert not missed


async def test_bulk_mutations_and_what_follows_from_them(settings: Settings, made: Scene) -> None:
    operations = [one for one in CORPUS["bulk"] if one.name in SOME]
    async with company(settings, made) as one:
        traces = await one.traces([CREATE, ASSIGN], [consume])
        traces += await one.traces([TAKE_BACK, ASSIGN_BACKWARDS], [consume])
        follows = [traces[2], traces[-1]]
        traces += await one.traces(operations, [])
    _demand_order(traces)
    for trace in follows:
        # Otherwise the order would be no question.
        assert any(_tasks(each) == 2 for each in trace.transactions)


@pytest.mark.nightly
async def test_all_mutations_and_steps_of_the_worker(settings: Settings, made: Scene) -> None:
    traces = []
    for operations in CORPUS.values():
        async with company(settings, made) as one:
            traces += await one.traces(operations, STEPS)
    async with company(settings, made) as one:
        traces += await one.traces([CREATE, ASSIGN], STEPS)
        traces += await one.traces([TAKE_BACK, ASSIGN_BACKWARDS], STEPS)
    _demand_order(traces)


def _tasks(transaction: Sequence[Taken]) -> int:
    return sum(taken.row.table == "tasks" for taken in transaction)
