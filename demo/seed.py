"""Fill a database with the demo company, once.

Everything is created through the operations of the domain, by the person who would have done it and
at that time, so the log tells the same story as the tables. All of it is one transaction: a
database has the whole company or nothing of it. The same `now` gives the same result, to the last
ID.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from auth.authenticator import Authenticator
from auth.passwords import PasswordHash, Passwords
from auth.request import RequestInfo
from auth.viewer import NOBODY, Viewer
from db.base import Base, new_id
from db.engine import Database
from db.models import Project, Task, User
from db.transaction import WITHOUT_TIME_LIMITS, Transaction
from demo import plan
from demo import scale as bulk
from demo.company import LOGIN, PASSWORD, PEOPLE
from demo.login import exists
from domain.work import Work
from errors import ErrorCode, Failure
from settings import AuthSettings, Settings

_SEED = "larkspur"
# One process at a time: a second one waits, however long that takes, and finds the company created.
_LOCK = int.from_bytes(b"demodata", "big", signed=True)


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What the database contains: everything in it is counted, including what others created.

    `created` is whether anything was created now.
    """

    login: str
    password: str
    users: int
    projects: int
    tasks: int
    created: bool


@dataclass(slots=True)
class _StoryWork(Work):
    """A work whose IDs come from the seed."""

    random: Random = field(kw_only=True)

    def new_id(self) -> UUID:
        """The next ID of the story, at this work's moment."""
        return new_id(self.now, self.random.getrandbits)


class _OnePassword(Passwords):
    """Hashes the demo's password once; at the real cost, twelve times take seconds."""

    def __init__(self, settings: AuthSettings) -> None:
        super().__init__(settings)
        self._kept: dict[str, PasswordHash] = {}

    async def hash(self, password: str) -> PasswordHash:
        """The hash of this password, the same each time."""
        if password not in self._kept:
            self._kept[password] = await super().hash(password)
        return self._kept[password]


async def seed_demo(
    database: Database,
    settings: Settings,
    *,
    scale: int = 1,
    now: dt.datetime | None = None,
    force: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> DemoSummary:
    """Create the demo company, and `scale` further projects of 400 tasks if that is above 1.

    Does nothing if it exists. `now` is the moment around which things are due, by default the
    present. `progress` receives a line now and then, such as "12,000 of 40,000 tasks". Raises
    `FORBIDDEN` in production unless forced, since the password is public; `ALREADY_EXISTS` if
    another user has one of the demo's usernames.
    """
    if settings.server.production and not force:
        raise Failure(
            "The demo's password is public, so the demo is not created in production. "
            "Use --force to create it all the same.",
            code=ErrorCode.FORBIDDEN,
        )
    moment = (now or dt.datetime.now(dt.UTC)).replace(microsecond=0)
    async with database.transaction() as transaction:
        await transaction.session.execute(text(WITHOUT_TIME_LIMITS))
        await _lock_out_others(transaction.session)
        made = not await exists(transaction.session)
        if made:
            await _make_company(transaction, database, settings, moment)
    if scale > 1:
        async with database.session() as session, session.begin():
            await session.execute(text(WITHOUT_TIME_LIMITS))
            await _lock_out_others(session)
            made = await bulk.make(session, moment, scale, progress) or made
    async with database.session() as session, session.begin():
        await session.execute(text(WITHOUT_TIME_LIMITS))
        if made:
            progress("Updating the statistics of PostgreSQL's planner")
            await _analyze(session)
        return await _summary(session, created=made)


async def _lock_out_others(session: AsyncSession) -> None:
    """Wait for another process that does the same."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


async def _make_company(
    transaction: Transaction, database: Database, settings: Settings, now: dt.datetime
) -> None:
    auth = Authenticator(settings, database)
    auth.passwords.close()
    auth.passwords = _OnePassword(settings.auth)
    zones = {person.username: person.timezone for person in PEOPLE}
    admins = {person.username for person in PEOPLE if person.is_admin}
    cast = plan.Cast()
    events: list[dict[str, Any]] = []
    random = Random(f"{_SEED} ids")  # noqa: S311 - ids that are the same every time
    try:
        for number, act in enumerate(plan.make(now, _SEED, auth), start=1):
            viewer = NOBODY
            if act.who is not None:
                viewer = Viewer(
                    user_id=cast[act.who],
                    is_admin=act.who in admins,
                    timezone=zones[act.who],
                )
            work = _StoryWork(
                transaction=transaction,
                viewer=viewer,
                now=act.at,
                request=RequestInfo(id=f"demo-{number:05d}"),
                random=random,
                events=events,
            )
            await act.do(work, cast)
            await work.session.flush()
        await work.write_events()
    finally:
        auth.close()


async def _analyze(session: AsyncSession) -> None:
    """Update the planner's statistics at once; otherwise that happens a minute later."""
    names = (f'"{table.name}"' for table in Base.metadata.sorted_tables)
    await session.execute(text(f"ANALYZE {', '.join(names)}"))


async def _summary(session: AsyncSession, *, created: bool) -> DemoSummary:
    counts = (
        select(func.count()).select_from(model).scalar_subquery() for model in (User, Project, Task)
    )
    row = (await session.execute(select(*counts))).one()
    users, projects, tasks = row
    return DemoSummary(
        LOGIN, PASSWORD, users=users, projects=projects, tasks=tasks, created=created
    )


__all__ = ["DemoSummary", "seed_demo"]
