"""What a connection may cost before there is a request, tried with plain sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from websockets.exceptions import ConnectionClosed

from app import create_app
from settings import Settings
from tests.servers import serving
from tests.web import toy
from tests.web.websocket_client import Client, opened

SHORT = {
    "headers_seconds": 0.5,
    "body_seconds": 0.5,
    "body_rate": 10_000,
    "answer_seconds": 0.5,
}
BODY = b'{"query": "{ hello }"}'
HEAD = b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
)
# The frame of a message, masked with zeros.
GREETING = b"\x81\x9a\0\0\0\0" + b'{"type":"connection_init"}'
COMPLETE = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.fixture(scope="module")
async def port(settings: Settings) -> AsyncIterator[int]:
    """A server that waits for half a second where others wait for many."""
    limits = settings.limits.model_copy(update=SHORT)
    app = create_app(settings.model_copy(update={"limits": limits}), schema=toy.schema)
    async with serving(app) as url:
        yield int(url.rpartition(":")[2])


class Raw:
    """A client without manners."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, Any]]:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        length = next(
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        body = await asyncio.wait_for(self.reader.readexactly(length), 10)
        return int(head.split()[1]), json.loads(body)

    async def closed(self) -> bytes:
        """What comes until the server closes."""
        try:
            return await asyncio.wait_for(self.reader.read(), 10)
        except ConnectionResetError:
            return b""


@pytest.fixture
async def raw(port: int) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield Raw(reader, writer)
    writer.close()


async def refused(raw: Raw, status: int, limit: str) -> None:
    got, answer = await raw.answer()
    (error,) = answer["errors"]
    assert (got, error["extensions"]["limit"]) == (status, limit)
    assert await raw.closed() == b""


# --- sizes ---------------------------------------------------------------------------------------


async def test_a_long_cookie(raw: Raw) -> None:
    await raw.send(HEAD + b"cookie: " + b"c" * 17_000 + b"\r\n\r\n")
    await refused(raw, 431, "bytes of one header")


async def test_many_headers(raw: Raw) -> None:
    await raw.send(HEAD + b"".join(b"x-%d: y\r\n" % n for n in range(200)) + b"\r\n")
    await refused(raw, 431, "headers")


async def test_much_in_all_headers(raw: Raw) -> None:
    some = b"".join(b"x-%d: %s\r\n" % (n, b"y" * 10_000) for n in range(8))
    await raw.send(HEAD + some + b"\r\n")
    await refused(raw, 431, "bytes of all headers")


async def test_a_header_of_100_mb(raw: Raw) -> None:
    async def endless() -> None:
        await raw.send(HEAD + b"cookie: ")
        for _ in range(1_000):
            await raw.send(b"c" * 100_000)

    # The answer comes while it is being sent, and what is sent on is not kept.
    sending = asyncio.create_task(endless())
    await refused(raw, 431, "bytes of all headers")
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_a_header_without_end_is_refused_before_it_ends(raw: Raw) -> None:
    await raw.send(HEAD + b"cookie: " + b"c" * 70_000)
    await refused(raw, 431, "bytes of all headers")


async def test_a_long_address(raw: Raw) -> None:
    await raw.send(b"GET /graphql?query=" + b"x" * 65_600 + b" HTTP/1.1\r\n\r\n")
    got, _ = await raw.answer()
    assert got in {414, 431}


async def test_a_field_after_the_body_without_end(raw: Raw) -> None:
    await raw.send(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    # Whatever comes together with the headers counts as theirs.
    await asyncio.sleep(0.1)
    await raw.send(b"0\r\nx-trailer: " + b"t" * 70_000)
    got, _ = await raw.answer()
    assert got == 400
    assert await raw.closed() == b""


async def test_fields_after_the_body_are_no_headers(raw: Raw) -> None:
    chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(BODY), BODY)
    fields = b"".join(b"x-%d: y\r\n" % n for n in range(500)) + b"content-type: text/plain\r\n"
    await raw.send(chunked + b"0\r\n" + fields + b"\r\n")
    assert (await raw.answer())[0] == 200
    await raw.send(COMPLETE)
    assert (await raw.answer())[0] == 200


async def test_a_body_of_the_smallest_chunks(raw: Raw) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY + b" " * 20_000)
    await raw.send(HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert (await raw.answer())[0] == 200


# --- deadlines -----------------------------------------------------------------------------------


async def test_nothing_at_all(raw: Raw) -> None:
    assert await raw.closed() == b""


@pytest.mark.parametrize("begun", [b"P", b"POST /graphql HTTP/1.1\r\n", HEAD])
async def test_half_of_the_headers(raw: Raw, begun: bytes) -> None:
    await raw.send(begun)
    await refused(raw, 408, "seconds for the headers")


async def test_headers_byte_by_byte(raw: Raw) -> None:
    started = time.monotonic()

    async def drip() -> None:
        await raw.send(HEAD)
        while True:
            await raw.send(b"x-a: b\r\n")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    await refused(raw, 408, "seconds for the headers")
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)
    assert time.monotonic() - started < 5


async def test_half_of_the_headers_of_the_second_request(raw: Raw) -> None:
    await raw.send(COMPLETE)
    assert (await raw.answer())[0] == 200
    await raw.send(HEAD)
    await refused(raw, 408, "seconds for the headers")


async def test_line_ends_between_requests(raw: Raw) -> None:
    await raw.send(COMPLETE)
    assert (await raw.answer())[0] == 200
    await raw.send(b"\r\n")
    assert await raw.closed() == b""


async def test_half_of_a_body(raw: Raw) -> None:
    await raw.send(HEAD + b"content-length: 5000\r\n\r\n{")
    await refused(raw, 408, "seconds for the body")


@pytest.mark.parametrize("path", [b"/auth/token", b"/files/uploads/upload_x", b"/nowhere"])
async def test_half_of_a_body_wherever_it_goes(raw: Raw, path: bytes) -> None:
    head = b"PUT " if path.startswith(b"/files") else b"POST "
    form = b"content-type: application/x-www-form-urlencoded\r\n"
    await raw.send(head + path + b" HTTP/1.1\r\nhost: x\r\n" + form + b"content-length: 9\r\n\r\na")
    got = await raw.closed()
    # Refused as soon as its address is read, or when the time is over; closed in any case.
    assert got.startswith(b"HTTP/1.1 4")
    assert got.count(b"HTTP/1.1") == 1


async def test_half_of_a_form_with_files(raw: Raw) -> None:
    form = b"content-type: multipart/form-data; boundary=b\r\napollo-require-preflight: 1\r\n"
    head = b"POST /graphql HTTP/1.1\r\nhost: x\r\n" + form
    await raw.send(head + b"content-length: 5000\r\n\r\n--b\r\ncontent-disposition: form-data")
    assert (await raw.closed()).startswith(b"HTTP/1.1 4")


async def test_a_body_that_comes_slowly(raw: Raw) -> None:
    async def drip() -> None:
        await raw.send(HEAD + b"content-length: 5000\r\n\r\n")
        while True:
            await raw.send(b" ")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    await refused(raw, 408, "seconds for the body")
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)


async def test_a_body_that_comes_fast_enough(raw: Raw) -> None:
    body = BODY + b" " * 20_000
    await raw.send(HEAD + b"content-length: %d\r\n\r\n" % len(body))
    for start in range(0, len(body), 1_000):
        await raw.send(body[start : start + 1_000])
        # 20 kB in 1.2 s: longer than half a second, and faster than 10 kB/s.
        await asyncio.sleep(0.06)
    assert (await raw.answer())[0] == 200


async def test_an_operation_that_takes_long_is_not_cut(raw: Raw) -> None:
    body = b'{"query": "{ slow(seconds: 0.9) }"}'
    await raw.send(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
    assert (await raw.answer())[0] == 200


async def test_many_halves_are_gone_and_others_are_answered(port: int) -> None:
    halves = [await asyncio.open_connection("127.0.0.1", port) for _ in range(75)]
    for _, writer in halves:
        writer.write(HEAD)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    other = Raw(reader, writer)
    await other.send(COMPLETE)
    assert (await other.answer())[0] == 200
    answers = await asyncio.gather(*(asyncio.wait_for(half.read(), 20) for half, _ in halves))
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)
    for _, one in [*halves, (reader, writer)]:
        one.close()


# --- sockets -------------------------------------------------------------------------------------


async def test_sockets_that_say_nothing_count_for_their_address(
    port: int, settings: Settings
) -> None:
    most = settings.limits.connections_per_user
    async with contextlib.AsyncExitStack() as stack:

        async def one(init: Any) -> Client:
            return await stack.enter_async_context(opened(f"http://127.0.0.1:{port}", init=init))

        silent = [await one(None) for _ in range(most + 5)]
        ends = [asyncio.create_task(client.closed()) for client in silent]
        # Clients that authenticate are served beside them.
        spoken = await one("plain")
        done, held = await asyncio.wait(ends, timeout=4)
        assert {task.result()[0] for task in done} == {1013}
        assert len(held) + 1 <= most
        await spoken.alive()
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


async def test_thousands_of_short_messages_leave_others_their_turn(port: int) -> None:
    async with opened(f"http://127.0.0.1:{port}") as flooding:

        async def flood() -> None:
            for _ in range(4_000):
                await flooding.connection.send('{"type":"ping"}')

        flood_task = asyncio.create_task(flood())
        async with opened(f"http://127.0.0.1:{port}") as other:
            for _ in range(5):
                await other.alive()
        await flood_task


async def test_handshakes_that_arrive_together_leave_others_their_turn(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings, schema=toy.schema)
    inner = app._gate
    turn, begun = 0, list[int]()

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            begun.append(turn)
        await inner(scope, receive, send)

    monkeypatch.setattr(app, "_gate", noting)
    async with serving(app) as url, contextlib.AsyncExitStack() as stack:
        port = int(url.rpartition(":")[2])
        clients = []
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            clients.append((reader, writer))
        await asyncio.sleep(0.1)
        for _, writer in clients:
            writer.write(HANDSHAKE)
        while len(begun) < len(clients):
            turn += 1
            await asyncio.sleep(0)
        for _, writer in clients:
            writer.write(GREETING)
        for reader, _ in clients:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
            assert b"connection_ack" in await reader.read(100)
    assert max(Counter(begun).values()) <= 4


async def test_a_message_of_empty_frames(port: int) -> None:
    async with opened(f"http://127.0.0.1:{port}") as client:

        async def frames() -> AsyncIterator[str]:
            for _ in range(5_000):
                yield ""

        with contextlib.suppress(ConnectionClosed):
            await client.connection.send(frames())
        code, reason = await client.closed()
    assert code == 1009
    assert "frames" in reason
