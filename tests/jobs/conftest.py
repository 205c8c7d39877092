"""Workers of the tests: in this process with a clock of their own, or as processes to be killed."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from db.engine import Database
from events.bus import LocalBus
from events.epoch import ensure_epoch
from events.log import EventLog
from jobs.consumer import CONSUMERS, advance
from jobs.queue import Queue
from jobs.runner import Runner
from jobs.tools import Tools
from jobs.worker import may_read
from settings import Settings
from tests.accounts import House
from tests.databases import fresh_database

ROOT = Path(__file__).resolve().parents[2]
LEASE = dt.timedelta(seconds=30)


@pytest.fixture(scope="module")
async def database(settings: Settings) -> AsyncIterator[Database]:
    """Of its own: these tests live weeks ahead, and take everybody's jobs."""
    async with fresh_database(settings) as made:
        await ensure_epoch(made)
        yield made


@pytest.fixture
def house(settings: Settings, database: Database) -> Iterator[House]:
    made = House(settings, database)
    yield made
    made.auth.close()


class Workshop:
    """A worker in this process, whose work is done when the test says so."""

    def __init__(self, house: House) -> None:
        self.house = house
        event_log = EventLog(house.database.reader, may_read, replay=dt.timedelta(days=7))
        self.tools = Tools(house.settings, house.database, event_log, LocalBus(), house.clock)

    def queue(self, worker: str = "one") -> Queue:
        return Queue(self.house.database, worker, LEASE)

    async def enqueue(self, name: str, payload: Any = None, **options: Any) -> None:
        async with self.house.work() as work:
            await work.enqueue(name, payload, **options)

    async def run_due(self) -> int:
        """Run all jobs that are due, and what is due because of them; how many there were."""
        runner = Runner(self.tools, self.queue(), concurrency=5, lease=LEASE)
        count = 0
        while jobs := await runner.take():
            count += len(jobs)
            await asyncio.wait(jobs)
        return count

    async def catch_up(self) -> None:
        """Let every consumer act on all that has happened."""
        for consumer in CONSUMERS.values():
            while True:
                head = await self.tools.log.head()
                if not head.lag:
                    break
                await asyncio.sleep(0.01)
            while await advance(self.tools, consumer):
                pass

    async def all_done(self) -> None:
        """Everything that follows from what has happened, as far as it is due."""
        await self.catch_up()
        await self.run_due()


@pytest.fixture
def workshop(house: House) -> Workshop:
    return Workshop(house)


@asynccontextmanager
async def killed_again_and_again(
    argv: list[str], environment: dict[str, str], *, every: float = 1.0
) -> AsyncIterator[Callable[[], int]]:
    """A process that is killed (SIGKILL) and begun anew, until the block ends; gives the number of
    kills.
    """
    kills = 0
    stop = asyncio.Event()

    async def carry_on() -> None:
        nonlocal kills
        while not stop.is_set():
            process = await asyncio.create_subprocess_exec(
                *argv, cwd=ROOT, env={**os.environ, **environment}
            )
            try:
                await asyncio.wait_for(stop.wait(), every)
            except TimeoutError:
                kills += 1
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            await process.wait()

    task = asyncio.create_task(carry_on())
    try:
        yield lambda: kills
    finally:
        stop.set()
        await task


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]
