"""From a request's credentials to its `Viewer`, at the price of a look-up in a dictionary.

A token is verified once and then known by its text. What a token cannot say, whether its session
still stands and its user is still active, is one row of the database, read at most every three
seconds for each session in use. So a revocation that was made in another process holds here within
three seconds even where the two share nothing but the database. `forget` makes it hold at once: in
this process because whoever revokes calls it, in the others because the bus repeats it there.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from auth.api_keys import PREFIX as KEY_PREFIX
from auth.api_keys import ApiKeys
from auth.passwords import Passwords
from auth.tokens import Claims, Minted, Tokens
from auth.viewer import NOBODY, Credentials, Viewer
from cache import BoundedCache
from db import models
from db.engine import Database
from db.read import Statement
from errors import Unauthenticated
from settings import Settings

# The promise is five seconds; the rest is for the read itself and for a busy loop.
RECHECK = dt.timedelta(seconds=3)
# Longer than a stream token lives, by more than the clocks of several servers differ.
_USED_KEPT = dt.timedelta(minutes=10)
_MOST_TOKENS = 20_000
_MOST_SESSIONS = 20_000

FORGET = "forget"
"""The topic of revocations: `{"session_id": id}` or `{"user_id": id}`."""

_STANDING = Statement(
    select(
        models.Session.user_id,
        models.Session.expires_at,
        models.Session.revoked_at,
        models.User.is_active,
        models.User.is_admin,
        models.User.timezone,
        models.User.week_start,
        models.User.deleted_at,
    )
    .join(models.User, models.User.id == models.Session.user_id)
    .where(models.Session.id == bindparam("session_id")),
    plan_once=True,
)


class Bus(Protocol):
    """The part of `events.bus` that is needed here: messages to and from the other processes."""

    async def publish(self, topic: str, payload: Any) -> None:
        """Tell everybody. May be lost, which costs a delay only."""

    def subscribe(self, topic: str, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Hear what others publish, until the returned function is called."""


class _Standing:
    """What the database said of a session, and until when that is believed.

    Tokens of one session share it, so that `forget` reaches all of them by one assignment.
    """

    __slots__ = ("current", "is_admin", "refusal", "timezone", "until", "user_id", "week_start")

    def __init__(self, row: Any, now: dt.datetime) -> None:
        self.current = True
        self.until = now + RECHECK
        self.user_id: UUID | None = None
        self.is_admin = False
        self.timezone = "UTC"
        self.week_start = models.WeekDay.MONDAY
        self.refusal: str | None = None
        if row is None or row.deleted_at is not None:
            self.refusal = "The session does not exist any more; sign in again."
            return
        self.user_id = row.user_id
        self.is_admin = row.is_admin
        self.timezone = row.timezone
        self.week_start = models.WeekDay(row.week_start)
        if not row.is_active:
            self.refusal = "The account was deactivated by an administrator."
        elif row.revoked_at is not None:
            self.refusal = "The session was ended; sign in again."
        elif row.expires_at <= now:
            self.refusal = "The session has expired; sign in again."
        else:
            self.until = min(self.until, row.expires_at)

    def end(self) -> None:
        """Believe it no longer."""
        self.current = False


class _Known:
    """A verified token: whose it is, until when, and on what standing."""

    __slots__ = ("claims", "standing", "until", "viewer")

    def __init__(self, claims: Claims, standing: _Standing, viewer: Viewer) -> None:
        self.claims = claims
        self.standing = standing
        self.viewer = viewer
        self.until = min(claims.expires_at, standing.until)


class Authenticator:
    """One per process. `passwords` and `tokens` are what `domain.accounts.session` works with."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        bus: Bus | None = None,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self.passwords = Passwords(settings.auth)
        self.tokens = Tokens(settings)
        self.keys = ApiKeys(database, clock, RECHECK)
        self.database = database
        self.settings = settings
        self._bus = bus
        self._deaf = bus.subscribe(FORGET, self._on_forget) if bus is not None else None
        self._clock = clock
        self._known = BoundedCache[str, _Known](_MOST_TOKENS)
        # What `forget` can no longer find must not be believed either.
        self._standings = BoundedCache[UUID, _Standing](
            _MOST_SESSIONS, dropped=lambda _, standing: standing.end()
        )
        # One read at a time for each session, however many requests wait for it.
        self._asking: dict[UUID, asyncio.Task[_Standing]] = {}

    def close(self) -> None:
        """Let go of the threads, and of the bus."""
        if self._deaf is not None:
            self._deaf()
        self.passwords.close()

    # --- who asks --------------------------------------------------------------------------------

    async def viewer(self, authorization: str | None) -> Viewer:
        """Who sends this `Authorization` header: nobody where there is none.

        Raises `Unauthenticated`, with the reason, for a header that names nobody.
        """
        if authorization is None:
            return NOBODY
        known = self._known.get(authorization)
        if known is not None and known.standing.current and self._clock() < known.until:
            return known.viewer
        return await self._admit(authorization)

    async def use_stream_token(self, token: str) -> Viewer:
        """Who opens a subscription with this stream token, which is used up by it.

        `Unauthenticated` if the token is not valid or was used before, in whichever process.
        """
        now = self._clock()
        claims = self.tokens.verify_stream(token, now)
        viewer = _viewer(claims, await self._standing(claims.session_id))
        used = models.UsedStreamToken
        # The row is the lock: of several attempts at once, one inserts it.
        row = {"id": claims.token_id, "expires_at": now + _USED_KEPT}
        claim = insert(used).values(row).on_conflict_do_nothing().returning(used.id)
        async with self.database.session() as session, session.begin():
            if await session.scalar(claim) is None:
                raise Unauthenticated("The stream token was used already. Ask for a new one.")
        return viewer

    async def current(self, credentials: Credentials) -> Viewer:
        """Who these credentials stand for at this moment, with the rights of this moment.

        A look-up in a dictionary, to be made for every operation and delivery of a connection.
        Raises `Unauthenticated`, with the reason, if they are no longer valid.
        """
        if credentials.api_key_id is not None:
            return await self.keys.current(credentials.api_key_id)
        user_id, session_id = credentials.user_id, credentials.session_id
        if user_id is None or session_id is None or credentials.expires_at is None:
            return NOBODY
        if credentials.expires_at <= self._clock():
            raise Unauthenticated("The access token has expired.")
        return _viewer_of(
            user_id, session_id, credentials.expires_at, await self._standing(session_id)
        )

    async def still_valid(self, credentials: Credentials) -> bool:
        """Whether an open stream with these credentials may go on."""
        try:
            await self.current(credentials)
        except Unauthenticated:
            return False
        return True

    def mint_stream_token(self, viewer: Viewer) -> Minted:
        """A token with which this viewer may open one subscription by GET, within a minute."""
        user_id = viewer.require()
        if viewer.session_id is None or viewer.expires_at is None:
            raise Unauthenticated("Stream tokens are for those who signed in with a session.")
        return self.tokens.mint_stream(user_id, viewer.session_id, viewer.expires_at, self._clock())

    async def _admit(self, authorization: str) -> Viewer:
        """The way of API keys, and of a token that is unknown or was not looked at for a while."""
        if _is_key(authorization):
            return await self.keys.viewer(_bearer(authorization))
        known = self._known.get(authorization)
        if known is not None and self._clock() < known.claims.expires_at:
            claims = known.claims
        else:
            claims = self.tokens.verify_access(_bearer(authorization), self._clock())
        standing = await self._standing(claims.session_id)
        viewer = _viewer(claims, standing)
        self._known[authorization] = _Known(claims, standing, viewer)
        return viewer

    async def _standing(self, session_id: UUID) -> _Standing:
        standing = self._standings.get(session_id)
        if standing is not None and self._clock() < standing.until:
            return standing
        asking = self._asking.get(session_id)
        if asking is None:
            asking = self._asking[session_id] = asyncio.create_task(self._ask(session_id))
        # Shielded: who stops waiting must not take the answer from the others.
        return await asyncio.shield(asking)

    async def _ask(self, session_id: UUID) -> _Standing:
        this = asyncio.current_task()
        # The moment before the read: what is true then is believed for so long, not longer.
        now = self._clock()
        try:
            rows = await self.database.reader.fetch(_STANDING, {"session_id": session_id})
            standing = _Standing(rows[0] if rows else None, now)
            if self._asking.get(session_id) is this:
                self._standings[session_id] = standing
            else:
                # `forget` came meanwhile: the answer may be from before the revocation.
                standing.end()
            return standing
        finally:
            if self._asking.get(session_id) is this:
                del self._asking[session_id]

    # --- who asks no longer ----------------------------------------------------------------------

    def forget(self, *, session_id: UUID | None = None, user_id: UUID | None = None) -> None:
        """Believe nothing of this session, or of this user's sessions, until asked again.

        In this process only, and at once; to be called after the commit.
        """
        self.keys.forget(user_id)
        # A read that is under way may have begun before the commit, and does not say of which user.
        self._asking.clear()
        for known_id, standing in self._standings.items():
            if known_id == session_id or (user_id is not None and standing.user_id == user_id):
                self._standings.pop(known_id)
                standing.end()

    async def forget_everywhere(
        self, *, session_id: UUID | None = None, user_id: UUID | None = None
    ) -> None:
        """`forget` here, and ask the other processes to do the same."""
        self.forget(session_id=session_id, user_id=user_id)
        if self._bus is not None:
            ids = {"session_id": session_id, "user_id": user_id}
            await self._bus.publish(FORGET, {name: id_.hex for name, id_ in ids.items() if id_})

    def _on_forget(self, payload: Mapping[str, str]) -> None:
        self.forget(**{name: UUID(hex=value) for name, value in payload.items()})


def _viewer(claims: Claims, standing: _Standing) -> Viewer:
    return _viewer_of(claims.user_id, claims.session_id, claims.expires_at, standing)


def _viewer_of(
    user_id: UUID, session_id: UUID, expires_at: dt.datetime, standing: _Standing
) -> Viewer:
    if standing.refusal is not None:
        raise Unauthenticated(standing.refusal)
    if standing.user_id != user_id:
        raise Unauthenticated("The token names another user than its session.")
    return Viewer(
        user_id=user_id,
        session_id=session_id,
        is_admin=standing.is_admin,
        timezone=standing.timezone,
        week_start=standing.week_start,
        expires_at=expires_at,
    )


def _is_key(authorization: str) -> bool:
    return authorization.partition(" ")[2].lstrip().startswith(KEY_PREFIX)


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or " " in token:
        raise Unauthenticated(
            "The Authorization header must read: Bearer <access token>, or Bearer <API key>."
        )
    return token
