"""The pool passes connections from read to read: never to two at once, never dead, none lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from db.connecting import connect_driver
from db.engine import pool_sizes
from db.faults import PoolTimeout
from db.pool import Connection, Pool
from settings import Settings, load_settings
from tests.cancelling import Strike, cancel, struck

SIZE = 2


@pytest.fixture
async def connections(settings: Settings) -> AsyncIterator[Pool[Connection]]:
    async def connect() -> Connection:
        made: Connection = await connect_driver(**settings.database.connect_args)
        return made

    pool = Pool(connect, SIZE)
    yield pool
    async with asyncio.timeout(20):
        await pool.close()


async def backend(connections: Pool[Connection], statement: str = "SELECT pg_backend_pid()") -> int:
    connection = await connections.acquire()
    try:
        return int(await connection.fetchval(statement))
    finally:
        connections.release(connection)


SLOW = "SELECT pg_backend_pid() FROM pg_sleep(0.05)"


async def test_at_most_size_connections_are_opened_and_reused(
    connections: Pool[Connection],
) -> None:
    backends = await asyncio.gather(*(backend(connections, SLOW) for _ in range(9)))
    assert len(set(backends)) == SIZE
    assert await backend(connections) in backends


async def test_a_dead_connection_is_replaced_for_waiting_callers_too(
    connections: Pool[Connection],
) -> None:
    pool = [await connections.acquire() for _ in range(SIZE)]
    waiting = [asyncio.create_task(backend(connections)) for _ in range(3)]
    await asyncio.sleep(0)
    for connection in pool:
        connection.terminate()
        connections.release(connection)
    async with asyncio.timeout(20):
        backends = await asyncio.gather(*waiting)
    assert len(backends) == 3
    idle = await connections.acquire()
    connections.release(idle)
    idle.terminate()
    assert await backend(connections)


async def test_a_cancelled_wait_loses_no_connection(connections: Pool[Connection]) -> None:
    pool = [await connections.acquire() for _ in range(SIZE)]
    early, late = (asyncio.create_task(backend(connections)) for _ in range(2))
    await asyncio.sleep(0)
    early.cancel()
    connections.release(pool.pop())
    # Handed over and cancelled at the same moment.
    late.cancel()
    connections.release(pool.pop())
    await asyncio.gather(early, late, return_exceptions=True)
    async with asyncio.timeout(20):
        assert len({await backend(connections) for _ in range(SIZE)}) >= 1
        both = [await connections.acquire() for _ in range(SIZE)]
    for connection in both:
        connections.release(connection)


async def test_a_cancelled_statement_does_not_disturb_the_next_one(
    connections: Pool[Connection],
) -> None:
    tasks = [
        asyncio.create_task(backend(connections, "SELECT 1 FROM pg_sleep(30)")) for _ in range(SIZE)
    ]
    await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(20):
        assert all([await backend(connections) for _ in range(4)])


async def test_every_caller_gets_the_error_if_no_connection_can_be_opened(
    settings: Settings,
) -> None:
    async def connect() -> Connection:
        await asyncio.sleep(0)
        raise ConnectionRefusedError

    pool = Pool(connect, 1)
    async with asyncio.timeout(20):
        results = await asyncio.gather(*(pool.acquire() for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionRefusedError] * 3


# --- when the server refuses, fails or freezes ---------------------------------------------------


class Server:
    """Opens connections up to a limit, and refuses others as PostgreSQL does."""

    def __init__(self, settings: Settings, most: int) -> None:
        self.settings = settings
        self.most = most
        self.asked = 0
        self.made: list[Connection] = []

    async def connect(self) -> Connection:
        self.asked += 1
        if sum(not one.is_closed() for one in self.made) >= self.most:
            await asyncio.sleep(0)
            raise asyncpg.TooManyConnectionsError("sorry, too many clients already")
        connection: Connection = await connect_driver(**self.settings.database.connect_args)
        self.made.append(connection)
        return connection


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Server]:
    made = Server(settings, most=1)
    yield made
    for connection in made.made:
        connection.terminate()


async def test_a_refused_caller_waits_for_an_existing_connection(server: Server) -> None:
    pool = Pool(server.connect, 5, timeout=20)
    first = await backend(pool)
    async with asyncio.timeout(20):
        backends = await asyncio.gather(*(backend(pool, SLOW) for _ in range(20)))
    assert set(backends) == {first}
    assert server.asked < 10, "the server is not asked again for each of them"
    # Not longer than the pool's timeout.
    short = Pool(server.connect, 2, timeout=0.2)
    server.most = 2
    only = await short.acquire()
    with pytest.raises(PoolTimeout):
        await short.acquire()
    short.release(only)
    assert await backend(short)
    # If the existing connection is lost, another one is opened for the waiting callers.
    only = await short.acquire()
    waiting = asyncio.create_task(backend(short))
    await asyncio.sleep(0.05)
    short.discard(only)
    async with asyncio.timeout(20):
        assert await waiting
    for each in (pool, short):
        await each.close()


async def test_a_cancelled_opening_is_closed_and_frees_its_slot(server: Server) -> None:
    pool = Pool(server.connect, 1)
    for place in range(1, 40):
        stepped, _ = await struck(lambda: backend(pool), place, cancel(Strike.WAITING))
        async with asyncio.timeout(10):
            while pool.in_use or sum(not one.is_closed() for one in server.made) > 1:
                await asyncio.sleep(0.01)
            assert await backend(pool)
        if not stepped.struck:
            break
        pool.discard(await pool.acquire())
    await pool.close()


async def test_closing_does_not_wait_forever(server: Server) -> None:
    pool = Pool(server.connect, 1)
    taken = await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await pool.close(seconds=0.1)
        with pytest.raises(ConnectionError):
            await waiting
        with pytest.raises(ConnectionError):
            await pool.acquire()
    assert taken.is_closed()
    pool.discard(taken)


async def test_renewed_connections_are_not_used_again(connections: Pool[Connection]) -> None:
    used, free = await connections.acquire(), await connections.acquire()
    connections.release(free)
    connections.renew()
    assert free.is_closed()
    connections.release(used)
    assert used.is_closed()
    before = {used, free}
    assert await connections.acquire() not in before


def test_the_pools_share_the_connections_of_a_process() -> None:
    for total in range(6, 200):
        found = pool_sizes(total)
        assert sum(found) == total
        assert min(found) >= 1
        assert min(found.changes, found.filtered_reads) >= 2


def test_four_servers_and_two_workers_fit_a_server_with_its_defaults() -> None:
    default = load_settings({"DATABASE_URL": "postgres://a/b"}, env_file=None).database.connections
    # PostgreSQL's defaults: 100, of which 3 are reserved. Some are left for migrations and psql.
    assert 6 * default <= 100 - 3 - 5
