"""A server that is asked to stop lets its streams go at once, and ends well."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from settings import Settings
from tests.accounts import House
from tests.databases import address_of, fresh_database
from tests.servers import process

PROTOCOL = Subprotocol("graphql-transport-ws")
LISTEN = "subscription { taskEvents { id } }"


async def test_sigterm_ends_streams_with_a_reason_and_the_process_well(
    settings: Settings, house: House
) -> None:
    person = await house.person()
    with process(settings) as (url, running):
        headers = {"Authorization": person.header, "Accept": "text/event-stream"}
        async with (
            httpx.AsyncClient(base_url=url) as http,
            connect(
                f"{url.replace('http', 'ws', 1)}/graphql",
                subprotocols=[PROTOCOL],
            ) as socket,
            http.stream("POST", "/graphql", json={"query": LISTEN}, headers=headers) as stream,
        ):
            payload = {"Authorization": person.header}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            subscribe = {"type": "subscribe", "id": "1", "payload": {"query": LISTEN}}
            await socket.send(json.dumps(subscribe))
            running.terminate()
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
            said = re.fullmatch(
                r"The server is stopping; connect again after (\d+) ms", closed.value.rcvd.reason
            )
            assert said is not None
            assert 1000 <= int(said[1]) <= 5000
            async with asyncio.timeout(10):
                sent = "".join([chunk async for chunk in stream.aiter_text()])
            assert "event: complete" not in sent, "it would not connect again"
            *_, last = sent.removesuffix("\n\n").split("\n\n")
            found = re.fullmatch(r"retry: (\d+)\nevent: next\ndata: (.*)", last)
            assert found is not None
            (error,) = json.loads(found[2])["errors"]
            assert error["extensions"]["code"] == "UNAVAILABLE"
            assert 1000 * (error["extensions"]["retryAfter"] - 1) <= int(found[1]) <= 5000
        assert await asyncio.to_thread(running.wait, 20) == 0


# A new task waits until the test releases its lock.
SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION slow();
"""
LONG = {
    "TASKLOOM_DB_LOCK_TIMEOUT_MS": "60000",
    "TASKLOOM_DB_STATEMENT_TIMEOUT_MS": "60000",
    "TASKLOOM_OPERATION_SECONDS": "60",
}
CREATE = 'mutation { taskCreate(input: {title: "In flight"}) { task { id } } }'


async def close_code(socket: ClientConnection) -> int | None:
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(20):
            while True:
                await socket.recv()
    return socket.close_code


async def test_work_in_flight_finishes_and_all_sockets_are_told(settings: Settings) -> None:
    """Twenty sockets, some without a first message yet, and changes over HTTP and a socket."""
    async with fresh_database(settings) as database:
        own = settings.with_database(await address_of(settings, database))
        house = House(own, database)
        person = await house.person()
        async with contextlib.AsyncExitStack() as stack:
            connection = await asyncpg.connect(own.database.dsn)
            stack.push_async_callback(connection.close)
            await connection.execute(SLOW)
            await connection.execute("SELECT pg_advisory_lock(77)")
            url, running = stack.enter_context(process(own, port=None, folder=None, **LONG))
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
            address = f"{url.replace('http', 'ws', 1)}/graphql"
            sockets = [
                await stack.enter_async_context(connect(address, subprotocols=[PROTOCOL]))
                for _ in range(20)
            ]
            for socket in sockets[:10]:
                payload = {"Authorization": person.header}
                await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
                assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            create = {"type": "subscribe", "id": "1", "payload": {"query": CREATE}}
            await sockets[0].send(json.dumps(create))
            headers = {"Authorization": person.header}
            posting = asyncio.create_task(
                http.post("/graphql", json={"query": CREATE}, headers=headers)
            )
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            async with asyncio.timeout(30):
                while await connection.fetchval(waiting) != 2:
                    await asyncio.sleep(0.05)
            running.terminate()
            assert {await close_code(socket) for socket in sockets} == {1001}
            await connection.execute("SELECT pg_advisory_unlock(77)")
            assert (await posting).json()["data"]["taskCreate"]["task"]
            assert await asyncio.to_thread(running.wait, 20) == 0
            made = "SELECT count(*) FROM tasks WHERE title = 'In flight'"
            assert await connection.fetchval(made) == 2
        house.auth.close()
