"""Spans of SQL statements: their text without any value.

Statements have their values as parameters, which are not recorded. String literals in their text
are replaced all the same, since some contain the names that a client gave to fields (aliases).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, event

from telemetry import spans

T = TypeVar("T")
Run = Callable[..., Coroutine[Any, Any, T]]

MOST_CHARACTERS: Final = 2_000
"""Of a statement's text."""

# A literal: '…' with '' or, after E, \' for a quote; $tag$…$tag$; and, after a sign, a number.
_LITERAL: Final = re.compile(
    r"""\b[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$""", re.DOTALL
)
_NUMBER: Final = re.compile(r"(?<![\w$.\"])\d+(?:\.\d+)?(?![\w\"])")
_MAIN: Final = re.compile(r"[()]|\b(?:INSERT INTO|DELETE FROM|UPDATE|SELECT)\b", re.IGNORECASE)
# What row-level security adds around a statement (`db.read`).
_VIEWED: Final = re.compile(
    r"SELECT \* FROM \((.*)\) AS viewed WHERE \$\d+::taskloom_viewer IS NOT NULL", re.DOTALL
)
_TABLE: Final = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+\"?([a-z_][a-z0-9_.]*)", re.IGNORECASE)


def sanitized(text: str) -> str:
    """The text with `?` for each literal."""
    return _NUMBER.sub("?", _LITERAL.sub("?", text))


@lru_cache(maxsize=1_000)
def _described(text: str) -> tuple[str, dict[str, str]]:
    """The name and the attributes of a statement's span."""
    shown = sanitized(text)
    main = _main_part(shown)
    (first, *_) = [*main.lstrip("(").split(maxsplit=1), "-"]
    first = first.rstrip(";").upper()
    attributes = {
        "db.system.name": "postgresql",
        "db.operation.name": first,
        "db.query.text": shown[:MOST_CHARACTERS],
    }
    name = first
    table = _TABLE.search(main)
    if table is not None:
        attributes["db.collection.name"] = table[1]
        name = f"{first} {table[1]}"
    attributes["db.query.summary"] = name
    return name, attributes


def _main_part(text: str) -> str:
    """The statement without the `WITH` before it, and without what row-level security adds."""
    text = text.strip()
    if (viewed := _VIEWED.fullmatch(text)) is not None:
        text = viewed[1].strip()
    if text[:4].upper() != "WITH":
        return text
    depth = 0
    for found in _MAIN.finditer(text):
        if found[0] == "(":
            depth += 1
        elif found[0] == ")":
            depth -= 1
        elif depth == 0:
            return text[found.start() :]
    return text


def _record(text: str, start: int, error: BaseException | None) -> None:
    if spans.current() is None:
        return
    name, attributes = _described(text)
    if error is None:
        spans.record(name, "client", attributes, start=start)
        return
    state: str | None = getattr(error, "sqlstate", None)
    if state is not None:
        attributes = {**attributes, "db.response.status_code": state}
    spans.record(name, "client", attributes, start=start, error=state or type(error).__name__)


class RecordsStatements:
    """Mixed into a connection of the driver: records its statements.

    What is not recorded is the driver's own coroutine, without another one around it.
    """

    __slots__ = ()

    def execute(self, query: str, *args: Any, **options: Any) -> Coroutine[Any, Any, str]:
        """Like the driver's; BEGIN and COMMIT pass through here."""
        run: Run[str] = super().execute  # type: ignore[misc]  # the driver's
        if spans.current() is None:
            return run(query, *args, **options)
        return _recorded(query, run, args, options)

    def fetch(self, query: str, *args: Any, **options: Any) -> Coroutine[Any, Any, list[Any]]:
        """Like the driver's."""
        run: Run[list[Any]] = super().fetch  # type: ignore[misc]  # the driver's
        if spans.current() is None:
            return run(query, *args, **options)
        return _recorded(query, run, args, options)


async def _recorded(text: str, run: Run[T], args: tuple[Any, ...], options: Mapping[str, Any]) -> T:
    start = time.time_ns()
    try:
        result = await run(text, *args, **options)
    except BaseException as error:
        _record(text, start, error)
        raise
    _record(text, start, None)
    return result


def record_statements(engine: Engine) -> None:
    """Record the statements of SQLAlchemy's sessions, which do not use the driver's methods."""

    @event.listens_for(engine, "before_cursor_execute")
    def _begin(_c: Any, _cur: Any, _text: str, _p: Any, context: Any, _many: bool) -> None:
        if spans.current() is not None:
            context.started_at = time.time_ns()

    @event.listens_for(engine, "after_cursor_execute")
    def _end(_c: Any, _cur: Any, text: str, _p: Any, context: Any, _many: bool) -> None:
        started = getattr(context, "started_at", None)
        if started is not None:
            _record(text, started, None)

    @event.listens_for(engine, "handle_error")
    def _fail(context: Any) -> None:
        started = getattr(context.execution_context, "started_at", None)
        if started is not None and context.statement is not None:
            _record(context.statement, started, context.original_exception)
