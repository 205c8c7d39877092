"""Two workers whose clocks differ, and one that is suspended for longer than its leases."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import func, select, update

from db.models import Job, JobState, NotificationKind, User
from domain.notifications.notification import Notice, notify
from tests.accounts import House
from tests.databases import address_of
from tests.jobs.conftest import ROOT, MailServer, mail_server

MAILS = 12

_WORKER = """
import asyncio, datetime as dt, sys
from jobs.worker import run
from settings import load_settings
ahead = dt.timedelta(seconds=float(sys.argv[1]))
clock = lambda: dt.datetime.now(dt.UTC) + ahead
asyncio.run(run(load_settings(env_file=None), asyncio.Event(), clock=clock))
"""


class SlowToGreet(MailServer):
    """Sends nothing to a client until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.greeting = asyncio.Event()
        self.callers = 0

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, session: Any, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        self.callers += 1
        session.host_name = hostname
        await self.greeting.wait()
        return responses


@asynccontextmanager
async def worker(ahead: float, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _WORKER,
        str(ahead),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def left(house: House, *states: JobState) -> int:
    async with house.database.session() as session:
        query = select(func.count()).where(Job.state.in_(states))
        return await session.scalar(query) or 0


async def test_a_suspended_worker_repeats_nothing_that_another_one_did(house: House) -> None:
    ben = await house.person()
    async with house.work() as work:
        await work.session.execute(
            update(User).where(User.id == ben.id).values(email_verified_at=house.clock())
        )
        kind = NotificationKind.REMINDER
        notices = [Notice(ben.id, kind, message=f"Mail {n}.") for n in range(MAILS)]
        await notify(work, notices, mail_delay=house.clock() - house.clock())
    async with mail_server(handler=SlowToGreet()) as (mail, port), asyncio.timeout(120):
        assert isinstance(mail, SlowToGreet)
        variables = {
            "DATABASE_URL": await address_of(house.settings, house.database),
            "TASKLOOM_MAIL_HOST": "127.0.0.1",
            "TASKLOOM_MAIL_PORT": str(port),
            "TASKLOOM_MAIL_TLS": "none",
            "TASKLOOM_JOB_LEASE_SECONDS": "2",
        }
        async with worker(0, **variables) as paused:
            # It has connected, and is about to send.
            while not mail.callers:
                await asyncio.sleep(0.05)
            paused.send_signal(signal.SIGSTOP)
            mail.greeting.set()
            async with worker(45, **variables):
                while await left(house, JobState.WAITING, JobState.RUNNING):
                    await asyncio.sleep(0.1)
                paused.send_signal(signal.SIGCONT)
                # Time for all that it might do.
                await asyncio.sleep(4)
    subjects = Counter(str(letter.message["Subject"]) for letter in mail.to(ben.email))
    assert subjects == {f"Mail {n}": 1 for n in range(MAILS)}


async def test_a_clock_that_is_ahead_takes_no_job_that_runs(house: House) -> None:
    ben = await house.person()
    async with house.work() as work:
        await work.session.execute(
            update(User).where(User.id == ben.id).values(email_verified_at=house.clock())
        )
        notice = Notice(ben.id, NotificationKind.REMINDER, message="Once.")
        await notify(work, [notice], mail_delay=house.clock() - house.clock())
    async with mail_server(handler=SlowToGreet()) as (mail, port), asyncio.timeout(120):
        assert isinstance(mail, SlowToGreet)
        variables = {
            "DATABASE_URL": await address_of(house.settings, house.database),
            "TASKLOOM_MAIL_HOST": "127.0.0.1",
            "TASKLOOM_MAIL_PORT": str(port),
            "TASKLOOM_MAIL_TLS": "none",
            "TASKLOOM_JOB_LEASE_SECONDS": "10",
        }
        async with worker(0, **variables), worker(45, **variables):
            while not mail.callers:
                await asyncio.sleep(0.05)
            # For as long as the other one needs to look several times.
            await asyncio.sleep(3)
            mail.greeting.set()
            while await left(house, JobState.WAITING, JobState.RUNNING):
                await asyncio.sleep(0.1)
    assert mail.callers == 1
    assert len(mail.to(ben.email)) == 1
