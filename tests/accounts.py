"""Users with accounts, for tests: each one is new, so that tests do not share users."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import literal, select, update

from auth.authenticator import Authenticator
from auth.request import RequestInfo
from auth.viewer import NOBODY, Viewer
from db import models
from db.engine import Database
from domain.accounts import session, user
from domain.accounts.session import Grant
from domain.work import Transactions, Work
from events.bus import LocalBus
from settings import Settings

T = TypeVar("T")
PASSWORD = "correct horse battery"


class Clock:
    """A clock that stands still until `forward` moves it."""

    def __init__(self) -> None:
        self.now = dt.datetime.now(dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now

    def forward(self, **duration: float) -> None:
        """Move the clock: `clock.forward(seconds=11)`."""
        self.now += dt.timedelta(**duration)


class RunningClock(Clock):
    """The time as it passes, for what lives as long as a whole run: codes and tokens made with a
    clock that stands still since the run began are born expired once that is long ago.

    It cannot be moved, because all tests share it.
    """

    def __init__(self) -> None:
        pass

    @property
    def now(self) -> dt.datetime:  # type: ignore[override]
        """The time of this moment."""
        return dt.datetime.now(dt.UTC)


@dataclass(slots=True)
class Person:
    """An account and its first session."""

    username: str
    email: str
    grant: Grant

    @property
    def id(self) -> UUID:
        """The user's id."""
        return self.viewer.require()

    @property
    def viewer(self) -> Viewer:
        """The user as a viewer, with their first session."""
        return self.grant.viewer

    @property
    def header(self) -> str:
        """Their `Authorization` header."""
        return f"Bearer {self.grant.access_token}"


@dataclass(slots=True)
class House:
    """The account services of one server process."""

    settings: Settings
    database: Database
    clock: Clock = field(default_factory=Clock)
    bus: Any = None
    auth: Authenticator = field(init=False)

    def __post_init__(self) -> None:
        self.auth = Authenticator(self.settings, self.database, self.bus, self.clock)

    @property
    def transactions(self) -> Transactions:
        """Begins the transactions of its changes."""
        return Transactions(self.database, self.bus or LocalBus())

    @asynccontextmanager
    async def work(self, viewer: Viewer = NOBODY) -> AsyncIterator[Work]:
        """A unit of work, including what follows its commit."""
        request = RequestInfo(id=secrets.token_hex(8), ip="203.0.113.9", user_agent="tests/1")
        begun = self.transactions.begin(viewer, now=self.clock(), request=request)
        async with begun as work:
            yield work

    async def do(
        self,
        viewer: Viewer,
        operation: Callable[..., Awaitable[T]],
        *arguments: Any,
        **options: Any,
    ) -> T:
        """One domain operation, in its own unit of work."""
        async with self.work(viewer) as work:
            return await operation(work, *arguments, **options)

    async def person(self, password: str = PASSWORD) -> Person:
        """Register a new user."""
        name = f"p{secrets.token_hex(6)}"
        email = f"{name}@example.com"
        grant = await self.do(
            NOBODY,
            user.register,
            self.auth,
            username=name,
            email=email,
            password=password,
            full_name=f"Person {name}",
        )
        return Person(name, email, grant)

    async def admin(self) -> Person:
        """Register an administrator."""
        made = await self.person()
        async with self.work() as work:
            await work.session.execute(
                update(models.User).where(models.User.id == made.id).values(is_admin=True)
            )
        self.auth.forget(user_id=made.id)
        made.grant = await self.login(made)
        return made

    async def login(self, person: Person, password: str = PASSWORD) -> Grant:
        """Create another session."""
        return await self.do(
            NOBODY, session.create, self.auth, login=person.username, password=password
        )

    async def refresh(self, refresh_token: str) -> Grant:
        """Exchange a refresh token."""
        return await self.do(NOBODY, session.refresh, self.auth, refresh_token=refresh_token)

    async def kinds(self, user_id: UUID) -> list[str]:
        """The kinds of events about this user, in order."""
        async with self.work() as work:
            query = (
                select(models.Event.kind)
                .where(literal(user_id) == models.Event.audience.any_())
                .order_by(models.Event.position)
            )
            return list(await work.session.scalars(query))
