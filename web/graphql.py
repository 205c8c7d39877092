"""`/graphql` over HTTP: POST for everything, GET for queries; JSON or an event stream.

Written in plain ASGI, since this path must be short. It follows GraphQL over HTTP as its audit
suite (npm `graphql-http`) does: under `application/graphql-response+json`, a refused request is 400
without `data`, and an executed one is 200; under `application/json`, for older clients, a
well-formed request is 200 even if its document is invalid. Limits and credentials give their own
4xx under either.

There are no cookies, and a body must be JSON (or come with a header that no form can send, see
`web.multipart`), so no page of another site can act for a user.
"""

from __future__ import annotations

import datetime as dt
import time
from email.utils import format_datetime
from typing import Final
from urllib.parse import parse_qs

from graphql import OperationType
from starlette.types import Receive, Scope, Send

from auth.limits import BUDGET_SECONDS, Budget
from auth.request import RequestInfo
from auth.viewer import NOBODY, Viewer
from errors import ErrorCode, Unauthenticated
from graph.request.answer import Answer, Refused, refusal
from graph.request.deprecation import NOTICE
from graph.request.preparation import GraphQLRequest, Prepared
from web.content_negotiation import EVENT_STREAM, PLAIN_JSON, RESPONSE_JSON, Wanted, wanted
from web.event_stream import EventStream
from web.multipart import check_preflight, is_multipart, read_multipart
from web.request_log import Entry
from web.requests import (
    BadRequest,
    Disconnected,
    check_content_type,
    header,
    read_body,
    request_from_json,
    request_from_query,
)
from web.runtime import Runtime

Headers = list[tuple[bytes, bytes]]

PATH: Final = "/graphql"
METHODS: Final = "GET, POST, OPTIONS"

# Where a request keeps its files until it is answered.
_UPLOADS: Final = "taskloom.uploads"

_CONTENT_TYPES: Final = {
    media_type: (b"content-type", f"{media_type}; charset=utf-8".encode())
    for media_type in (RESPONSE_JSON, PLAIN_JSON)
}

# The status of a refused request under either media type. Other codes are the document's fault.
_STATUSES: Final = {
    ErrorCode.BAD_REQUEST.value: 400,
    ErrorCode.OPERATION_TOO_COMPLEX.value: 400,
    ErrorCode.UNAUTHENTICATED.value: 401,
    ErrorCode.FORBIDDEN.value: 403,
    ErrorCode.RATE_LIMITED.value: 429,
    ErrorCode.LIMIT_EXCEEDED.value: 429,
    ErrorCode.INTERNAL_SERVER_ERROR.value: 500,
    ErrorCode.UNAVAILABLE.value: 503,
    ErrorCode.TIMEOUT.value: 503,
}


class GraphQLOverHTTP:
    """The ASGI application of the path."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        started = time.perf_counter()
        info: RequestInfo = scope["taskloom.request"]
        entry: Entry = scope["taskloom.entry"]
        accepted = wanted(header(scope, b"accept"))
        kind = "unknown"
        try:
            if scope["method"] == "OPTIONS":
                await _respond(send, 204, b"", None, [(b"allow", METHODS.encode())])
                return
            request = await self._read(scope, receive)
            _check_accepted(accepted)
            prepared = await self._runtime.executor.prepare(request, request_id=info.id)
            kind = prepared.kind.value
            entry.operation(prepared)
            _check_method(scope["method"], prepared)
            streamed = _as_stream(prepared, accepted)
            viewer = await self._viewer_for(prepared, scope)
            context = self._runtime.services.context(viewer, info)
            try:
                await self._runtime.executor.admit(prepared, context)
            finally:
                entry.context(context)
            headers = _budget(context.budget) + _removal(prepared.operation.removal)
            if streamed:
                stream = EventStream(self._runtime, info, viewer.credentials, headers)
                uploads = scope.get(_UPLOADS, [])
                outcome = await stream.serve(prepared, context, receive, send, uploads)
                if outcome is not None:
                    entry.answer(outcome)
                return
            answer = await self._runtime.execute(prepared, context)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001 - every fault becomes an answer
            answer = refusal(error, info.id)
            if _as_stream_error(error, answer, accepted):
                stream = EventStream(self._runtime, info)
                await stream.fail(answer, receive, send)
            else:
                await self._refuse(send, error, answer, accepted)
        else:
            status = 200 if answer.executed else status_of(answer, accepted)
            if answer.engine is not None and not self._runtime.settings.server.production:
                headers.append((b"x-taskloom-engine", answer.engine.encode()))
            await _respond(send, status, answer.body(), accepted.json, headers)
        finally:
            for upload in scope.get(_UPLOADS, ()):
                upload.close()
        entry.answer(answer)
        self._runtime.metrics.operation(kind, "http", answer, started)

    async def _read(self, scope: Scope, receive: Receive) -> GraphQLRequest:
        limits = self._runtime.settings.limits
        method = scope["method"]
        if method == "POST":
            content_type = header(scope, b"content-type")
            if is_multipart(content_type):
                return await self._read_files(scope, receive)
            check_content_type(content_type)
            body = await read_body(receive, limits.body_bytes)
            return request_from_json(body, limits.json_depth)
        if method == "GET":
            return request_from_query(scope["query_string"], limits.json_depth)
        raise BadRequest(
            f"{method} is not allowed on this path.", status=405, headers={"Allow": METHODS}
        )

    async def _read_files(self, scope: Scope, receive: Receive) -> GraphQLRequest:
        check_preflight(scope)
        # No files are accepted from unknown senders.
        authenticator = self._runtime.services.authenticator
        (await authenticator.viewer(header(scope, b"authorization"))).require()
        uploads = scope[_UPLOADS] = []
        return await read_multipart(scope, receive, self._runtime.settings, uploads)

    async def _viewer_for(self, prepared: Prepared, scope: Scope) -> Viewer:
        """The viewer of this operation: by the `Authorization` header or, since a browser's
        EventSource cannot send one, by a stream token in the address.

        Clients send their header with everything; an expired one must not keep them from getting a
        new one.
        """
        authenticator = self._runtime.services.authenticator
        authorization = header(scope, b"authorization")
        if authorization is None and scope["method"] == "GET":
            tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token")
            if tokens:
                if not prepared.subscribes:
                    raise Unauthenticated(
                        "A stream token can open one subscription; it cannot run queries."
                    )
                return await authenticator.use_stream_token(tokens[0])
        try:
            return await authenticator.viewer(authorization)
        except Unauthenticated:
            if prepared.operation.public:
                return NOBODY
            raise

    async def _refuse(self, send: Send, error: Exception, answer: Answer, accepted: Wanted) -> None:
        status = status_of(answer, accepted)
        headers = _budget(answer.budget)
        if isinstance(error, BadRequest):
            status = error.status
            headers += [(name.lower().encode(), v.encode()) for name, v in error.headers.items()]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        retry_after = answer.errors[0]["extensions"].get("retryAfter")
        if retry_after is not None:
            headers.append((b"retry-after", b"%d" % retry_after))
        await _respond(send, status, answer.body(), accepted.error_type, headers)


def _budget(budget: Budget | None) -> Headers:
    """The fields of draft-ietf-httpapi-ratelimit-headers: points left, seconds until the next."""
    if budget is None:
        return []
    return [
        (b"ratelimit", b'"points";r=%d;t=%d' % (budget.remaining, budget.reset_seconds)),
        (b"ratelimit-policy", b'"points";q=%d;w=%d' % (budget.limit, BUDGET_SECONDS)),
    ]


def _removal(date: dt.date | None) -> Headers:
    """RFC 9745 and 8594: since when something that the document uses is deprecated, at the latest,
    and when it is removed (`docs/deprecation.md`).
    """
    if date is None:
        return []
    end = dt.datetime.combine(date, dt.time(), dt.UTC)
    return [
        (b"deprecation", b"@%d" % (end - NOTICE).timestamp()),
        (b"sunset", format_datetime(end, usegmt=True).encode()),
    ]


def _check_accepted(accepted: Wanted) -> None:
    if accepted.nothing:
        raise BadRequest(
            f"Accept one of {RESPONSE_JSON}, {PLAIN_JSON} and {EVENT_STREAM}.", status=406
        )


def _check_method(method: str, prepared: Prepared) -> None:
    """GET must be safe, since any page can make a browser follow a link."""
    if method == "GET" and prepared.kind is OperationType.MUTATION:
        raise BadRequest("Mutations must be sent by POST.", status=405, headers={"Allow": "POST"})


def _as_stream(prepared: Prepared, accepted: Wanted) -> bool:
    """Whether the answer is an event stream. A subscription has no other form over HTTP."""
    if not prepared.subscribes:
        return accepted.stream_first
    if not accepted.event_stream:
        raise BadRequest(
            "Subscriptions need a stream: send `Accept: text/event-stream`, or use a WebSocket "
            "with the subprotocol graphql-transport-ws on the same path."
        )
    return True


def _as_stream_error(error: Exception, answer: Answer, accepted: Wanted) -> bool:
    """An EventSource shows its page no body of a refusal, so errors of the document are sent within
    the stream.
    """
    return accepted.stream_first and isinstance(error, Refused) and answer.code not in _STATUSES


def status_of(answer: Answer, accepted: Wanted) -> int:
    """The HTTP status of a request that was not executed."""
    code = answer.code or ""
    if code in _STATUSES:
        return _STATUSES[code]
    return 200 if accepted.error_type == PLAIN_JSON else 400


async def _respond(
    send: Send, status: int, body: bytes, media_type: str | None, headers: Headers
) -> None:
    # Answers for one user must not be cached by proxies or browsers.
    raw = [(b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
    if media_type is not None:
        raw.append(_CONTENT_TYPES[media_type])
    raw += headers
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
