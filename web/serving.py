"""Run the application: its socket, its processes, its end.

uvicorn does most of it. The rest: the socket is bound before anything else starts, the children of
a killed parent end, and a reload watches only our own files.
"""

from __future__ import annotations

import copy
import logging
import logging.config
import multiprocessing
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.statreload import StatReload

from db.faults import described
from settings import LimitSettings, ServerSettings, Settings
from web.protocol import LimitedWebSocket, http_protocol

# For what runs when a parent was killed.
_END_SECONDS = 30.0
_ROOT = Path(__file__).resolve().parent.parent


def listen(settings: ServerSettings) -> socket.socket:
    """Bind the server's address; raises `OSError` if that fails."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError:
        listener.close()
        raise
    return listener


def run_server(
    settings: Settings,
    listener: socket.socket,
    *,
    reload: bool,
    stopping: Callable[[], None] = lambda: None,
) -> None:
    """Serve `cli:asgi` on this socket until asked to stop, in one process or several. `stopping` is
    called as soon as that happens.
    """
    server = settings.server
    config = uvicorn.Config(
        "cli:asgi",
        factory=True,
        workers=server.workers,
        reload=reload,
        log_level=_of_libraries(server),
        timeout_graceful_shutdown=server.shutdown_seconds,
        backlog=2048,
        # On a busy machine, a process may not answer for longer than the five seconds after which
        # uvicorn would kill it.
        timeout_worker_healthcheck=30,
        **protocol_options(settings.limits),
    )
    if reload:
        _Reloader(config, target=uvicorn.Server(config).run, sockets=[listener]).run()
    elif server.workers > 1:
        _Processes(config, listener, stopping).run()
    else:
        _Server(config, stopping).run(sockets=[listener])


def protocol_options(limits: LimitSettings) -> dict[str, Any]:
    """Uvicorn's configuration; also used by its tests."""
    return {
        "http": http_protocol(limits),
        "ws": LimitedWebSocket,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        # uvicorn trusts every process of this machine; the application trusts the configured
        # proxies.
        "proxy_headers": False,
        # A message over a WebSocket is a request body too.
        "ws_max_size": limits.body_bytes,
        # Compression would use 300 kB of memory for each connection.
        "ws_per_message_deflate": False,
    }


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping()
        super().handle_exit(sig, frame)


class _Processes(Multiprocess):
    def __init__(
        self, config: uvicorn.Config, listener: socket.socket, stopping: Callable[[], None]
    ) -> None:
        super().__init__(config, sockets=[listener])
        self._stopping = stopping

    def terminate_all(self) -> None:
        self._stopping()
        super().terminate_all()


class _Reloader(StatReload):
    """Watches our own files only: uvicorn's would scan the whole environment."""

    def iter_py_files(self) -> Iterator[Path]:
        for path in _ROOT.iterdir():
            if path.suffix == ".py":
                yield path
            elif (path / "__init__.py").exists():
                yield from path.rglob("*.py")


def end_with_parent() -> None:
    """Stop a child process when its parent was killed; otherwise it would hold the port forever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        # Nothing may keep it: nobody is left who could end it.
        time.sleep(_END_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


class LogFormatter(logging.Formatter):
    """Formats exceptions, as arguments and with tracebacks, as `db.faults.described` does."""

    def __init__(self, format: str | None = None, *, messages: bool = True) -> None:  # noqa: A002 - as `logging` calls it
        super().__init__(format)
        self._messages = messages

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        record = copy.copy(record)
        # It may contain what another formatter made of the exception.
        record.exc_text = None
        if isinstance(record.args, tuple):
            record.args = tuple(self._plain(argument) for argument in record.args)
        return super().format(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is the library's
        """The traceback, starting from the root cause."""
        parts: list[str] = []
        seen: set[int] = set()
        error: BaseException | None = ei[1]
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            place = "".join(traceback.format_tb(error.__traceback__))
            parts.append(f"{place}{described(error, messages=self._messages)}")
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n\nwhich led to\n\n".join(reversed(parts))

    def _plain(self, argument: object) -> object:
        if isinstance(argument, BaseException):
            return described(argument, messages=self._messages)
        return argument


def _of_libraries(settings: ServerSettings) -> str:
    return "info" if settings.log_level == "debug" else settings.log_level


def configure_logging(settings: ServerSettings) -> None:
    """Log one line per message on standard error, alike in every process. It contains nothing that
    users wrote; in production, exceptions are logged by class and place only.

    The level `debug` applies to our own messages: libraries would log the frames of WebSockets,
    with tokens and texts, and a hundred thousand lines for one long comment.
    """
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": LogFormatter,
                    "format": "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s",
                    "messages": not settings.production,
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": _of_libraries(settings).upper(), "handlers": ["stderr"]},
            "loggers": {
                "taskloom": {"level": settings.log_level.upper()},
                # Alembic logs each step at level info; `migrate` reports what matters.
                "alembic": {"level": "WARNING"},
            },
        }
    )
