"""The state that a cancellation test observes from outside: the rows and the server's backends.

It asks only PostgreSQL, over its own connection, and does not know the application.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

# Tables whose rows may be written before or after an operation's change: the row of a file is
# written before its bytes are stored, and is swept later.
BESIDE = {"stored_files"}

_BACKENDS = """
SELECT a.state, a.query, count(l.pid) AS locks
FROM pg_stat_activity a LEFT JOIN pg_locks l USING (pid)
WHERE a.application_name = $1 AND a.datname = current_database()
GROUP BY a.pid, a.state, a.query
"""
_END = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE application_name = $1 AND datname = current_database() AND pid <> pg_backend_pid()
"""

Difference = dict[str, tuple[int, int]]


class State:
    """One database. `keep` saves its content as `before`; `difference` counts added and removed
    rows by table.
    """

    def __init__(self, watch: asyncpg.Connection[Any], dsn: str, name: str) -> None:
        self.watch = watch
        self.name = name
        self._dsn = dsn
        self._tables: list[str] = []
        self._columns: dict[str, str] = {}

    async def prepare(self) -> None:
        """Create the schema for copies of all tables."""
        rows = await self.watch.fetch(
            "SELECT table_name, string_agg(quote_ident(column_name), ', ') AS columns"
            " FROM information_schema.columns JOIN information_schema.tables"
            " USING (table_schema, table_name)"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
            " AND is_generated = 'NEVER' AND table_name <> 'alembic_version' GROUP BY table_name"
        )
        self._columns = {row["table_name"]: row["columns"] for row in rows}
        self._tables = sorted(self._columns)
        await self.watch.execute("CREATE SCHEMA before")

    async def keep(self) -> None:
        """Save the current content as `before`."""
        await self.watch.execute(
            ";".join(
                f"DROP TABLE IF EXISTS before.{name};"
                f'CREATE UNLOGGED TABLE before.{name} AS TABLE public."{name}"'
                for name in self._tables
            )
        )

    async def moment(self) -> str:
        """A value that stays the same until something is written."""
        query = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
        return str(await self.watch.fetchval(query))

    async def difference(self) -> Difference:
        """The numbers of added and removed rows by table, without unchanged tables."""
        now, then = 'SELECT t::text FROM public."{0}" t', "SELECT t::text FROM before.{0} t"
        count = "(SELECT count(*) FROM ({0} EXCEPT ALL {1}) _)"
        rows = await self.watch.fetch(
            " UNION ALL ".join(
                f"SELECT '{name}', {count.format(now, then).format(name)},"
                f" {count.format(then, now).format(name)}"
                for name in self._tables
                if name not in BESIDE
            )
        )
        return {name: (new, gone) for name, new, gone in rows if new or gone}

    async def restore(self) -> None:
        """Restore the saved content."""
        changed = [*await self.difference(), *BESIDE.intersection(self._tables)]
        await self.watch.execute(
            "BEGIN; SET LOCAL session_replication_role = replica;"
            + ";".join(
                f'DELETE FROM public."{name}"; INSERT INTO public."{name}"'
                f" ({self._columns[name]}) OVERRIDING SYSTEM VALUE"
                f" SELECT {self._columns[name]} FROM before.{name}"
                for name in changed
            )
            + "; COMMIT"
        )

    async def settled(self, connections: int) -> None:
        """Wait until the application has one backend per connection, all idle, outside a
        transaction and without a lock. Backends whose connection was closed finish what was sent to
        them and end, in less time than any timeout of the server.
        """
        found: list[Any] = []
        try:
            async with asyncio.timeout(4):
                while True:
                    found = await self.watch.fetch(_BACKENDS, self.name)
                    idle = all(row["state"] == "idle" and not row["locks"] for row in found)
                    if idle and len(found) == connections:
                        return
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"of {connections} idle connections: {found}") from None

    def end_connections(self) -> None:
        """Close all connections of the application from the server's side before this returns;
        nothing else runs in this thread in the meantime.
        """
        errors: list[BaseException] = []

        async def end() -> None:
            connection = await asyncpg.connect(self._dsn)
            await connection.execute("SET application_name = 'ends'")
            await connection.fetch(_END, self.name)
            await connection.close()

        def run() -> None:
            try:
                asyncio.run(end())
            except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert not errors, errors


@asynccontextmanager
async def state_of(dsn: str, name: str) -> AsyncIterator[State]:
    """The state of the database at this address, for the application of this name."""
    watch = await asyncpg.connect(dsn, server_settings={"application_name": "watch"})
    try:
        state = State(watch, dsn, name)
        await state.prepare()
        yield state
    finally:
        await watch.close()
