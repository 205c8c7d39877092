"""Run the application: its socket, its processes, its end.

uvicorn does most of it. The rest: the socket is bound before anything else starts, and a reload
watches only our own files.
"""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process
from uvicorn.supervisors.statreload import StatReload

from settings import LimitSettings, ServerSettings, Settings
from web.log_lines import level_of_libraries
from web.protocol import LimitedWebSocket, http_protocol

log = logging.getLogger("taskloom.serving")

# How long a process may not answer before it is replaced: on a busy machine it has to wait, and a
# new one would only make it busier. One that has never answered still imports the application.
_ANSWER_SECONDS = 30
_START_SECONDS = 300
_ROOT = Path(__file__).resolve().parent.parent


def listen(settings: ServerSettings) -> socket.socket:
    """Bind the server's address; raises `OSError` if that fails."""
    return _bound(settings.host, settings.port)


def listen_for_metrics(settings: Settings) -> socket.socket | None:
    """Bind the address of the metrics, if they have one of their own; raises `OSError` if that
    fails.
    """
    metrics = settings.metrics
    if metrics.port is None:
        return None
    # Each of the server's processes listens; a scrape meets one of them, as on the API's port.
    return _bound(metrics.host, metrics.port, shared=settings.server.workers > 1)


def _bound(host: str, port: int, *, shared: bool = False) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
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
    """Serve the application on this socket until asked to stop, in one process or several.
    `stopping` is called as soon as that happens.
    """
    server = settings.server
    config = uvicorn.Config(
        "cli.processes:application",
        factory=True,
        workers=server.workers,
        reload=reload,
        log_level=level_of_libraries(server),
        timeout_graceful_shutdown=server.shutdown_seconds,
        backlog=2048,
        timeout_worker_healthcheck=_ANSWER_SECONDS,
        **protocol_options(settings.limits),
    )
    if reload:
        _Reloader(config, target=uvicorn.Server(config).run, sockets=[listener]).run()
    elif server.workers > 1:
        processes = _Processes(config, listener, stopping)
        processes.run()
        if processes.could_not_start:
            # As uvicorn does with one process.
            sys.exit(STARTUP_FAILURE)
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
        "timeout_keep_alive": limits.keep_alive_seconds,
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


@dataclass(slots=True)
class _Answers:
    last: float
    patience: float = _START_SECONDS
    asked: bool = False


class _Processes(Multiprocess):
    def __init__(
        self, config: uvicorn.Config, listener: socket.socket, stopping: Callable[[], None]
    ) -> None:
        super().__init__(config, sockets=[listener])
        self.could_not_start = False
        self._stopping = stopping
        self._answers: WeakKeyDictionary[Process, _Answers] = WeakKeyDictionary()

    def keep_subprocess_alive(self) -> None:
        """Replace processes that have ended or hang. Like uvicorn's, which waits for each answer,
        and meanwhile hears no signal and looks at no other process.
        """
        for index, process in enumerate(self.processes):
            hangs = self._hangs(process)
            if process.process.is_alive() and not hangs:
                continue
            process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE:
                log.error("a process of the server could not start")
                self.could_not_start = True
                self.should_exit.set()
                return
            why = "does not answer" if hangs else "has ended"
            log.error("process %s of the server %s and is replaced", process.pid, why)
            self.processes[index] = Process(self.config, self.sockets)
            self.processes[index].start()

    def _hangs(self, process: Process) -> bool:
        now = time.monotonic()
        answers = self._answers.setdefault(process, _Answers(now))
        try:
            while process.parent_conn.poll():
                process.parent_conn.recv()
                answers.last, answers.patience, answers.asked = now, _ANSWER_SECONDS, False
            if not answers.asked:
                process.parent_conn.send(b"ping")
                answers.asked = True
        except (OSError, EOFError):
            # It has died, or is about to.
            return False
        return now - answers.last > answers.patience

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
