"""Records which rows an operation locks, how, and in which order, by stopping it at each of them.

PostgreSQL does not show who holds which row, but a waiting transaction shows for whom it waits. So
the operation runs twice on the same data. After the first run, the rows that it locked are those
whose `xmin` or `xmax` has changed. Before the second, each of these is locked by a connection of
its own, in all four modes, each in a subtransaction of its own. The operation then stops at each
row, the checks of foreign keys included; the subtransaction for which it waits tells the mode that
it asks for, and is rolled back, so that it goes on to the next.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg

from tests.cancellation.state import State

MODES = ("FOR KEY SHARE", "FOR SHARE", "FOR NO KEY UPDATE", "FOR UPDATE")
KEY_SHARE, SHARE, NO_KEY_UPDATE, UPDATE = range(4)
ADVISORY = "advisory"
_MOST = 60
_READ = re.compile(r"\bFROM (\w+)")
_WAITING = """
SELECT a.pid, a.xact_start, wanted.transactionid::text::bigint AS xid,
  (pg_blocking_pids(a.pid))[1] AS blocker,
  (SELECT coalesce(array_agg(classid || ':' || objid), '{}') FROM pg_locks held
   WHERE held.pid = a.pid AND held.locktype = 'advisory' AND held.granted) AS advisory
FROM pg_stat_activity a JOIN pg_locks wanted ON wanted.pid = a.pid AND NOT wanted.granted
WHERE a.application_name = $1 AND a.datname = current_database()
  AND wanted.locktype = 'transactionid'
"""


class Row(NamedTuple):
    """A row by its table and primary key; an advisory lock by its number."""

    table: str
    key: str


class Taken(NamedTuple):
    """A row that a transaction asked for, and how (an index of `MODES`)."""

    row: Row
    mode: int


@dataclass(slots=True)
class Trace:
    """The locks of one operation: those of each of its transactions, in order. `untold`: rows at
    which it was not stopped, since it passes over rows that others have locked (`passed`: the
    tables where it does), or there were too many.
    """

    name: str
    transactions: list[list[Taken]] = field(default_factory=list)
    passed: frozenset[str] = frozenset()
    untold: set[Row] = field(default_factory=set)


class Recorder:
    """One database and one application on it. `listeners`: called with the text of each statement
    of the application.
    """

    def __init__(self, state: State, dsn: str, listeners: list[Callable[[str], None]]) -> None:
        self._state = state
        self._dsn = dsn
        self._listeners = listeners
        self._keys: dict[str, str] = {}
        self._idle: list[asyncpg.Connection[Any]] = []

    async def prepare(self) -> None:
        """Find the primary keys."""
        rows = await self._state.watch.fetch(
            "SELECT c.conrelid::regclass::text AS name, string_agg(format('%I::text', a.attname),"
            " ' || '','' || ' ORDER BY a.attnum) AS key FROM pg_constraint c JOIN pg_attribute a"
            " ON a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)"
            " WHERE c.contype = 'p' AND c.connamespace = 'public'::regnamespace"
            " AND c.conrelid::regclass::text NOT IN ('alembic_version', 'events') GROUP BY 1"
        )
        self._keys = {row["name"]: row["key"] for row in rows}

    async def _rows(self) -> dict[Row, tuple[Any, ...]]:
        rows = await self._state.watch.fetch(
            " UNION ALL ".join(
                f"SELECT '{name}', {key}, xmin::text, xmax::text, ctid::text FROM {name}"
                for name, key in self._keys.items()
            )
        )
        return {Row(table, key): tuple(rest) for table, key, *rest in rows}

    async def trace(self, name: str, run: Callable[[], Awaitable[Any]]) -> Trace:
        """Run it twice on the present data, which are restored in between and afterwards."""
        await self._state.keep()
        heard: list[str] = []
        self._listeners.append(heard.append)
        before = await self._rows()
        await asyncio.ensure_future(run())
        after = await self._rows()
        self._listeners.remove(heard.append)
        await self._state.restore()
        passing = {
            table for text in heard if "SKIP LOCKED" in text for table in _READ.findall(text)
        }
        locked = {row for row, state in before.items() if after.get(row) != state}
        untold = {row for row in locked if row.table in passing}
        trace = Trace(name, passed=frozenset(passing), untold=untold)
        if locked - trace.untold:
            await self._follow(trace, sorted(locked - trace.untold)[:_MOST], run)
        await self._state.restore()
        return trace

    async def _follow(
        self, trace: Trace, rows: list[Row], run: Callable[[], Awaitable[Any]]
    ) -> None:
        async with self._held(rows) as held:
            transactions: dict[Any, tuple[list[Taken], set[str]]] = {}
            running = asyncio.ensure_future(run())
            while not running.done():
                for wait in await self._state.watch.fetch(_WAITING, self._state.name):
                    holder = held.get(wait["blocker"])
                    if holder is None or wait["xid"] not in holder.xids:
                        continue
                    taken, names = transactions.setdefault(
                        (wait["pid"], wait["xact_start"]), ([], set())
                    )
                    taken += [
                        Taken(Row(ADVISORY, name), UPDATE)
                        for name in wait["advisory"]
                        if name not in names
                    ]
                    names.update(wait["advisory"])
                    taken.append(Taken(holder.row, await holder.give_way(wait["xid"])))
                await asyncio.wait([running], timeout=0.001)
            await running
        trace.transactions = [taken for taken, _ in transactions.values()]
        seen = {one.row for taken in trace.transactions for one in taken}
        trace.untold |= set(rows) - seen

    @asynccontextmanager
    async def _held(self, rows: list[Row]) -> AsyncIterator[dict[int, Holder]]:
        while len(self._idle) < len(rows):
            self._idle.append(
                await asyncpg.connect(self._dsn, server_settings={"application_name": "holder"})
            )
        async with AsyncExitStack() as stack:
            held = {}
            for row, connection in zip(rows, self._idle, strict=False):
                holder = Holder(row, connection, self._keys[row.table])
                stack.push_async_callback(holder.end)
                await holder.take()
                held[connection.get_server_pid()] = holder
            yield held

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._idle:
            await connection.close()


class Holder:
    """Holds one row in all modes."""

    def __init__(self, row: Row, connection: asyncpg.Connection[Any], key: str) -> None:
        self.row = row
        self._connection = connection
        self._key = key
        # The subtransactions, of the weakest mode first.
        self.xids: list[int] = []

    async def take(self) -> None:
        await self._connection.execute("BEGIN")
        for mode in MODES:
            await self._connection.execute(f"SAVEPOINT s{len(self.xids)}")
            await self._connection.execute(
                f"SELECT FROM {self.row.table} WHERE {self._key} = '{self.row.key}' {mode}"
            )
            rows = await self._connection.fetch(
                "SELECT transactionid::text::bigint AS xid FROM pg_locks"
                " WHERE pid = pg_backend_pid() AND locktype = 'transactionid' ORDER BY 1"
            )
            self.xids.append(rows[-1]["xid"])

    async def give_way(self, xid: int) -> int:
        """Let the mode through that waits for this subtransaction, the weakest that is in its
        way; the mode.
        """
        level = self.xids.index(xid)
        await self._connection.execute(f"ROLLBACK TO SAVEPOINT s{level}")
        del self.xids[level:]
        return len(MODES) - 1 - level

    async def end(self) -> None:
        await self._connection.execute("ROLLBACK")
