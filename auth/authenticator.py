"""Turns a request's credentials into its `Viewer`, at the cost of a dictionary lookup.

A token is verified once and then cached by its text. Whether its session and user are still active
is read from the database at most every three seconds per session in use. So a revocation in another
process takes effect here within three seconds, even if only the database is shared. `forget` makes
it take effect at once: the revoking code calls it in its own process, and the bus calls it in the
others. While the bus does not hear them, each request reads the state of its session.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from auth.api_keys import PREFIX as KEY_PREFIX
from auth.api_keys import ApiKeys
from auth.passwords import Passwords
from auth.tokens import Claims, Minted, Tokens
from auth.viewer import NOBODY, Credentials, Viewer
from cache import BoundedCache
from db import models
from db.engine import Database
from db.statements import Plan, Statement
from errors import Unauthenticated
from settings import Settings

# The contract is five seconds; the rest is for the read itself and a busy event loop.
RECHECK = dt.timedelta(seconds=3)
# Longer than the life of a stream token plus the clock difference between servers.
_USED_KEPT = dt.timedelta(minutes=10)
_MOST_TOKENS = 20_000
_MOST_SESSIONS = 20_000

FORGET = "forget"
"""The bus topic of revocations: `{"session_id": id}` or `{"user_id": id}`."""

_SESSION_STATE = Statement(
    select(
        models.Session.id,
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
    .where(models.Session.id == any_(bindparam("session_ids", type_=ARRAY(Uuid())))),
    plan=Plan.ONCE,
)


class Bus(Protocol):
    """The part of `events.bus` that is needed here: messages between processes."""

    async def publish_heard(self, topic: str, payload: Any) -> None:
        """Send a message to all processes, and wait until they have acted on it. It can be lost,
        which only causes a delay.
        """

    def subscribe(self, topic: str, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Receive messages until the returned function is called."""

    @property
    def hears(self) -> bool:
        """Whether messages of other processes arrive."""

    def on_connection(self, callback: Callable[[bool], None]) -> Callable[[], None]:
        """Call back when `hears` changes, until the returned function is called."""


class _SessionState:
    """The state of a session in the database, and until when it is cached.

    Tokens of a session share it, so that `forget` invalidates all of them with one assignment.
    """

    __slots__ = (
        "current",
        "is_admin",
        "refusal",
        "session_id",
        "timezone",
        "until",
        "user_id",
        "viewer",
        "week_start",
    )

    def __init__(self, row: Any, now: dt.datetime, kept: dt.timedelta) -> None:
        self.current = True
        self.until = now + kept
        self.session_id: UUID | None = None
        self.user_id: UUID | None = None
        # Of the credentials that were looked at last.
        self.viewer: Viewer | None = None
        self.is_admin = False
        self.timezone = "UTC"
        self.week_start = models.WeekDay.MONDAY
        self.refusal: str | None = None
        if row is None or row.deleted_at is not None:
            self.refusal = "The session no longer exists; sign in again."
            return
        self.session_id, self.user_id = row.id, row.user_id
        self.is_admin = row.is_admin
        self.timezone = row.timezone
        self.week_start = models.WeekDay(row.week_start)
        if not row.is_active:
            self.refusal = "The account was deactivated by an administrator."
        elif row.revoked_at is not None:
            self.refusal = "The session was revoked; sign in again."
        elif row.expires_at <= now:
            self.refusal = "The session has expired; sign in again."
        else:
            self.until = min(self.until, row.expires_at)

    def end(self) -> None:
        """Stop using it."""
        self.current = False


class _Known:
    """A verified token: its viewer, its expiry and its session's state."""

    __slots__ = ("claims", "state", "until", "viewer")

    def __init__(self, claims: Claims, state: _SessionState, viewer: Viewer) -> None:
        self.claims = claims
        self.state = state
        self.viewer = viewer
        self.until = min(claims.expires_at, state.until)


class _Sessions:
    """Reads rows of sessions: one statement for all that are asked for in one turn of the event
    loop. An event reaches all its subscribers in one turn, and their sessions are read again at the
    same time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # What the next statement reads, and the task that runs it.
        self._wanted: set[UUID] = set()
        self._next: asyncio.Task[dict[UUID, Any]] | None = None

    async def row(self, session_id: UUID) -> Any:
        """The row of a session, read from now on; None if there is none."""
        self._wanted.add(session_id)
        if self._next is None:
            self._next = asyncio.create_task(self._read())
            self._next.add_done_callback(_look_away)
        # Shielded: one that is cancelled must not cancel the read for the others.
        return (await asyncio.shield(self._next)).get(session_id)

    async def _read(self) -> dict[UUID, Any]:
        # Others of this turn join.
        await asyncio.sleep(0)
        wanted, self._wanted, self._next = self._wanted, set(), None
        rows = await self._database.all_rows.fetch(_SESSION_STATE, {"session_ids": [*wanted]})
        return {row.id: row for row in rows}


class Authenticator:
    """One per process. `domain.accounts.session` uses `passwords` and `tokens`."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        bus: Bus | None = None,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self.passwords = Passwords(settings.auth)
        self.tokens = Tokens(settings)
        self.keys = ApiKeys(database, clock, self._recheck)
        self.database = database
        self.settings = settings
        self._bus = bus
        self._unsubscribe: list[Callable[[], None]] = []
        if bus is not None:
            self._unsubscribe = [
                bus.subscribe(FORGET, self._on_forget),
                bus.on_connection(self._on_connection),
            ]
        self._clock = clock
        self._known = BoundedCache[str, _Known](_MOST_TOKENS)
        # `forget` cannot find a dropped one, so it must not be used either.
        self._states = BoundedCache[UUID, _SessionState](
            _MOST_SESSIONS, dropped=lambda _, state: state.end()
        )
        self._sessions = _Sessions(database)
        # One read at a time per session, however many requests wait for it.
        self._asking: dict[UUID, asyncio.Task[_SessionState]] = {}

    def close(self) -> None:
        """Stop the threads and unsubscribe from the bus."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self.passwords.close()

    # --- authentication --------------------------------------------------------------------------

    async def viewer(self, authorization: str | None) -> Viewer:
        """The viewer of an `Authorization` header; `NOBODY` without a header.

        Raises `Unauthenticated`, with the reason, if the header is invalid.
        """
        if authorization is None:
            return NOBODY
        known = self._known.get(authorization)
        if known is not None and known.state.current and self._clock() < known.until:
            return known.viewer
        return await self._admit(authorization)

    async def use_stream_token(self, token: str) -> Viewer:
        """The viewer of a stream token, which is used up.

        Raises `Unauthenticated` if the token is invalid or was used before, in any process.
        """
        now = self._clock()
        claims = self.tokens.verify_stream(token, now)
        viewer = _viewer(claims, await self._state(claims.session_id))
        used = models.UsedStreamToken
        # The row is the lock: of several concurrent attempts, only one inserts it.
        row = {"id": claims.token_id, "expires_at": now + _USED_KEPT}
        claim = insert(used).values(row).on_conflict_do_nothing().returning(used.id)
        async with self.database.session() as session, session.begin():
            if await session.scalar(claim) is None:
                raise Unauthenticated(
                    "The stream token was already used. Create a new one with `streamTokenCreate`."
                )
        return viewer

    async def current(self, credentials: Credentials) -> Viewer:
        """The viewer of these credentials, with their current permissions.

        Costs a dictionary lookup; call it for every operation and delivery of a connection. Raises
        `Unauthenticated`, with the reason, if the credentials are no longer valid.
        """
        if credentials.api_key_id is not None:
            return await self.keys.current(credentials.api_key_id)
        user_id, session_id = credentials.user_id, credentials.session_id
        if user_id is None or session_id is None or credentials.expires_at is None:
            return NOBODY
        now, expires_at = self._clock(), credentials.expires_at
        if expires_at <= now:
            raise Unauthenticated("The access token has expired.")
        viewer = self._cached(credentials, now)
        if viewer is None:
            state = await self._state(session_id)
            viewer = state.viewer = _viewer_of(user_id, expires_at, state)
        return viewer

    def known_valid(self, credentials: Credentials) -> bool:
        """Whether a session's credentials are valid by what is cached; `still_valid` reads."""
        now, ends = self._clock(), credentials.expires_at
        return ends is not None and now < ends and self._cached(credentials, now) is not None

    def _cached(self, credentials: Credentials, now: dt.datetime) -> Viewer | None:
        """The same object for each delivery to a stream, while the session's state is cached."""
        if credentials.session_id is None:
            return None
        state = self._states.get(credentials.session_id)
        if state is None or state.until <= now:
            return None
        viewer = state.viewer
        if (
            viewer is None
            or viewer.user_id != credentials.user_id
            or viewer.expires_at != credentials.expires_at
        ):
            return None
        return viewer

    async def still_valid(self, credentials: Credentials) -> bool:
        """Whether an open stream with these credentials can continue."""
        try:
            await self.current(credentials)
        except Unauthenticated:
            return False
        return True

    def mint_stream_token(self, viewer: Viewer) -> Minted:
        """A token with which this viewer can open one subscription by GET, within a minute."""
        user_id = viewer.require()
        if viewer.session_id is None or viewer.expires_at is None:
            raise Unauthenticated(
                "Stream tokens require a signed-in session; API keys cannot create them."
            )
        return self.tokens.mint_stream(user_id, viewer.session_id, viewer.expires_at, self._clock())

    async def _admit(self, authorization: str) -> Viewer:
        """The slow path: API keys, and tokens that are unknown or whose state is no longer
        cached.
        """
        if _is_key(authorization):
            return await self.keys.viewer(_bearer(authorization))
        known = self._known.get(authorization)
        if known is not None and self._clock() < known.claims.expires_at:
            claims = known.claims
        else:
            claims = self.tokens.verify_access(_bearer(authorization), self._clock())
        state = await self._state(claims.session_id)
        viewer = _viewer(claims, state)
        self._known[authorization] = _Known(claims, state, viewer)
        return viewer

    async def _state(self, session_id: UUID) -> _SessionState:
        state = self._states.get(session_id)
        if state is not None and self._clock() < state.until:
            return state
        asking = self._asking.get(session_id)
        # A read that runs can have begun before a revocation of which nothing will be heard.
        if asking is None or not self._hears():
            asking = self._asking[session_id] = asyncio.create_task(self._ask(session_id))
            asking.add_done_callback(_look_away)
        # Shielded: a cancelled request must not cancel the read for the others.
        return await asyncio.shield(asking)

    async def _ask(self, session_id: UUID) -> _SessionState:
        this = asyncio.current_task()
        # The time before the read: the answer is cached from then on.
        now, kept = self._clock(), self._recheck()
        try:
            row = await self._sessions.row(session_id)
            state = _SessionState(row, now, kept)
            if self._asking.get(session_id) is this:
                self._states[session_id] = state
            else:
                # `forget` was called in the meantime: the answer can predate the revocation.
                state.end()
            return state
        finally:
            if self._asking.get(session_id) is this:
                del self._asking[session_id]

    def _hears(self) -> bool:
        return self._bus is None or self._bus.hears

    def _recheck(self) -> dt.timedelta:
        """For how long what is read now can be used."""
        return RECHECK if self._hears() else dt.timedelta()

    # --- revocation ------------------------------------------------------------------------------

    def forget(self, *, session_id: UUID | None = None, user_id: UUID | None = None) -> None:
        """Drop what is cached about this session or this user's sessions.

        Takes effect at once, in this process only; call it after the commit.
        """
        self.keys.forget(user_id)
        # A running read can have started before the commit, and its user is not known yet.
        self._asking.clear()
        for known_id, state in self._states.items():
            if known_id == session_id or (user_id is not None and state.user_id == user_id):
                self._states.pop(known_id)
                state.end()

    async def forget_everywhere(
        self, *, session_id: UUID | None = None, user_id: UUID | None = None
    ) -> None:
        """Call `forget` in this process and in all others."""
        self.forget(session_id=session_id, user_id=user_id)
        if self._bus is not None:
            ids = {"session_id": session_id, "user_id": user_id}
            # A client that is told that a session has ended finds it ended everywhere.
            await self._bus.publish_heard(
                FORGET, {name: id_.hex for name, id_ in ids.items() if id_}
            )

    def _on_connection(self, hears: bool) -> None:
        """What was read before is not told of revocations any longer."""
        if not hears:
            self.keys.forget_all()
            self._asking.clear()
            for session_id, state in self._states.items():
                self._states.pop(session_id)
                state.end()

    def _on_forget(self, payload: Mapping[str, str]) -> None:
        self.forget(**{name: UUID(hex=value) for name, value in payload.items()})


def _look_away(task: asyncio.Task[Any]) -> None:
    """If a read fails after all who waited for it were cancelled, nobody has to know."""
    if not task.cancelled():
        task.exception()


def _viewer(claims: Claims, state: _SessionState) -> Viewer:
    return _viewer_of(claims.user_id, claims.expires_at, state)


def _viewer_of(user_id: UUID, expires_at: dt.datetime, state: _SessionState) -> Viewer:
    if state.refusal is not None:
        raise Unauthenticated(state.refusal)
    if state.user_id != user_id:
        raise Unauthenticated("The token does not belong to its session's user.")
    return Viewer(
        # The driver's UUIDs, which are hashed and sent to PostgreSQL in a tenth of the time.
        user_id=state.user_id,
        session_id=state.session_id,
        is_admin=state.is_admin,
        timezone=state.timezone,
        week_start=state.week_start,
        expires_at=expires_at,
    )


def _is_key(authorization: str) -> bool:
    return authorization.partition(" ")[2].lstrip().startswith(KEY_PREFIX)


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or " " in token:
        raise Unauthenticated(
            "The Authorization header must be: Bearer <access token>, or Bearer <API key>."
        )
    return token
