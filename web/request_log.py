"""One line in the log for each request, and for each operation over a WebSocket.

It has the request's ID, the operation's name and the SHA-256 of its document, the user and the API
key by their IDs, the cost, the duration, the number of statements, and the outcome. It has no
variables, no text of a document, and no query of an address, which may contain a token.

The level is `warning` if the server failed or was slow (`TASKLOOM_LOG_SLOW_SECONDS`), and then the
line lists the statements; `debug` for health checks and metrics; otherwise `info`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import structlog

from auth.request import RequestInfo
from db.engine import request_statements
from db.traced import sanitized
from errors import SERVER_FAULTS
from graph.core.context import Context
from graph.request.answer import Answer
from graph.request.preparation import Prepared
from web.log_lines import write_line

LOGGER: Final = "taskloom.access"

_levels = logging.getLogger(LOGGER)

# Asked for every few seconds by machines.
_QUIET: Final = ("/health", "/metrics")
# A statement is written once, and a long one not to its end.
_MOST_STATEMENTS: Final = 20
_MOST_CHARACTERS: Final = 2_000


class Entry:
    """What is known of one request so far; written when it has ended."""

    __slots__ = ("_fields", "_slow_seconds", "_started", "_statements")

    def __init__(self, slow_seconds: float, statements: list[str]) -> None:
        self._slow_seconds = slow_seconds
        self._started = time.perf_counter()
        self._statements = statements
        self._fields: dict[str, Any] = {}

    def operation(self, prepared: Prepared) -> None:
        """The operation that was requested."""
        self._fields["operation"] = (prepared.operation.name or "")[:100] or None
        self._fields["kind"] = prepared.kind.value
        self._fields["hash"] = prepared.operation.sha256

    def context(self, context: Context) -> None:
        """Who asks, and what it costs."""
        viewer = context.viewer
        if viewer.user_id is not None:
            self._fields["user"] = str(viewer.user_id)
        if viewer.api_key_id is not None:
            self._fields["api_key"] = str(viewer.api_key_id)
        cost = context.extensions.get("cost")
        if isinstance(cost, Mapping):
            self._fields["cost"] = cost["charged"]

    def answer(self, answer: Answer) -> None:
        """What became of it."""
        self._fields["outcome"] = (
            "refused" if not answer.executed else "errors" if answer.errors else "ok"
        )
        codes = {str((error.get("extensions") or {}).get("code")) for error in answer.errors}
        if codes:
            self._fields["codes"] = sorted(codes)

    def write(self, info: RequestInfo, status: int | None = None, **fields: Any) -> None:
        """Write the line."""
        seconds = time.perf_counter() - self._started
        streams = self._fields.get("kind") == "subscription"
        slow = seconds > self._slow_seconds and not streams
        failed = (status or 0) >= 500 or not SERVER_FAULTS.isdisjoint(self._fields.get("codes", ()))
        quiet = str(fields.get("path", "")).startswith(_QUIET)
        level = logging.WARNING if slow or failed else logging.DEBUG if quiet else logging.INFO
        if not _levels.isEnabledFor(level):
            return
        line = {
            **fields,
            **({} if status is None else {"status": status}),
            **self._fields,
            "ip": info.ip,
            "ms": round(1000 * seconds, 1),
            "statements": len(self._statements),
        }
        if slow:
            # A literal may be a name that the client gave to a field.
            texts = dict.fromkeys(sanitized(text)[:_MOST_CHARACTERS] for text in self._statements)
            line["slow"] = list(texts)[:_MOST_STATEMENTS]
        write_line(LOGGER, level, "request", line)


@contextmanager
def noted(info: RequestInfo, slow_seconds: float) -> Iterator[Entry]:
    """The entry of a request that is handled in this block. All that is logged meanwhile has the
    request's ID.
    """
    statements: list[str] = []
    token = request_statements.set(statements)
    bound = structlog.contextvars.bind_contextvars(request_id=info.id)
    try:
        yield Entry(slow_seconds, statements)
    finally:
        structlog.contextvars.reset_contextvars(**bound)
        request_statements.reset(token)
