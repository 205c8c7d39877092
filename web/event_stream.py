"""Server-sent events: one operation, one response that stays open (distinct connections mode of the
GraphQL over SSE protocol).

Each answer is an event `next`, and `complete` ends the operation. A comment is sent every few
seconds, so that proxies keep the connection and a vanished client is noticed. Lines end in LF
alone. A stream that ends without `complete` was cut off; clients reconnect by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, Final

from graphql import OperationType
from starlette.types import Receive, Send

from auth.request import RequestInfo
from auth.viewer import NOBODY, Credentials, Viewer
from db.engine import request_statements
from errors import ErrorCode, Failure, Unauthenticated
from files.upload import Upload
from graph.core.context import Context
from graph.request.answer import Answer, Refused, refusal
from graph.request.preparation import Prepared
from web.connections import retry_seconds
from web.runtime import Runtime

log = logging.getLogger("taskloom.streams")

HEARTBEAT_SECONDS: Final = 12.0

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    # nginx would buffer the events otherwise.
    (b"x-accel-buffering", b"no"),
]
_COMPLETE: Final = b"event: complete\ndata:\n\n"
_HEARTBEAT: Final = b":\n\n"


class EventStream:
    """One response. Ends when its operation ends or its client leaves; a subscription also when its
    credentials expire or the server stops. Queries and mutations have their answer all the same, as
    by POST.
    """

    def __init__(
        self,
        runtime: Runtime,
        info: RequestInfo,
        credentials: Credentials = NOBODY.credentials,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """`headers` are sent beside those of every stream."""
        self.credentials = credentials
        self._runtime = runtime
        self._info = info
        self._headers = [*_HEADERS, *headers]
        # What became of the operation, for the log and the metrics.
        self._outcome = Answer()
        self._beat_at = 0.0
        # The last events of a subscription that ends before its time.
        self._ending: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._writing = asyncio.Lock()
        self._heart = asyncio.Event()

    # --- web.connections.Stream -------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Send a heartbeat if one is due."""
        if now >= self._beat_at:
            self._beat_at = now + HEARTBEAT_SECONDS
            self._heart.set()

    def expire(self) -> None:
        """Tell the client: its next attempt with the same token would fail as well."""
        why = refusal(Unauthenticated("The credentials are no longer valid."), self._info.id)
        self._end(_next(why) + _COMPLETE)

    def going_away(self) -> None:
        """Say why, but not that the operation is complete: the client connects again, and finds
        another process. `retry` is what a browser's EventSource waits, in milliseconds.
        """
        seconds = retry_seconds()
        failure = Failure(
            "The server is stopping. Connect again.",
            code=ErrorCode.UNAVAILABLE,
            extra={"retryAfter": math.ceil(seconds)},
        )
        why = _next(refusal(failure, self._info.id))
        self._end(b"retry: %d\n" % round(1000 * seconds) + why)

    def _end(self, last: bytes) -> None:
        if not self._ending.done():
            self._ending.set_result(last)

    # --- serving ----------------------------------------------------------------------------------

    async def serve(
        self,
        prepared: Prepared,
        admitted: Context,
        receive: Receive,
        send: Send,
        uploads: list[Upload],
    ) -> Answer | None:
        """Run the operation, in the context in which it was charged, and send its answers; returns
        what became of it, or None if it continues without its client.

        Raises `Failure` before the first byte only. `uploads`: the request's files, which the
        caller closes. A mutation that continues takes them out of the list, to close them itself.
        """
        runtime = self._runtime
        if runtime.connections.stopping:
            raise Failure("The server is stopping.", code=ErrorCode.UNAVAILABLE)
        runtime.connections.open(self, self._info.ip)
        try:
            answers = self._answers(prepared, admitted)
            work = asyncio.create_task(self._write(answers, send))
            beats = asyncio.create_task(self._keep_alive(send))
            gone = asyncio.create_task(_disconnected(receive))
            try:
                waiting: set[asyncio.Future[Any]] = {work, gone}
                if prepared.subscribes:
                    waiting.add(self._ending)
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if not work.done() and not gone.done():
                    await runtime.end(work)
                    await self._close(send, self._ending.result())
                elif work.done() and isinstance(work.exception(), (TimeoutError, OSError)):
                    log.info("request %s: the client stopped reading", self._info.id)
                elif work.done() and work.exception() is not None:
                    log.error("request %s: the stream failed", exc_info=work.exception())
            finally:
                if prepared.kind is OperationType.MUTATION and not work.done():
                    # A mutation that has begun is not undone because its client left.
                    work.add_done_callback(partial(_close, tuple(uploads)))
                    uploads.clear()
                    runtime.detach(work)
                    await runtime.end(beats, gone)
                else:
                    await runtime.end(work, beats, gone)
        finally:
            runtime.connections.close(self)
        return self._outcome if work.done() else None

    async def fail(self, answer: Answer, receive: Receive, send: Send) -> None:
        """A stream that only says why it cannot be opened."""
        await self._start(send)
        await self._close(send, _next(answer) + _COMPLETE)

    async def _answers(
        self, prepared: Prepared, admitted: Context
    ) -> AsyncGenerator[Answer | None, None]:
        """The answers to send; None once a subscription is open."""
        executor, metrics = self._runtime.executor, self._runtime.metrics
        started = time.perf_counter()
        try:
            if prepared.subscribes:
                async with self._runtime.connections.turn():
                    deliveries = await executor.subscribe(prepared, admitted, self._viewer)
                # The statements of deliveries would pile up for as long as the stream is open.
                request_statements.set(None)
                # From here on nothing is missed; the first comment tells the client so.
                yield None
                async with aclosing(deliveries):
                    async for delivered in deliveries:
                        if delivered.executed:
                            metrics.delivery()
                        else:
                            # The last one: the stream has failed.
                            self._outcome = delivered
                        yield delivered
            else:
                self._outcome = await self._runtime.execute(prepared, admitted)
                yield self._outcome
        except Refused as error:
            self._outcome = error.answer
            yield self._outcome
        finally:
            metrics.operation(prepared.kind.value, "sse", self._outcome, started)

    async def _viewer(self) -> Viewer:
        """Asked at each delivery, for the rights of that moment."""
        return await self._runtime.services.authenticator.current(self.credentials)

    async def _write(self, answers: AsyncGenerator[Answer | None, None], send: Send) -> None:
        await self._start(send)
        async with aclosing(answers):
            async for answer in answers:
                await self._send_bytes(send, _HEARTBEAT if answer is None else _next(answer))
                # A long replay, none of whose steps has to wait, must not block other tasks.
                await asyncio.sleep(0)
        await self._send_bytes(send, _COMPLETE, more=False)

    async def _start(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self._headers}
        await self._send(send, start)

    async def _close(self, send: Send, last: bytes) -> None:
        with suppress(OSError, TimeoutError):
            await self._send_bytes(send, last, more=False)

    async def _keep_alive(self, send: Send) -> None:
        while True:
            await self._heart.wait()
            self._heart.clear()
            await self._send_bytes(send, _HEARTBEAT)

    async def _send_bytes(self, send: Send, body: bytes, *, more: bool = True) -> None:
        await self._send(send, {"type": "http.response.body", "body": body, "more_body": more})

    async def _send(self, send: Send, message: dict[str, object]) -> None:
        async with self._writing:
            with self._runtime.sending.running():
                await send(message)


def _next(answer: Answer) -> bytes:
    return b"event: next\ndata: " + answer.body() + b"\n\n"


def _close(uploads: Sequence[Upload], _: asyncio.Task[None]) -> None:
    for upload in uploads:
        upload.close()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
