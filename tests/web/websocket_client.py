"""A client that speaks graphql-transport-ws by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PROTOCOL = Subprotocol("graphql-transport-ws")
PATIENCE = 10


class Client:
    """Speaks the protocol by hand."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, *messages: Any) -> None:
        for message in messages:
            await self.connection.send(json.dumps(message))

    async def receive(self) -> Any:
        return json.loads(await asyncio.wait_for(self.connection.recv(), PATIENCE))

    async def closed(self) -> tuple[int, str]:
        """Wait for the end; its code and reason."""
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(self._drain(), PATIENCE)
        frame = caught.value.rcvd
        assert frame is not None, "dropped without a close frame"
        return frame.code, frame.reason

    async def _drain(self) -> None:
        while True:
            await self.connection.recv()

    async def subscribe(self, query: str, id_: str = "1", **payload: Any) -> None:
        await self.send({"id": id_, "type": "subscribe", "payload": {"query": query, **payload}})

    async def until_complete(self, id_: str = "1") -> list[Any]:
        """The payloads of an operation's results."""
        payloads = []
        while (message := await self.receive())["type"] == "next":
            assert message["id"] == id_
            payloads.append(message["payload"])
        assert message == {"type": "complete", "id": id_}
        return payloads

    async def error(self, id_: str = "1") -> str:
        """The code in the error message that is next."""
        message = await self.receive()
        assert (message["type"], message["id"]) == ("error", id_)
        code = message["payload"][0]["extensions"]["code"]
        assert isinstance(code, str)
        return code

    async def alive(self) -> None:
        """Fails unless the server still answers."""
        await self.send({"type": "ping"})
        assert (await self.receive())["type"] == "pong"


@asynccontextmanager
async def opened(url: str, *, init: Any = "plain", **options: Any) -> AsyncIterator[Client]:
    address = f"{url.replace('http', 'ws', 1)}/graphql"
    options.setdefault("subprotocols", [PROTOCOL])
    async with connect(address, max_size=None, **options) as connection:
        client = Client(connection)
        if init is not None:
            message: dict[str, Any] = {"type": "connection_init"}
            if init != "plain":
                message["payload"] = init
            await client.send(message)
            assert await client.receive() == {"type": "connection_ack"}
        yield client


Open = Callable[..., AbstractAsyncContextManager[Client]]
