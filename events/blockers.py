"""Find the transaction that holds the readers of the event log back.

Readers wait for the oldest writing transaction of the whole PostgreSQL server (`events.log`). That
may be another application's, in another database, or a prepared one that nobody has finished. A
role without `pg_read_all_stats` sees of others' transactions the process, the database, the user
and the application, but not since when they are open.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
from typing import Any, Final, NamedTuple

from db.engine import Database
from db.faults import described
from events.log import EventLog
from logs import logger

log = logger("taskloom.events")

HELD_SECONDS: Final = 5.0
"""Events that wait longer than this are held back, and not only by ordinary changes."""

EVERY_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.2

# Transaction IDs are numbers of 64 bits in snapshots, and their lower half elsewhere.
_FIND: Final = """
WITH oldest AS (
    SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::numeric % 4294967296)::text AS xid
)
SELECT a.pid, a.datname AS database, a.usename AS role, a.application_name AS application,
    a.xact_start AS since, a.state, NULL AS prepared, oldest.xid
FROM pg_stat_activity a, oldest WHERE a.backend_xid::text = oldest.xid
UNION ALL
SELECT NULL, p.database, p.owner, NULL, p.prepared, NULL, p.gid, oldest.xid
FROM pg_prepared_xacts p, oldest WHERE p.transaction::text = oldest.xid
"""


class Blocker(NamedTuple):
    """An open transaction, as far as the role may see it.

    `pid`: PostgreSQL's process; None for a prepared transaction, which has a name: `prepared`.
    """

    pid: int | None
    database: str | None
    role: str | None
    application: str | None
    since: dt.datetime | None
    state: str | None
    prepared: str | None
    xid: str

    def known(self) -> dict[str, Any]:
        """What is known of it, as text and numbers."""
        found = {name: value for name, value in self._asdict().items() if value}
        if self.since is not None:
            found["since"] = f"{self.since.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
        return found

    def __str__(self) -> str:
        names = {"pid": "process", "prepared": "prepared transaction", "since": "open since"}
        return ", ".join(f"{names.get(name, name)} {value}" for name, value in self.known().items())

    @property
    def remedy(self) -> str:
        """The SQL that ends it."""
        if self.prepared is None:
            return f"SELECT pg_terminate_backend({self.pid});"
        name = self.prepared.replace("'", "''")
        return f"ROLLBACK PREPARED '{name}';"


class Patience:
    """How long readers have been waiting at one place of the log.

    By the clock of this process: events have the time of the server that wrote them, whose clock
    may differ from the database's.
    """

    def __init__(self, event_log: EventLog) -> None:
        self._log = event_log
        self._place = 0
        self._since = 0.0

    async def seconds(self) -> float | None:
        """Seconds since they were first seen to wait here; None if no event waits."""
        head = await self._log.head()
        now = time.monotonic()
        if not head.waiting:
            self._place = 0
            return None
        if head.cursor.xid != self._place:
            self._place, self._since = head.cursor.xid, now
        return now - self._since


async def find_blocker(database: Database) -> Blocker | None:
    """The transaction that readers of the log wait for now; None if there is none."""
    async with database.connection() as connection:
        row = await connection.fetchrow(_FIND)
    return None if row is None else Blocker(*row)


async def find_lasting_blocker(database: Database) -> Blocker | None:
    """The transaction that readers wait for throughout `HELD_SECONDS`, or None."""
    blocker = await find_blocker(database)
    ends = time.monotonic() + HELD_SECONDS
    while blocker is not None and time.monotonic() < ends:
        await asyncio.sleep(_LOOK_SECONDS)
        found = await find_blocker(database)
        if found is None or found.xid != blocker.xid:
            return None
        blocker = found
    return blocker


async def watch(database: Database, event_log: EventLog, stop: asyncio.Event) -> None:
    """Log which transaction holds events back, once a minute while it does, until `stop` is set."""
    patience = Patience(event_log)
    logged_at: float | None = None
    while not stop.is_set():
        try:
            held = await patience.seconds()
            if held is None or held < HELD_SECONDS:
                if logged_at is not None:
                    log.info("events no longer wait for it")
                logged_at = None
            elif logged_at is None or time.monotonic() - logged_at >= _AGAIN_SECONDS:
                blocker = await find_blocker(database)
                fields = {} if blocker is None else blocker.known()
                log.warning("events wait for an open transaction", seconds=round(held), **fields)
                logged_at = time.monotonic()
        except Exception as error:  # noqa: BLE001 - others log it that cannot go on without it
            log.debug("whether events wait is not known", error=described(error))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EVERY_SECONDS):
                await stop.wait()
