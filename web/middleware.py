"""What every request passes through, in one pure ASGI layer.

It gives the request its ID and returns it in the answer, enforces the rules for pages of other
origins (CORS), adds security headers, and writes the request's line in the log
(`web.request_log`). `Faults` turns uncaught errors into JSON with the
request's ID.
"""

from __future__ import annotations

import random
import re
from typing import Any, Final

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auth.request import RequestInfo
from errors import ErrorCode
from graph.request.error_format import format_errors
from settings import ServerSettings
from web.metrics import Metrics
from web.origins import Origins
from web.request_log import noted

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{8,64}")

# The status that nginx logs for clients that left before the answer.
_LEFT: Final = 499

# For uncaught errors; all others are of the database, and pass.
_STATUSES: Final = {
    ErrorCode.INTERNAL_SERVER_ERROR.value: 500,
    ErrorCode.BAD_USER_INPUT.value: 400,
}

_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    # No page of ours may be framed by another site.
    (b"x-frame-options", b"DENY"),
)
# In production behind https: browsers use only https for a year.
_TRANSPORT: Final = (b"strict-transport-security", b"max-age=31536000")
_ALLOWED_HEADERS: Final = (
    "Authorization, Content-Type, X-Request-Id, Apollo-Require-Preflight, "
    "X-Apollo-Operation-Name, X-Taskloom-Preflight"
)
_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS"),
    (b"access-control-allow-headers", _ALLOWED_HEADERS.encode()),
    # The longest that browsers cache it: two hours.
    (b"access-control-max-age", b"7200"),
    (b"content-length", b"0"),
)
_EXPOSED: Final = (
    b"access-control-expose-headers",
    b"X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, Deprecation, Sunset",
)


class Gate:
    """See the module."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._origins = Origins(settings)
        self._slow_seconds = settings.log_slow_seconds
        self._security: tuple[tuple[bytes, bytes], ...] = _SECURITY
        if settings.production and settings.public_url.startswith("https://"):
            self._security = (*_SECURITY, _TRANSPORT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Anything except HTTP and WebSockets passes unchanged."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            _identify(scope)
            await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        info, origin = _identify(scope)
        extra = [(b"x-request-id", info.id.encode()), *self._security]
        if origin is not None:
            extra.append((b"vary", b"Origin"))
            if self.allows(origin):
                extra += [(b"access-control-allow-origin", origin.encode("latin-1")), _EXPOSED]
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                present = {name for name, _ in headers}
                headers += [
                    header for header in extra if header[0] == b"vary" or header[0] not in present
                ]
                message = {**message, "headers": headers}
            await send(message)

        with noted(info, self._slow_seconds) as entry:
            scope["taskloom.entry"] = entry
            try:
                if origin is not None and scope["method"] == "OPTIONS" and _is_preflight(scope):
                    await self._preflight(origin, send_with_headers)
                else:
                    await self._app(scope, receive, send_with_headers)
            finally:
                self._metrics.response(status or _LEFT)
                # The path without its query, which may contain a token.
                entry.write(info, status or _LEFT, method=scope["method"], path=scope["path"])

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may call the API."""
        return self._origins.allows(origin)

    async def _preflight(self, origin: str, send: Send) -> None:
        status, headers = (204, list(_PREFLIGHT)) if self.allows(origin) else (403, [])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _identify(scope: Scope) -> tuple[RequestInfo, str | None]:
    """Put the request's `RequestInfo` into the scope; returns it and the `Origin`."""
    request_id = user_agent = origin = None
    for name, value in scope["headers"]:
        if name == b"user-agent":
            user_agent = value.decode("latin-1")[:300]
        elif name == b"x-request-id":
            given = value.decode("latin-1")
            if _REQUEST_ID.fullmatch(given):
                request_id = given
        elif name == b"origin":
            origin = value.decode("latin-1")
    client: Any = scope.get("client")
    info = RequestInfo(
        # Only for finding it in logs; asking the kernel for randomness would be expensive.
        id=request_id or f"{random.getrandbits(80):020x}",
        ip=client[0] if client else None,
        user_agent=user_agent,
    )
    scope["taskloom.request"] = info
    return info, origin


def _is_preflight(scope: Scope) -> bool:
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])


class Faults:
    """Answers uncaught errors: 503 if the database is unreachable or full, 500 otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Below `Gate`, which has identified the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def noticing(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noticing)
        except Exception as error:
            info: RequestInfo = scope["taskloom.request"]
            errors = format_errors([error], info.id, where=repr(scope["path"]))
            if started:
                # Half an answer is sent; all that can be done is to break it off visibly.
                raise
            await _answer(send, errors, info.id)


async def _answer(send: Send, errors: list[dict[str, Any]], request_id: str) -> None:
    status = _STATUSES.get(errors[0]["extensions"]["code"], 503)
    body = orjson.dumps({"errors": errors, "extensions": {"requestId": request_id}})
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
