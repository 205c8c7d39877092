"""Queries on a read replica, without anyone missing a change of their own.

A replica repeats the primary's log of changes (WAL) and lags behind. Each process asks both servers
twice a second how far they are. After a change, the position of the primary's log is noted for its
author, in Redis if there are several processes. The author's queries use the primary until the
replica has repeated the log up to there. If the replica does not answer, lags by more than
`MOST_LAG`, or cancels a query in favour of repeating the log, the primary serves.

What is not known counts against the replica. A process that starts uses it once it has repeated
what the primary had written by then. A Redis that was empty, or that lacks the note of a change,
may lack notes of any process: for `MOST_LAG` nobody uses the replica (see `_NOTED`).

Within an operation nothing goes back in time: once a statement was left to the primary, those after
it are, too. Only queries use the replica: changes, subscriptions and credentials do not.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import BigInteger, literal_column, select

from cache import BoundedCache
from db import redis
from db.faults import database_fault
from db.pool import Connection, Pool
from db.read import Reader
from db.statements import Statement
from settings import RedisSettings

log = logging.getLogger("taskloom.database")

# Seconds.
MOST_LAG: Final = 30.0
_EVERY: Final = 0.5
_ANSWER_SECONDS: Final = 3.0
# A position matters for as long as a replica in use can lag behind it.
_KEPT_SECONDS: Final = int(4 * MOST_LAG)
_MOST_KEPT: Final = 50_000

# Keys in Redis. `_NOTED` exists while all changes are noted; who finds it missing makes it, and
# `_SINCE` beside it, which expires when the changes of before no longer matter.
_NOTED: Final = "noted"
_SINCE: Final = "noted-since"


class _Use:
    """That an operation reads from the replica; `over` once the primary has served it."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False


_use: contextvars.ContextVar[_Use | None] = contextvars.ContextVar("replica", default=None)


def leave_replica() -> bool:
    """Read from the primary for the rest of this operation. Whether it used the replica so far."""
    use = _use.get()
    if use is None or use.over:
        return False
    use.over = True
    return True


def _bytes(position: str) -> Any:
    return literal_column(f"({position} - '0/0'::pg_lsn)::bigint", BigInteger()).label("position")


# Of a replica that was promoted, or of a primary that is given as its own replica, the second.
_REPLAYED = Statement(
    select(
        _bytes(
            "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
            " ELSE pg_current_wal_insert_lsn() END"
        )
    )
)
_WRITTEN = Statement(select(_bytes("pg_current_wal_insert_lsn()")))


class Replica:
    """The replica as one process knows it. `start` before use."""

    def __init__(
        self,
        primary: Reader,
        reader: Reader,
        settings: RedisSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reader = reader
        self._primary = primary
        self._clock = clock
        # How far the replica is at least; None while it cannot be used.
        self._replayed: int | None = None
        # When the primary was how far, since the last position that the replica has reached; and
        # when that was. None if it has reached none yet, so that its lag is not known.
        self._positions: deque[tuple[float, int]] = deque()
        self._reached: float | None = None
        # How often a change could not be noted; and whether Redis lacks a note without saying so.
        self._unnoted = 0
        self._redis_lacks_note = False
        self._written = BoundedCache[str, int](_MOST_KEPT)
        self._redis: Any = None
        if settings.url is not None:
            self._redis = redis.connect(
                settings.url, socket_timeout=1.0, socket_connect_timeout=1.0
            )
            self._prefix = f"{settings.prefix}wrote:"
            self._availability = redis.Availability(self._redis, "the read replica is not used")
        self._watching: asyncio.Task[None] | None = None

    @property
    def usable(self) -> bool:
        """Whether it answers and hardly lags."""
        return self._replayed is not None

    async def start(self) -> None:
        """Find out how far it is, and keep watching."""
        await self.look()
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop watching, and close the connections."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self.reader.close()
        if self._redis is not None:
            await self._availability.close()
            await self._redis.aclose()

    async def wrote(self, author: str) -> None:
        """Note that someone has just changed something: after the commit, before the answer."""
        try:
            (row,) = await self._primary.fetch(_WRITTEN, {})
            position: int = row.position
        except Exception as error:  # noqa: BLE001 - the change is made
            log.warning("the position of the primary is unknown: %s", error)
            # The replica has the change once it has reached a position that was asked for later.
            self._forget_positions()
            await self._report_missing_note()
            return
        self._written[author] = position
        if self._redis is None:
            return
        if self._availability.away:
            self._redis_lacks_note = True
            return
        try:
            await self._redis.set(f"{self._prefix}{author}", position, ex=_KEPT_SECONDS)
        except redis.failures() as error:
            # Redis may be full, and the others can read what it has nevertheless.
            log.warning("a change could not be noted in Redis: %s", error)
            await self._report_missing_note()

    async def serves(self, readers: Collection[str]) -> bool:
        """Whether it has all that these have changed, in whichever process."""
        if self._replayed is None or self._redis_lacks_note:
            return False
        if any(self._written.get(reader, 0) > self._replayed for reader in readers):
            return False
        if self._redis is None:
            return True
        if self._availability.away:
            return False
        names = [_NOTED, _SINCE, *readers]
        try:
            noted, since, *found = await self._redis.mget(self._prefix + name for name in names)
            if noted is None:
                await self._note_from_now()
        except redis.failures() as error:
            self._availability.failed(error)
            return False
        # It may have become unusable in the meantime.
        return (
            self.usable
            and noted is not None
            and since is None
            and all(position is None or int(position) <= self._replayed for position in found)
        )

    async def _note_from_now(self) -> None:
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.set(self._prefix + _SINCE, 1, ex=int(MOST_LAG))
        pipeline.set(self._prefix + _NOTED, 1)
        await pipeline.execute()

    async def _report_missing_note(self) -> None:
        """Let the other processes know that Redis lacks a change, as soon as it can be reached."""
        if self._redis is None:
            return
        self._redis_lacks_note = True
        if self._availability.away:
            return
        try:
            # A Redis that is full takes this.
            await self._redis.delete(self._prefix + _NOTED)
            self._redis_lacks_note = False
        except redis.failures() as error:
            self._availability.failed(error)

    def _forget_positions(self) -> None:
        self._unnoted += 1
        self._replayed = self._reached = None
        self._positions.clear()

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Reads in this block, and in the tasks that it starts, use the replica."""
        token = _use.set(_Use())
        try:
            yield
        finally:
            _use.reset(token)

    async def look(self) -> None:
        """See how far both servers are."""
        unnoted, now = self._unnoted, self._clock()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                (primary,) = await self._primary.fetch(_WRITTEN, {})
                (row,) = await self.reader.fetch(_REPLAYED, {})
        except Exception as error:  # noqa: BLE001 - the primary serves
            if self._replayed is not None:
                log.warning("the read replica is not used: %s", error)
            self._replayed = None
            return
        if unnoted != self._unnoted:
            # The position may be from before the change that could not be noted.
            return
        # A service without positions (NULL) cannot be used.
        replayed = row.position
        positions = self._positions
        positions.append((now, primary.position))
        while positions and replayed is not None and positions[0][1] <= replayed:
            self._reached = positions.popleft()[0]
        # To reach one of these would be too late.
        while positions and now - positions[0][0] > MOST_LAG:
            positions.popleft()
        lags = self._reached is None or now - self._reached > MOST_LAG
        if lags and self._replayed is not None:
            log.warning("the read replica lags by more than %g s and is not used", MOST_LAG)
        self._replayed = None if lags else replayed

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            await self.look()
            if self._redis_lacks_note:
                await self._report_missing_note()


class ReplicatedReader(Reader):
    """The primary's reader; reads in a block of `Replica.used` go to the replica."""

    replica: Replica | None = None

    async def fetch(
        self, statement: Statement, params: Mapping[str, Any], *, viewer: str | None = None
    ) -> list[Any]:
        """See `Reader`."""
        use = _use.get()
        if self.replica is not None and use is not None and not use.over:
            try:
                return await self.replica.reader.fetch(statement, params, viewer=viewer)
            except Exception as error:
                # Also if the replica has ended the query, since repeating the log must not wait.
                if database_fault(error) is None:
                    raise
            use.over = True
        return await super().fetch(statement, params, viewer=viewer)

    def pools(self) -> dict[str, Pool[Connection]]:
        """The connections, by what they are for."""
        own = super().pools()
        if self.replica is None:
            return own
        others = self.replica.reader.pools()
        return {**own, **{f"replica_{name}": pool for name, pool in others.items()}}
