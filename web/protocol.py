"""Limits on a connection before there is a request: sizes of headers, and deadlines.

uvicorn with httptools has no such limits: it keeps any number of headers of any size, and waits
forever for the rest of a request. A connection that exceeds a limit gets 408, 414 or 431 and
closed. What it still sends is discarded for a second, since a client that is cut off while sending
never reads the answer.

One timer per connection checks all of its deadlines, so that a request costs none.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from http import HTTPStatus
from typing import Any, Final, cast

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import State

from errors import ErrorCode
from settings import LimitSettings

_sockets = logging.getLogger("uvicorn.sockets")
_sockets.setLevel(logging.WARNING)

_LINGER_SECONDS: Final = 1.0
# What surrounds the bytes of a body: the sizes of chunks (the smallest have one byte and take five
# to say so), and fields after the last chunk.
_AROUND_A_BYTE: Final = 8
# So many handshakes begin in each turn of the event loop.
_HANDSHAKES: Final = 4
# Frames of one WebSocket message. Browsers send one, or a few for a long message.
_MOST_FRAMES: Final = 1_000


def http_protocol(limits: LimitSettings) -> type[asyncio.Protocol]:
    """For `uvicorn.Config(http=)`."""
    return cast("type[asyncio.Protocol]", partial(LimitedHttp, limits, _Handshakes()))


class _Handshakes:
    """The WebSocket handshakes that have arrived, a few of which begin in each turn of the event
    loop.

    After an interruption all clients come back at once, and the loop reads all of their requests in
    one turn. A handshake takes 0.2 ms, so a thousand would hold up everyone else.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def add(self, begin: Callable[[], None]) -> None:
        """Call it soon."""
        self._waiting.append(begin)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(min(_HANDSHAKES, len(self._waiting))):
            loop.call_soon(self._waiting.popleft())
        if self._waiting:
            loop.call_soon(self._next)


class LimitedHttp(HttpToolsProtocol):
    """See the module."""

    def __init__(self, limits: LimitSettings, handshakes: _Handshakes, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits
        self._handshakes = handshakes
        # Since when a request's headers, or its body, are awaited; None while they are not. What
        # has come of them, in bytes. A new connection has its headers' time for the first.
        self._head_since: float | None = self.loop.time()
        self._head_bytes = 0
        self._latest = 0
        self._head_begun = False
        self._body_since: float | None = None
        self._body_bytes = 0
        self._fed_since_head = 0
        self._writing_stopped_at: float | None = None
        self._refused = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def _cycle(self) -> RequestResponseCycle | None:
        """The latest request that was read up to its body."""
        return cast("RequestResponseCycle | None", self.cycle)

    # --- sizes ------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Receive bytes, of any part of any number of requests."""
        if self._refused:
            return
        self._latest = len(data)
        if self._head_since is not None:
            self._head_bytes += self._latest
        else:
            self._fed_since_head += self._latest
        super().data_received(data)
        self._check_incomplete()

    def _check_incomplete(self) -> None:
        if self._refused:
            return
        # The parser holds what is not complete yet: one header of any size, one field of a trailer.
        limits = self._limits
        if self._head_since is not None and self._head_bytes > limits.headers_bytes:
            self._refuse_headers("bytes of all headers", self._head_bytes, limits.headers_bytes)
        elif self._body_since is not None and (
            self._fed_since_head - self._body_bytes
            > limits.headers_bytes + _AROUND_A_BYTE * self._body_bytes
        ):
            self._refuse(400, "The body is almost nothing but the sizes of its chunks.")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head_begun = True
        if self._head_since is None:
            self._head_since = self.loop.time()
            self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; fields after a body are ignored."""
        if self._head_since is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check what has arrived, before the request is processed."""
        self._check_head()
        self._head_since, self._head_begun = None, False
        self._fed_since_head = self._body_bytes = 0
        self._body_since = self.loop.time()
        super().on_headers_complete()

    def _check_head(self) -> None:
        limits = self._limits
        if len(self.url) > limits.headers_bytes:
            self._refuse_headers("bytes of the address", len(self.url), limits.headers_bytes, 414)
        elif len(self.headers) > limits.headers:
            self._refuse_headers("headers", len(self.headers), limits.headers)
        elif self._head_bytes + self._latest > limits.header_bytes:
            # (Nearly every request is smaller than one header may be.)
            sizes = [len(name) + len(value) for name, value in self.headers]
            longest, whole = max(sizes, default=0), sum(sizes)
            if longest > limits.header_bytes:
                self._refuse_headers("bytes of one header", longest, limits.header_bytes)
            elif whole > limits.headers_bytes:
                self._refuse_headers("bytes of all headers", whole, limits.headers_bytes)
        if self._refused:
            # The parser must not go on; `send_400_response` knows that an answer is sent.
            raise httptools.HttpParserError

    def on_body(self, body: bytes) -> None:
        """Some bytes of a body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._body_since = None
        super().on_message_complete()

    # --- deadlines --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start checking the connection."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self._limits.headers_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop checking the connection."""
        self._stop_looking()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """From here on another protocol handles the connection, with its own deadlines."""
        self._stop_looking()
        # What the client sends before the answer is for that protocol, too.
        self.transport.pause_reading()
        self._handshakes.add(self._upgrade)

    def _upgrade(self) -> None:
        if self.transport.is_closing():
            return
        super().handle_websocket_upgrade()
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        """The client does not read what was written."""
        self._writing_stopped_at = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._writing_stopped_at = None
        super().resume_writing()

    def _stop_looking(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Close the connection if a deadline has passed; otherwise check again at the next one."""
        limits, now = self._limits, self.loop.time()
        deadline = now + limits.headers_seconds
        if self._head_since is not None:
            deadline = self._head_since + limits.headers_seconds
            if deadline <= now:
                self._time_out("headers", limits.headers_seconds)
                return
        elif self._body_since is not None:
            if self.flow.read_paused:
                # It is for the application to go on; the time for the rest begins then.
                self._body_since, self._body_bytes, self._fed_since_head = now, 0, 0
            seconds = limits.body_seconds + self._body_bytes / limits.body_rate
            deadline = self._body_since + seconds
            if deadline <= now:
                self._time_out("body", seconds)
                return
        elif self._writing_stopped_at is not None:
            deadline = self._writing_stopped_at + limits.answer_seconds
            if deadline <= now:
                self._stop_looking()
                self.transport.abort()
                return
        elif self._waits_for_nothing():
            # Only line ends arrived, which begin no request and stopped the clock for the next one.
            self._head_since, self._head_bytes = now, 0
        self._timer = self.loop.call_at(min(deadline, now + limits.headers_seconds), self._look)

    def _waits_for_nothing(self) -> bool:
        cycle = self._cycle
        answered = cycle is not None and cycle.response_complete
        return answered and self.timeout_keep_alive_task is None

    def _time_out(self, what: str, seconds: float) -> None:
        if self._head_since is not None and not self._head_begun:
            # Nothing was asked, so there is nothing to answer: a browser connects in advance.
            self._stop_looking()
            self.transport.close()
            return
        extra = {"limit": f"seconds for the {what}", "maximum": round(seconds, 1)}
        self._refuse(408, f"The request's {what} did not arrive within {seconds:.0f} s.", extra)

    # --- refusing ---------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """Report a parse error, in the form of all other errors."""
        if not self._refused:
            self._refuse(400, msg)

    def _refuse_headers(self, limit: str, actual: int, maximum: int, status: int = 431) -> None:
        message = f"The request has {actual:,} {limit}; at most {maximum:,} are allowed."
        self._refuse(status, message, {"limit": limit, "actual": actual, "maximum": maximum})

    def _refuse(self, status: int, message: str, extra: dict[str, Any] | None = None) -> None:
        """Answer, unless an answer has begun, and close the connection."""
        self._refused = True
        self._stop_looking()
        self._unset_keepalive_if_required()
        cycle, answered = self._cycle, False
        if cycle is not None:
            # A body that is still awaited is of this request, and headers are of the next one.
            awaited = self._body_since is not None or not cycle.response_complete
            answered = cycle.response_started and awaited
            cycle.disconnected = True
            cycle.message_event.set()
        self.pipeline.clear()
        if not answered:
            self.transport.write(_answer(status, message, extra or {}))
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(_LINGER_SECONDS, self.transport.close)


def _answer(status: int, message: str, extra: dict[str, Any]) -> bytes:
    code = ErrorCode.BAD_REQUEST.value
    body = orjson.dumps({"errors": [{"message": message, "extensions": {"code": code, **extra}}]})
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        "content-type: application/json; charset=utf-8\r\n"
        f"content-length: {len(body)}\r\n"
        "cache-control: no-store\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body


class _Messages:
    """A queue for one reader. asyncio's takes three kilobytes, of each connection."""

    __slots__ = ("_items", "_waiter")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._waiter: asyncio.Future[None] | None = None

    def put_nowait(self, item: Any) -> None:
        """Add a message."""
        self._items.append(item)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def empty(self) -> bool:
        """Whether no message waits."""
        return not self._items

    async def get(self) -> Any:
        """The next message, once there is one."""
        while not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._items.pop(0)


def _text_frame(data: bytes) -> bytes:
    """A message of the server, in one frame (RFC 6455, 5.2). The library's takes five times as long
    to make, in which nothing else happens: without extensions, there is nothing to do.
    """
    size = len(data)
    if size < 126:
        return b"\x81%c%b" % (size, data)
    if size < 65_536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), data)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), data)


class LimitedWebSocket(WebSocketsSansIOProtocol):
    """Limits the frames of a message: uvicorn limits only its bytes, and a frame may have none.

    When the server stops, the application closes its sockets, with a code and a hint when to come
    back (`web.connections`). Uvicorn would be faster now and then, and say 1012.

    Uvicorn's lines about each handshake have the whole address, in which there may be a token.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = self.conn.logger = _sockets
        self.queue = _Messages()  # type: ignore[assignment]  # has the methods that are used

    def handle_connect(self, event: Request) -> None:
        """The handshake. Its headers are in the scope from then on."""
        super().handle_connect(event)
        event.headers.clear()

    def receive(self) -> Coroutine[Any, Any, Any]:
        """The next message."""
        if self.handshake_complete and self.response is not None:
            # Has been sent, and would be kept as long as the connection.
            self.response.headers.clear()
        return super().receive()

    async def send(self, message: Any) -> None:
        """A message of the application. A refusal with a body ends the handshake; uvicorn would
        call that an error.
        """
        text = message.get("text")
        if text is not None and self._writes_at_once():
            self.transport.write(_text_frame(text.encode()))
            return
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True

    def _writes_at_once(self) -> bool:
        """Whether a message needs neither wait nor be refused."""
        return self.writable.is_set() and not self.disconnected and self.conn.state is State.OPEN

    def shutdown(self) -> None:
        """The server is stopping."""
        if self.handshake_complete and not self.close_sent:
            self.stop_keepalive()
        else:
            super().shutdown()

    def handle_cont(self, event: Frame) -> None:
        """One more frame of a message."""
        if len(self.frames) < _MOST_FRAMES:
            super().handle_cont(event)
            return
        self.conn.fail(CloseCode.MESSAGE_TOO_BIG, f"A message may have {_MOST_FRAMES:,} frames")
        self.handle_parser_exception()
