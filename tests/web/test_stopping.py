"""A server that is asked to stop lets its streams go at once, and ends well."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from settings import Settings
from tests.accounts import House
from tests.servers import process

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
                subprotocols=[Subprotocol("graphql-transport-ws")],
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
            async with asyncio.timeout(10):
                assert b"complete" not in b"".join([chunk async for chunk in stream.aiter_bytes()])
        assert await asyncio.to_thread(running.wait, 20) == 0
