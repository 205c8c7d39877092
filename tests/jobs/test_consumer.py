"""How a consumer of the log waits: for news, and not for longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from db import models
from domain.tasks.task import NewTask
from domain.tasks.task_creation import create
from domain.work import Work
from events.bus import Announcement
from events.cursor import Place
from events.kinds import EventKind
from jobs import consumer
from jobs.consumer import Consumer, advance, follow
from jobs.worker_context import WorkerContext
from tests.accounts import House, Person
from tests.jobs.conftest import Workshop

PATIENCE = 20


async def all_readable(context: WorkerContext) -> None:
    """Wait until no open transaction holds events back."""
    async with asyncio.timeout(PATIENCE):
        while (await context.log.head()).lag:
            await asyncio.sleep(0.005)


class Follower:
    """Follows the log, and counts the events that it acted on. A closed `bulkheads` holds it up."""

    def __init__(self, house: House, workshop: Workshop, ada: Person) -> None:
        self.house = house
        self.context = workshop.context
        self.ada = ada
        self.acted = 0
        self.begun = asyncio.Event()
        self.bulkheads = asyncio.Event()
        self.bulkheads.set()
        self.wanted = Consumer(f"follower of {ada.username}", self.act)

    async def act(self, _tools: WorkerContext, _work: Work, events: Sequence[Any]) -> None:
        self.begun.set()
        await self.bulkheads.wait()
        self.acted += len(events)

    async def happens(self) -> None:
        """Something is written to the log without an announcement."""
        async with self.house.work(self.ada.viewer) as work:
            user = await work.session.get_one(models.User, self.ada.id)
            work.record(EventKind.USER_UPDATED, user, audience=[self.ada.id])

    async def announced(self) -> None:
        """The bus tells of it."""
        await self.context.bus.announce(Announcement(users=[self.ada.id]))

    async def place(self) -> Place:
        """The stored place."""
        async with self.house.database.session() as session:
            stored = await session.get_one(models.LogConsumer, self.wanted.name)
            return stored.xid, stored.position

    async def readable(self) -> None:
        """No open transaction holds events back."""
        await all_readable(self.context)

    async def has_acted(self, count: int) -> None:
        """So many events have been acted on."""
        async with asyncio.timeout(PATIENCE):
            while self.acted < count:
                await asyncio.sleep(0.005)


@pytest.fixture
async def follower(
    house: House, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Follower]:
    """One that looks by itself once an hour only."""
    monkeypatch.setattr(consumer, "_POLL_SECONDS", 3600.0)
    made = Follower(house, workshop, await house.person())
    await made.readable()
    # The first time it only notes where it begins.
    assert not await advance(made.context, made.wanted)
    stop = asyncio.Event()
    running = asyncio.create_task(follow(made.context, made.wanted, stop))
    yield made
    made.bulkheads.set()
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await running


async def test_news_are_acted_on_when_they_are_announced(follower: Follower) -> None:
    for count in (1, 2):
        await follower.happens()
        await follower.readable()
        await follower.announced()
        await follower.has_acted(count)


async def test_news_that_come_while_it_acts_do_not_wait_for_its_next_look(
    follower: Follower,
) -> None:
    follower.bulkheads.clear()
    await follower.happens()
    await follower.readable()
    await follower.announced()
    await follower.begun.wait()
    await follower.happens()
    await follower.announced()
    follower.bulkheads.set()
    await follower.has_acted(2)


async def test_having_acted_it_rests(follower: Follower) -> None:
    """Or a worker would read the log without a pause from the first announcement on."""
    await follower.happens()
    await follower.readable()
    await follower.announced()
    await follower.has_acted(1)
    statements: list[str] = []
    database = follower.house.database
    database.listeners.append(statements.append)
    try:
        for _ in range(50):
            async with database.session() as session:
                await session.execute(text("SELECT 1"))
    finally:
        database.listeners.remove(statements.append)
    readings = [statement for statement in statements if "pg_snapshot_xmin" in statement]
    assert len(readings) <= 2


async def test_the_place_is_read_again_after_another_worker_has_moved_it(
    follower: Follower,
) -> None:
    await follower.happens()
    await follower.readable()
    await follower.announced()
    await follower.has_acted(1)
    await follower.happens()
    await follower.readable()
    # Another worker, which is killed then.
    assert not await advance(follower.context, follower.wanted)
    await follower.has_acted(2)
    await follower.happens()
    await follower.readable()
    await follower.announced()
    await follower.has_acted(3)
    # Each once.
    assert follower.acted == 3


async def test_the_place_is_read_again_after_the_database_was_restored(follower: Follower) -> None:
    place = await follower.place()
    await follower.happens()
    await follower.readable()
    await follower.announced()
    await follower.has_acted(1)
    async with follower.house.database.session() as session, session.begin():
        # The backup was made before that.
        stored = await session.get_one(models.LogConsumer, follower.wanted.name)
        stored.xid, stored.position = place
        await session.execute(update(models.LogEpoch).values(epoch=uuid4()))
    await follower.readable()
    await follower.announced()
    await follower.has_acted(2)


@pytest.mark.parametrize("assigned", [False, True])
async def test_an_event_that_concerns_nobody_opens_no_transaction(
    house: House, workshop: Workshop, *, assigned: bool
) -> None:
    """Such as that of a task without an assignee, if nobody has a webhook or an integration."""
    ada, bob = await house.person(), await house.person()
    await workshop.catch_up()
    assignee = bob.id if assigned else None
    await house.do(ada.viewer, create, NewTask(title="new", assignee_id=assignee))
    statements: list[str] = []
    house.database.listeners.append(statements.append)
    try:
        await workshop.catch_up()
    finally:
        house.database.listeners.remove(statements.append)
    alone = [statement for statement in statements if "pg_try_advisory_xact_lock" in statement]
    assert len(alone) == assigned


async def test_no_event_becomes_a_job_because_the_database_takes_no_changes(
    house: House, workshop: Workshop
) -> None:
    ada = await house.person()
    acted: list[int] = []
    accepts = False

    async def act(_tools: WorkerContext, work: Work, events: Sequence[Any]) -> None:
        if not accepts:
            # As on a primary that was demoted.
            await work.session.execute(text("SET TRANSACTION READ ONLY"))
        user = await work.session.get_one(models.User, ada.id)
        user.version += 1
        await work.session.flush()
        acted.append(len(events))

    wanted = Consumer(f"writer for {ada.username}", act)
    await advance(workshop.context, wanted)
    await house.do(ada.viewer, create, NewTask(title="new"))
    await all_readable(workshop.context)
    with pytest.raises(DBAPIError):
        await advance(workshop.context, wanted)
    async with house.database.session() as session:
        jobs = select(models.Job.id).where(models.Job.payload["consumer"].astext == wanted.name)
        assert not (await session.scalars(jobs)).all()
    accepts = True
    async with asyncio.timeout(PATIENCE):
        while not acted:
            await advance(workshop.context, wanted)
