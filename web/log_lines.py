"""How logs are written: on standard error, alike in every process.

In production each line is a JSON object; in development it is for reading. Messages of libraries,
which use `logging`, take the same form.

A log contains nothing that users wrote: no variables, no tokens, no values in a database's error
(`db.faults.described`). In production, exceptions are logged by class and place only.
"""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import logging
import logging.config
import re
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from db.faults import OUTAGES, database_fault, described
from logs import SHARED, logger
from settings import ServerSettings

# Text that a reader can tell from the fields around it, and that does nothing to a terminal.
_PLAIN: Final = re.compile(r"""[^\s='"\x00-\x1f\x7f-\x9f]*""")
# As wide as structlog's columns.
_LEVEL_WIDTH: Final = 9
_MESSAGE_WIDTH: Final = 30

# What `write_line` writes, of the fields `timestamp`, `level`, `logger`, `message` and others. None
# until logging is configured.
_line: Callable[[EventDict], str] | None = None


def write_line(name: str, level: int, message: str, fields: EventDict) -> None:
    """Write what the logger of this name would, in a fifth of its time: for what is logged with
    each request. The caller has asked the logger whether the level is enabled.
    """
    if _line is None:
        logger(name).log(level, message, **fields)
        return
    line = dict(fields)
    for key, value in structlog.contextvars.get_contextvars().items():
        line.setdefault(key, value)
    line["logger"] = name
    line["level"] = logging.getLevelName(level).lower()
    line["timestamp"] = f"{dt.datetime.now(dt.UTC).replace(tzinfo=None).isoformat()}Z"
    line["message"] = message
    # Standard error may be closed or full; the request is answered nevertheless.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(_line(line))


class LogFormatter(structlog.stdlib.ProcessorFormatter):
    """One line per message: JSON, or text to read. Exceptions, as arguments and with tracebacks,
    are written as `db.faults.described` does.
    """

    def __init__(self, *, json: bool, messages: bool = True) -> None:
        self._messages = messages
        renderer: Processor = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if json:
            renderer = structlog.processors.JSONRenderer(serializer=_dumped)
        super().__init__(
            foreign_pre_chain=SHARED,
            processors=[
                self._add_exception,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([structlog.processors.EventRenamer("message")] if json else []),
                renderer,
            ],
        )

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        record = copy.copy(record)
        # It may contain what another formatter made of the exception.
        record.exc_text = None
        if isinstance(record.args, tuple):
            record.args = tuple(self._plain(argument) for argument in record.args)
        if record.name == "asyncio" and not self._messages:
            # The lines below the first one repeat the exception in Python's notation.
            record.msg, record.args = record.getMessage().partition("\n")[0], None
        return super().format(record)

    def described_traceback(self, error: BaseException | None) -> str:
        """The traceback, starting from the root cause; of an outage of the database the cause
        alone, since it is met everywhere, again and again.
        """
        if error is not None and database_fault(error) in OUTAGES:
            causes = [error]
            while (cause := causes[-1].__cause__) is not None and cause not in causes:
                causes.append(cause)
            return described(causes[-1], messages=self._messages)
        parts: list[str] = []
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            place = "".join(traceback.format_tb(error.__traceback__))
            parts.append(f"{place}{described(error, messages=self._messages)}")
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n\nwhich led to\n\n".join(reversed(parts))

    def _add_exception(self, _: WrappedLogger, __: str, line: EventDict) -> EventDict:
        given = line.pop("exc_info", None)
        if given is True:
            given = sys.exc_info()
        error = given[1] if isinstance(given, tuple) else given
        if isinstance(error, BaseException):
            line["exception"] = self.described_traceback(error)
        return line

    def _plain(self, argument: object) -> object:
        if isinstance(argument, BaseException):
            return described(argument, messages=self._messages)
        return argument


def json_line(line: EventDict) -> str:
    """A line of `write_line` as JSON."""
    return f"{_dumped(line)}\n"


class TextLine:
    """A line of `write_line` to read, as structlog's `ConsoleRenderer` writes it."""

    def __init__(self, *, colors: bool) -> None:
        self._styles = structlog.dev.ConsoleRenderer.get_default_column_styles(colors)
        self._levels = structlog.dev.ConsoleRenderer.get_default_level_styles(colors)

    def __call__(self, line: EventDict) -> str:
        style = self._styles
        reset, bright = style.reset, style.bright
        level = line.pop("level")
        parts = [
            (
                f"{style.timestamp}{line.pop('timestamp')}{reset} "
                f"[{self._levels[level]}{bright}{level:<{_LEVEL_WIDTH}}{reset}] "
                f"{bright}{line.pop('message'):<{_MESSAGE_WIDTH}}{reset} "
                f"[{reset}{bright}{style.logger_name}{line.pop('logger')}{reset}]{reset}"
            )
        ]
        for name in sorted(line):
            value = line[name]
            text = value if isinstance(value, str) and _PLAIN.fullmatch(value) else repr(value)
            parts.append(f"{style.kv_key}{name}{reset}={style.kv_value}{text}{reset}")
        return f"{' '.join(parts)}\n"


def level_of_libraries(settings: ServerSettings) -> str:
    """At level `debug`, libraries would log the frames of WebSockets, with tokens and texts, and a
    hundred thousand lines for one long comment; so it applies to our own messages.
    """
    return "info" if settings.log_level == "debug" else settings.log_level


def configure_logging(settings: ServerSettings) -> None:
    """Log as the module says; `TASKLOOM_LOG_LEVEL` is the least severe level."""
    global _line  # noqa: PLW0603 - the configuration of `logging` is global too
    _line = json_line if settings.production else TextLine(colors=sys.stderr.isatty())
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": LogFormatter,
                    "json": settings.production,
                    "messages": not settings.production,
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": level_of_libraries(settings).upper(), "handlers": ["stderr"]},
            "loggers": {
                "taskloom": {"level": settings.log_level.upper()},
                # Alembic logs each step at level info; `migrate` reports what matters.
                "alembic": {"level": "WARNING"},
            },
        }
    )
    sys.excepthook = _log_uncaught


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """What ends the process is a line like all others, and says no more than they may."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("taskloom").critical("the process ends", exc_info=(kind, error, trace))


def _dumped(line: Any, **_: Any) -> str:
    return orjson.dumps(line, default=str).decode()
