"""Every step of a worker, cancelled at every suspension, or its connections closed there.

A step may be several transactions, so it may be done in part. But no matter what was cancelled: all
connections are idle, the next worker does the rest, and the result is the same as that of one
worker without interruption.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest

from db.engine import Database
from db.pool import Pool
from jobs import periodic
from jobs.consumer import CONSUMERS, advance
from jobs.handlers import HANDLERS
from jobs.leases import Lease
from jobs.queue import Queue
from jobs.reminders import notify_of_due, remind
from jobs.runner import Runner
from jobs.worker import worker_context
from jobs.worker_context import WorkerContext
from settings import Settings
from tests.accounts import Clock
from tests.cancellation.state import State, state_of
from tests.cancelling import Blow, Strike, cancel, struck
from tests.databases import copied_database
from tests.graph.engine.fixtures import scene

NAME = "worker"
LEASE = dt.timedelta(seconds=30)
_MOST = 40


async def consume(context: WorkerContext) -> None:
    """Process the events."""
    for consumer in CONSUMERS.values():
        while await advance(context, consumer):
            pass


async def run_jobs(context: WorkerContext) -> None:
    """Run all due jobs in one task."""
    queue = Queue(context.database, "one", LEASE)
    runner = Runner(context, queue, 5, LEASE)
    while jobs := await queue.take(list(HANDLERS), 5):
        for job in jobs:
            await runner._run(Lease(job, queue, math.inf))


async def tidy(context: WorkerContext) -> None:
    """Run the periodic work."""
    await periodic.run_once(context.transactions, context.settings, clock=context.clock)


Step = Callable[[WorkerContext], Coroutine[Any, Any, Any]]
STEPS: list[Step] = [
    consume,
    run_jobs,
    remind,
    notify_of_due,
    tidy,
]


@pytest.fixture
async def worker(settings: Settings) -> AsyncIterator[tuple[WorkerContext, Clock, State]]:
    """A worker with pools of two, and all its work still to do."""
    async with AsyncExitStack() as stack:
        company = await stack.enter_async_context(scene(settings))
        copy = await stack.enter_async_context(copied_database(settings, company.database))
        url = copy.dsn
        own = settings.with_database(f"{url}{'&' if '?' in url else '?'}application_name={NAME}")
        small = own.database.model_copy(update={"connections": 6})
        clock = Clock()
        clock.now = company.now
        context = await stack.enter_async_context(
            worker_context(own.model_copy(update={"database": small}), clock=clock)
        )
        yield context, clock, await stack.enter_async_context(state_of(url, NAME))


@pytest.mark.nightly
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
async def test_steps_of_a_worker_survive_cancellation_everywhere(
    worker: tuple[WorkerContext, Clock, State], step: Step
) -> None:
    context, clock, state = worker
    if step is run_jobs:
        await consume(context)
    blows: dict[str, Blow] = {strike.value: cancel(strike) for strike in Strike}
    blows["ended"] = lambda _task, _future: state.end_connections()
    await state.keep()
    begun = clock.now

    async def again() -> None:
        # By then the leases of cancelled jobs have ended.
        clock.forward(minutes=10)
        await step(context)

    await step(context)
    await again()
    expected = await state.difference()
    for name, blow in blows.items():
        # All jobs and events are alike.
        for place in range(1, _MOST):
            await state.restore()
            clock.now = begun
            stepped, result = await struck(lambda: step(context), place, blow)
            where = f"{name} at {place}: {result!r}"
            await state.settled(_connections(context.database))
            await again()
            assert await state.difference() == expected, where
            if not stepped.struck:
                break


def _connections(database: Database) -> int:
    pools: list[Pool[Any]] = [database._changes]
    pools += [*database.reader.pools().values(), *database.single.pools().values()]
    return sum(not one.is_closed() for pool in pools for one in pool._all)
