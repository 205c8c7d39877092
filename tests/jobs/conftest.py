"""Workers of the tests: in this process with a clock of their own, or as processes to be killed."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import os
import random
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from sqlalchemy import select

import jobs.worker  # noqa: F401 - for all handlers and consumers
from auth import access
from db.engine import Database
from db.models import Worker
from events.bus import LocalBus
from events.epoch import ensure_epoch
from events.log import EventLog
from jobs.consumer import CONSUMERS, advance
from jobs.mail.sender import SmtpSender, make_sender
from jobs.push.services import make_push
from jobs.queue import Queue
from jobs.runner import Runner
from jobs.worker_context import WorkerContext
from settings import Settings
from tests.accounts import House
from tests.databases import fresh_database
from tests.forks import Fork

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


@functools.lru_cache(maxsize=1)
def _log_of(database: Database) -> EventLog:
    """One for all workshops on a database: to compile its statements takes a tenth of a second."""
    return EventLog(database.reader, access.read_by, replay=dt.timedelta(days=7))


class Workshop:
    """A worker in this process, whose work is done when the test says so."""

    def __init__(self, house: House) -> None:
        self.house = house
        # How many jobs at once; with 1 their order is always the same.
        self.concurrency = 5
        self.context = WorkerContext(
            house.settings,
            house.database,
            _log_of(house.database),
            LocalBus(),
            house.clock,
            make_sender(house.settings),
            make_push(house.settings, house.clock),
        )

    def queue(self, worker: str = "one") -> Queue:
        return Queue(self.house.database, worker, LEASE, self.house.clock)

    async def enqueue(self, name: str, payload: Any = None, **options: Any) -> None:
        async with self.house.work() as work:
            await work.enqueue(name, payload, **options)

    async def run_due(self) -> int:
        """Run all jobs that are due, and what is due because of them; how many there were."""
        runner = Runner(self.context, self.queue(), concurrency=self.concurrency, lease=LEASE)
        count = 0
        while jobs := await runner.take():
            count += len(jobs)
            await asyncio.wait(jobs)
        return count

    async def catch_up(self) -> None:
        """Let every consumer act on all that has happened."""
        for consumer in CONSUMERS.values():
            while True:
                head = await self.context.log.head()
                if not head.lag:
                    break
                await asyncio.sleep(0.01)
            while await advance(self.context, consumer):
                pass

    async def all_done(self) -> None:
        """Everything that follows from what has happened, as far as it is due."""
        await self.catch_up()
        await self.run_due()


@pytest.fixture
def workshop(house: House) -> Workshop:
    return Workshop(house)


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as its server got it, with whom the envelope named. `wire`: its bytes."""

    to: list[str]
    message: EmailMessage
    wire: bytes

    @property
    def text(self) -> str:
        part = self.message.get_body(("plain",))
        assert part is not None
        return str(part.get_content())

    @property
    def html(self) -> str:
        part = self.message.get_body(("html",))
        assert part is not None
        return str(part.get_content())


class MailServer:
    """A real SMTP server on a free port. `refuse`: what it answers in place of taking a mail."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.refuse: str | None = None
        self.logins: list[tuple[str, str]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refuse is not None:
            return self.refuse
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.letters.append(Letter(list(envelope.rcpt_tos), message, envelope.content))
        return "250 OK"

    def authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _how: str, data: Any
    ) -> Any:
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"secret")

    def to(self, address: str) -> list[Letter]:
        return [letter for letter in self.letters if letter.to == [address]]


@asynccontextmanager
async def mail_server(
    tls: ssl.SSLContext | None = None,
    *,
    implicit: bool = False,
    handler: MailServer | None = None,
) -> AsyncIterator[tuple[MailServer, int]]:
    """The server and its port; with STARTTLS and a login where a certificate is given."""
    handler = handler or MailServer()

    def protocol() -> SMTP:
        with warnings.catch_warnings():
            # It knows of TLS by STARTTLS only, and warns of logins without that.
            warnings.simplefilter("ignore", UserWarning)
            return SMTP(
                handler,
                tls_context=None if implicit else tls,
                require_starttls=tls is not None and not implicit,
                authenticator=handler.authenticate,
                auth_required=tls is not None,
                auth_require_tls=not implicit,
            )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls if implicit else None)
    try:
        yield handler, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def mail(settings: Settings, workshop: Workshop) -> AsyncIterator[MailServer]:
    """What the workshop sends arrives here."""
    async with mail_server() as (server, port):
        changed = {"host": "127.0.0.1", "port": port, "tls": "none"}
        workshop.context.sender = SmtpSender(settings.mail.model_copy(update=changed))
        yield server


@asynccontextmanager
async def worker_process(**variables: str) -> AsyncIterator[Fork]:
    """A worker in a process of its own, which is killed (SIGKILL) at the end of the block."""
    process = await asyncio.to_thread(Fork, ["worker"], {**os.environ, **variables})
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


@asynccontextmanager
async def killed_again_and_again(
    database: Database, kills: int | None = None, **variables: str
) -> AsyncIterator[Callable[[], int]]:
    """A worker (a process of its own) that is killed while it works and begun anew, so many times
    (until the block ends unless given); the one after that lives. Gives the number of kills so far.
    """
    killed = 0
    stop = asyncio.Event()

    async def at_work(process: Fork) -> None:
        mine = select(Worker.name).where(Worker.name.contains(f":{process.pid}:"))
        while not stop.is_set():
            async with database.session() as session:
                if await session.scalar(mine) is not None:
                    return
            assert process.returncode is None, "the worker ended by itself"
            await asyncio.sleep(0.02)

    async def carry_on() -> None:
        nonlocal killed
        while not stop.is_set():
            async with worker_process(**variables) as process:
                await at_work(process)
                life = random.uniform(0.1, 1.5) if kills is None or killed < kills else None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(life):
                        await stop.wait()
            killed += 1

    task = asyncio.create_task(carry_on())

    def so_far() -> int:
        if task.done():
            task.result()
        return killed

    try:
        yield so_far
    finally:
        stop.set()
        await task
