"""Run the application: its socket, its processes, its end.

uvicorn does most of it. The rest: the socket is bound before anything else starts, and a reload
watches only our own files.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.statreload import StatReload

from settings import LimitSettings, ServerSettings, Settings
from web.log_lines import level_of_libraries
from web.protocol import LimitedWebSocket, http_protocol

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
        log_level=level_of_libraries(server),
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
