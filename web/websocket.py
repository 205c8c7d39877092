"""`/graphql` over a WebSocket: the whole protocol graphql-transport-ws.

One connection carries many operations, each under an ID chosen by the client. A violation of the
protocol closes the connection with the protocol's code and a reason; an error in one operation is
an `error` for its ID and harms no other. Every operation, and every delivery of a subscription,
gets a fresh context with the rights of that moment; the connection itself keeps only the
credentials, which a `sessionRefresh` sent over it renews.

Messages are read one after the other, operations run concurrently, and writes are serialized. A
client that reads nothing for a while is disconnected; its cursor finds what it missed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson
from graphql import OperationType
from starlette.types import Message, Receive, Scope, Send

from auth.request import RequestInfo
from auth.viewer import NOBODY, Credentials, Viewer
from db.engine import request_statements
from errors import ErrorCode, Failure, Unauthenticated
from graph.core.context import Context
from graph.request.answer import Answer, refusal
from graph.request.preparation import GraphQLRequest, Prepared
from web.connections import TooManyConnections, retry_seconds
from web.origins import Origins
from web.request_log import Entry, noted
from web.requests import BadRequest, header, parse_json, request_from_object
from web.runtime import Runtime
from web.tracing import traced_operation

log = logging.getLogger("taskloom.streams")

PROTOCOL: Final = "graphql-transport-ws"
INIT_SECONDS: Final = 10.0
# How long a client may be silent before it is pinged, and then before it is disconnected.
PING_SECONDS: Final = 25.0
SILENCE_SECONDS: Final = 60.0
# Messages of a connection, or deliveries of one subscription, after which other tasks run.
_TURN: Final = 8
_LONGEST_ID: Final = 255

# Close codes of the protocol, and of RFC 6455.
GOING_AWAY: Final = 1001
TOO_BIG: Final = 1009
TRY_AGAIN: Final = 1013
BAD_MESSAGE: Final = 4400
UNAUTHORIZED: Final = 4401
FORBIDDEN: Final = 4403
NOT_ACCEPTABLE: Final = 4406
INIT_TIMEOUT: Final = 4408
DUPLICATE_ID: Final = 4409
TOO_MANY_INITS: Final = 4429
FAULT: Final = 4500
SILENT: Final = 4499


class Closed(Exception):  # noqa: N818 - what the connection becomes
    """Close the connection with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class GraphQLOverWebSocket:
    """The ASGI application of the path, for WebSockets."""

    def __init__(self, runtime: Runtime, *, init_seconds: float = INIT_SECONDS) -> None:
        self._runtime = runtime
        self._init_seconds = init_seconds
        self._origins = Origins(runtime.settings.server)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, from handshake to end."""
        if (await receive())["type"] != "websocket.connect":
            return
        origin = header(scope, b"origin")
        if origin is not None and not self._origins.allows_socket(origin, header(scope, b"host")):
            info: RequestInfo = scope["taskloom.request"]
            with noted(info, self._runtime.settings.server.log_slow_seconds) as entry:
                await _refuse_origin(scope, send)
                codes = [ErrorCode.FORBIDDEN.value]
                entry.write(info, 403, method="GET", path=scope["path"], codes=codes)
            return
        if PROTOCOL not in scope.get("subprotocols", ()):
            # Accepted first: a browser tells its page no code of a refused handshake.
            await send({"type": "websocket.accept"})
            reason = f"Subprotocol not acceptable; use {PROTOCOL}"
            await send({"type": "websocket.close", "code": NOT_ACCEPTABLE, "reason": reason})
            return
        async with self._runtime.connections.turn():
            await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
        connection = _Connection(self._runtime, scope, send)
        # Nothing reads them any more, and the server keeps the scope.
        scope["headers"] = ()
        await connection.serve(receive, self._init_seconds)


async def _refuse_origin(scope: Scope, send: Send) -> None:
    """Refuse the handshake: HTTP 403, with the reason if the server can send one."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": FORBIDDEN})
        return
    message = "This origin is not allowed to connect; TASKLOOM_CORS_ORIGINS lists those that are."
    error = {"message": message, "extensions": {"code": ErrorCode.FORBIDDEN.value}}
    body = orjson.dumps({"errors": [error]})
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "websocket.http.response.start", "status": 403, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


@dataclass(slots=True, eq=False)
class _Open:
    """An operation that has not ended. `quiet`: the client wants no more of it."""

    task: asyncio.Task[None] | None = None
    kind: OperationType | None = None
    quiet: bool = False


class _Connection:
    """One socket; a `web.connections.Stream`."""

    def __init__(self, runtime: Runtime, scope: Scope, send: Send) -> None:
        self.credentials: Credentials = NOBODY.credentials
        self._runtime = runtime
        self._info: RequestInfo = scope["taskloom.request"]
        self._authorization = header(scope, b"authorization")
        self._traceparent = header(scope, b"traceparent")
        self._send = send
        self._open: dict[str, _Open] = {}
        self._writing = asyncio.Lock()
        # Since when a message waits for the client to read; None if none does.
        self._sending_since: float | None = None
        self._initialised = False
        self._acknowledged = False
        self._closing: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self._heard_at = asyncio.get_running_loop().time()
        self._pinged_at = self._heard_at
        self._operations = 0

    # --- web.connections.Stream -------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Ping a silent client, and disconnect one that does not answer or does not read."""
        since = self._sending_since
        if since is not None and now - since > self._runtime.sending.seconds:
            self._close(SILENT, "Client too slow; connect again with your last cursor")
        elif now - self._heard_at > SILENCE_SECONDS:
            self._close(SILENT, "No pong received")
        elif now - max(self._heard_at, self._pinged_at) > PING_SECONDS:
            self._pinged_at = now
            self._runtime.detach(self._write({"type": "ping"}))

    def expire(self) -> None:
        """Clients reconnect after this code, with fresh credentials if they have any."""
        self._close(FORBIDDEN, "The credentials are no longer valid; sign in again")

    def going_away(self) -> None:
        """The server is stopping; clients reconnect."""
        milliseconds = round(1000 * retry_seconds())
        self._close(GOING_AWAY, f"The server is stopping; connect again after {milliseconds} ms")

    # --- web.connections.Waiting ------------------------------------------------------------------

    def refuse(self, failure: Failure) -> None:
        """Too many sockets of this address are waiting."""
        self._close(TRY_AGAIN, failure.message)

    def _close(self, code: int, reason: str) -> None:
        if not self._closing.done():
            self._closing.set_result(Closed(code, reason))

    # --- the connection ---------------------------------------------------------------------------

    async def serve(self, receive: Receive, init_seconds: float) -> None:
        """Serve until either side closes."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(
            init_seconds, self._close, INIT_TIMEOUT, "Connection initialisation timeout"
        )
        connections = self._runtime.connections
        if connections.stopping:
            self.going_away()
        connections.wait(self, self._info.ip, loop.time())
        reader = asyncio.create_task(self._read(receive, timer))
        try:
            waiting: set[asyncio.Future[Any]] = {reader, self._closing}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self._closing.done():
                await self._say_goodbye(self._closing.result())
        finally:
            timer.cancel()
            connections.waited(self, self._info.ip)
            connections.close(self)
            await self._abandon(reader)

    async def _say_goodbye(self, closed: Closed) -> None:
        # A reason has at most 123 bytes (RFC 6455, 5.5), and must not be cut within a character.
        reason = closed.reason.encode()[:123].decode(errors="ignore")
        message = {"type": "websocket.close", "code": closed.code, "reason": reason}
        for operation in self._open.values():
            operation.quiet = True
        try:
            async with asyncio.timeout(5):
                await self._send(message)
        except (OSError, RuntimeError, TimeoutError):
            log.debug("connection %s had ended before it was closed", self._info.id)

    async def _abandon(self, reader: asyncio.Task[None]) -> None:
        """End what still runs. A mutation continues to its end, since it may be half done."""
        tasks = [reader]
        for operation in self._open.values():
            operation.quiet = True
            if operation.task is None or operation.task.done():
                continue
            if operation.kind is OperationType.MUTATION:
                self._runtime.detach(operation.task)
            else:
                tasks.append(operation.task)
        await self._runtime.end(*tasks)

    async def _read(self, receive: Receive, timer: asyncio.TimerHandle) -> None:
        loop = asyncio.get_running_loop()
        received = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    return
                self._heard_at = loop.time()
                received += 1
                # Thousands of short messages may arrive at once, without waiting for anything.
                if received % _TURN == 0:
                    await asyncio.sleep(0)
                await self._handle(self._parse(message), timer)
        except Closed as closed:
            self._close(closed.code, closed.reason)
        except Exception:
            log.exception("connection %s: fault", self._info.id)
            self._close(FAULT, f"Internal error; quote request id {self._info.id}")

    def _parse(self, message: Message) -> dict[str, Any]:
        text = message.get("text")
        if text is None:
            raise Closed(BAD_MESSAGE, "Messages must be text frames")
        limits = self._runtime.settings.limits
        # Never more bytes than this many characters can have: measured exactly only when near.
        if len(text) > limits.body_bytes or len(text.encode()) > limits.body_bytes:
            raise Closed(TOO_BIG, f"A message may have {limits.body_bytes:,} bytes")
        try:
            # A request is two levels deep in its message.
            value = parse_json(text.encode(), limits.json_depth + 2, "The message")
        except (BadRequest, UnicodeEncodeError) as error:
            raise Closed(BAD_MESSAGE, str(error)) from None
        if not isinstance(value, dict):
            raise Closed(BAD_MESSAGE, "A message must be a JSON object")
        return value

    async def _handle(self, message: dict[str, Any], timer: asyncio.TimerHandle) -> None:
        kind = message.get("type")
        # Checked first: a list or an object cannot be looked up among the types.
        if not isinstance(kind, str):
            raise Closed(BAD_MESSAGE, "A message must have a `type`, a string")
        if kind == "subscribe":
            await self._subscribe(message)
        elif kind == "complete":
            self._complete(message)
        elif kind == "connection_init":
            await self._initialise(message)
            timer.cancel()
        elif kind in {"ping", "pong"}:
            payload = message.get("payload")
            if payload is not None and not isinstance(payload, dict):
                raise Closed(BAD_MESSAGE, f"The payload of `{kind}` must be an object")
            if kind == "ping":
                pong = {"type": "pong"} if payload is None else {"type": "pong", "payload": payload}
                await self._write(pong)
        elif kind in {"connection_ack", "next", "error"}:
            raise Closed(BAD_MESSAGE, f"`{kind}` is for the server to say")
        else:
            raise Closed(BAD_MESSAGE, f"There is no message type `{kind[:40]}`")

    async def _initialise(self, message: dict[str, Any]) -> None:
        if self._initialised:
            raise Closed(TOO_MANY_INITS, "Too many initialisation requests")
        self._initialised = True
        payload = message.get("payload")
        if payload is None:
            payload = {}
        if not isinstance(payload, dict):
            raise Closed(BAD_MESSAGE, "The payload of `connection_init` must be an object or null")
        authorization = _authorization(payload) or self._authorization
        try:
            async with self._runtime.connections.turn():
                viewer = await self._runtime.services.authenticator.viewer(authorization)
            self.credentials = viewer.credentials
            self._runtime.connections.waited(self, self._info.ip)
            self._runtime.connections.open(self, self._info.ip)
        except Unauthenticated as failure:
            raise Closed(FORBIDDEN, f"Forbidden: {failure.message}") from None
        except TooManyConnections as failure:
            raise Closed(TRY_AGAIN, failure.message) from None
        except Exception as error:
            answer = refusal(error, self._info.id)
            if answer.code == ErrorCode.UNAVAILABLE.value:
                raise Closed(TRY_AGAIN, answer.errors[0]["message"]) from None
            raise
        await self._write({"type": "connection_ack"})
        self._acknowledged = True

    # --- operations -------------------------------------------------------------------------------

    async def _subscribe(self, message: dict[str, Any]) -> None:
        if not self._acknowledged:
            raise Closed(UNAUTHORIZED, "Unauthorized: send connection_init and await its answer")
        id_ = _id(message)
        payload = message.get("payload")
        if not isinstance(payload, dict):
            raise Closed(BAD_MESSAGE, "The payload of `subscribe` must be an object")
        try:
            request = request_from_object(payload)
        except BadRequest as error:
            raise Closed(BAD_MESSAGE, str(error)) from None
        if (
            request.query is None
            and request.document_id is None
            and "persistedQuery" not in (request.extensions or {})
        ):
            raise Closed(BAD_MESSAGE, "`query` or `documentId` must be a string")
        if id_ in self._open:
            raise Closed(DUPLICATE_ID, f"Subscriber for {id_} already exists")
        self._operations += 1
        info = RequestInfo(
            f"{self._info.id}.{self._operations}", self._info.ip, self._info.user_agent
        )
        limit = self._runtime.settings.limits.subscriptions_per_connection
        if len(self._open) >= limit:
            answer = refusal(_full(limit), info.id)
            await self._write({"type": "error", "id": id_, "payload": answer.errors})
            return
        operation = self._open[id_] = _Open()
        operation.task = asyncio.create_task(self._run(id_, operation, request, info))

    def _complete(self, message: dict[str, Any]) -> None:
        operation = self._open.get(_id(message))
        # It may have ended by itself while this message was under way.
        if operation is None:
            return
        operation.quiet = True
        if operation.task is not None and operation.kind is not OperationType.MUTATION:
            del self._open[_id(message)]
            operation.task.cancel()

    async def _run(
        self, id_: str, operation: _Open, request: GraphQLRequest, info: RequestInfo
    ) -> None:
        with (
            traced_operation(self._traceparent, request.extensions),
            noted(info, self._runtime.settings.server.log_slow_seconds) as entry,
        ):
            await self._answer(id_, operation, request, info, entry)

    async def _answer(
        self, id_: str, operation: _Open, request: GraphQLRequest, info: RequestInfo, entry: Entry
    ) -> None:
        started = time.perf_counter()
        name, streamed = "unknown", False
        try:
            prepared = await self._runtime.executor.prepare(request, request_id=info.id)
            operation.kind = prepared.kind
            entry.operation(prepared)
            name = prepared.kind.value
            context = await self._context(info, public=prepared.operation.public)
            try:
                await self._runtime.executor.admit(prepared, context)
            finally:
                entry.context(context)
            streamed = prepared.subscribes
            if streamed:
                answer = await self._stream(id_, operation, prepared, context)
            else:
                answer = await self._once(prepared, context)
        except Exception as error:  # noqa: BLE001 - every fault becomes an answer
            answer = refusal(error, info.id)
        finally:
            # Freed before the client learns that it has ended, so that it can reuse the ID.
            if self._open.get(id_) is operation:
                del self._open[id_]
        entry.answer(answer)
        entry.write(info, transport="ws")
        self._runtime.metrics.operation(name, "ws", answer, started)
        if not operation.quiet:
            await self._finish(id_, answer, streamed=streamed)

    async def _finish(self, id_: str, answer: Answer, *, streamed: bool) -> None:
        if not answer.executed:
            payload = answer.errors
            await self._write({"type": "error", "id": id_, "payload": payload})
            return
        if not streamed:
            await self._write({"type": "next", "id": id_, "payload": answer.payload()})
        await self._write({"type": "complete", "id": id_})

    async def _once(self, prepared: Prepared, context: Context) -> Answer:
        answer = await self._runtime.execute(prepared, context)
        renewed = context.renewed
        if renewed is not None and renewed.user_id == self.credentials.user_id:
            self.credentials = renewed
        return answer

    async def _stream(
        self, id_: str, operation: _Open, prepared: Prepared, admitted: Context
    ) -> Answer:
        """Send every delivery; the last answer says whether the stream failed."""
        async with self._runtime.connections.turn():
            deliveries = await self._runtime.executor.subscribe(prepared, admitted, self._viewer)
        # The statements of deliveries would pile up for as long as the stream is open.
        request_statements.set(None)
        sent = 0
        async with aclosing(deliveries):
            async for answer in deliveries:
                if not answer.executed:
                    return answer
                if operation.quiet or self._closing.done():
                    break
                self._runtime.metrics.delivery()
                await self._write({"type": "next", "id": id_, "payload": answer.payload()})
                sent += 1
                # A long replay, none of whose steps has to wait.
                if sent % _TURN == 0:
                    await asyncio.sleep(0)
        return Answer()

    async def _context(self, info: RequestInfo, *, public: bool) -> Context:
        """A context for one operation. Without valid credentials, only what works signed out can be
        done, such as renewing them.
        """
        services = self._runtime.services
        if public:
            with suppress(Unauthenticated):
                return await services.current_context(self.credentials, info)
            return services.context(NOBODY, info)
        return services.context(await self._viewer(), info)

    async def _viewer(self) -> Viewer:
        """Asked for each operation and delivery. Credentials that are no longer valid end the
        connection.
        """
        try:
            return await self._runtime.services.authenticator.current(self.credentials)
        except Unauthenticated:
            self.expire()
            raise

    async def _write(self, message: dict[str, Any]) -> None:
        text = orjson.dumps(message).decode()
        try:
            async with self._writing:
                if not self._closing.done():
                    # `tick` looks at it: a timeout for each message would cost as much as the rest.
                    self._sending_since = asyncio.get_running_loop().time()
                    try:
                        await self._send({"type": "websocket.send", "text": text})
                    finally:
                        self._sending_since = None
        except OSError:
            # The client is gone; the reader notices it too.
            log.debug("connection %s has ended", self._info.id)


def _full(limit: int) -> Failure:
    return Failure(
        f"{limit} operations are open on this connection already.",
        code=ErrorCode.LIMIT_EXCEEDED,
        extra={"limit": "subscriptions", "maximum": limit},
    )


def _authorization(payload: dict[str, Any]) -> str | None:
    """The credentials in `connectionParams`; clients write the header's name in either case."""
    for name, value in payload.items():
        if name.lower() == "authorization" and value is not None:
            if not isinstance(value, str):
                raise Closed(BAD_MESSAGE, "`Authorization` must be a string")
            return value
    return None


def _id(message: dict[str, Any]) -> str:
    id_ = message.get("id")
    if not isinstance(id_, str) or not id_ or len(id_) > _LONGEST_ID:
        raise Closed(BAD_MESSAGE, f"`id` must be a string of 1 to {_LONGEST_ID} characters")
    return id_
