"""The worker: a process for all background work; any number can run.

It runs jobs (`jobs.runner`), follows the event log for each consumer (`jobs.consumer`), runs
reminders on time (`jobs.reminders`), merges counts (`jobs.counters`), and does periodic maintenance
(`jobs.periodic`). It can be killed at any moment: all state is in the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

# Imported to register their handlers and consumers.
import jobs.erasure
import jobs.exports
import jobs.integrations
import jobs.mail.account
import jobs.mail.notifications
import jobs.notifications
import jobs.push.notification
import jobs.shares
import jobs.webhooks  # noqa: F401
from auth import access
from db.engine import Database
from db.models import Worker
from events import blockers
from events.bus import JOBS, make_bus
from events.epoch import ensure_epoch
from events.log import EventLog
from jobs import counters, periodic, reminders
from jobs.consumer import CONSUMERS, follow
from jobs.mail.sender import make_sender
from jobs.push.services import make_push
from jobs.queue import Queue
from jobs.runner import Runner
from jobs.worker_context import Clock, WorkerContext
from settings import Settings
from telemetry import start

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

log = logging.getLogger("taskloom.jobs")

_SEEN_EVERY = 10.0
FORGET_AFTER = dt.timedelta(minutes=5)


def utc_now() -> dt.datetime:
    """The clock of a running worker."""
    return dt.datetime.now(dt.UTC)


async def run(settings: Settings, stop: asyncio.Event, *, clock: Clock = utc_now) -> None:
    """Work until `stop` is set; then finish running jobs and return."""
    async with worker_context(settings, clock=clock) as context:
        await work(context, stop)


@contextlib.asynccontextmanager
async def worker_context(
    settings: Settings, *, clock: Clock = utc_now
) -> AsyncIterator[WorkerContext]:
    """The context of a worker, opened and closed."""
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(start.traces(settings.telemetry, "worker"))
        await stack.enter_async_context(
            start.metrics(settings.telemetry, "worker", _metrics_of_process)
        )
        database = await Database.connect(settings.database)
        stack.push_async_callback(database.close)
        await ensure_epoch(database)
        bus = make_bus(settings.redis)
        await bus.start()
        stack.push_async_callback(bus.close)
        event_log = EventLog(
            database.reader, access.read_by, replay=dt.timedelta(days=settings.events.replay_days)
        )
        push = make_push(settings, clock)
        stack.push_async_callback(push.close)
        context = WorkerContext(
            settings, database, event_log, bus, clock, make_sender(settings), push
        )
        stack.callback(context.close)
        yield context


async def _metrics_of_process() -> Iterable[Metric]:
    """Memory, processor time, garbage collection."""
    # Imported if metrics are sent, and only then: it takes two MiB.
    from prometheus_client import REGISTRY

    return REGISTRY.collect()


async def work(context: WorkerContext, stop: asyncio.Event) -> None:
    """Run everything, with this context, until `stop` is set."""
    settings = context.settings.jobs
    name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
    lease = dt.timedelta(seconds=settings.lease_seconds)
    runner = Runner(context, Queue(context.database, name, lease), settings.concurrency, lease)
    unsubscribe = context.bus.subscribe(JOBS, lambda _: runner.wake.set())
    log.info("the worker %s starts", name)
    try:
        async with asyncio.TaskGroup() as together:
            together.create_task(runner.run(stop))
            for consumer in CONSUMERS.values():
                together.create_task(follow(context, consumer, stop))
            together.create_task(
                periodic.run_forever(
                    context.transactions, context.settings, stop, clock=context.clock
                )
            )
            together.create_task(reminders.run_forever(context, stop))
            together.create_task(counters.run_forever(context.database, stop))
            together.create_task(blockers.watch(context.database, context.log, stop))
            together.create_task(_be_seen(context, name, stop))
    except BaseExceptionGroup as group:
        # Raise the error itself, and not a group.
        raise group.exceptions[0] from group
    finally:
        unsubscribe()
    log.info("the worker %s has stopped", name)


async def _be_seen(context: WorkerContext, name: str, stop: asyncio.Event) -> None:
    """Record every few seconds that this worker is alive, and delete workers not seen for long."""
    started_at = context.clock()
    while not stop.is_set():
        now = context.clock()
        seen = {"seen_at": now, "circuits": context.bulkheads.open_circuits()}
        alive = insert(Worker).values(name=name, started_at=started_at, **seen)
        alive = alive.on_conflict_do_update(index_elements=[Worker.name], set_=seen)
        try:
            async with context.database.session() as session, session.begin():
                await session.execute(alive)
                await session.execute(delete(Worker).where(Worker.seen_at < now - FORGET_AFTER))
        except Exception:
            log.exception("the worker could not record that it is alive")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SEEN_EVERY):
                await stop.wait()
    with contextlib.suppress(Exception):
        async with context.database.session() as session, session.begin():
            await session.execute(delete(Worker).where(Worker.name == name))
