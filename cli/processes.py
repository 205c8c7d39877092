"""The processes that `taskloom serve` starts: servers, the worker, and the creation of demo data.

Children by `subprocess` and not by `multiprocessing`, which would keep one more process, for shared
memory; uvicorn starts the servers, by the name of `application`.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.context import collecting_rarely
from settings import DatabaseSettings, Settings, load_settings
from web.log_lines import configure_logging
from web.parent import end_with_parent
from web.supervision import Supervisor

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_ROOT = Path(__file__).resolve().parents[1]
# A worker that hangs must not keep the server; others take its jobs when their leases end.
_WORKER_ENDS_SECONDS = 25.0


def application() -> ASGIApp:
    """The application as each server process makes it, from the environment of its parent."""
    create_app = import_application()
    settings = load_settings()
    configure_logging(settings.server)
    end_with_parent()
    return create_app(settings)


def import_application() -> Callable[[Settings], ASGIApp]:
    """`create_app`, with all that it imports."""
    with collecting_rarely():
        from app import create_app

    return create_app


@contextlib.contextmanager
def background_worker(parts: Supervisor) -> Iterator[Callable[[], None]]:
    """Run the worker as a separate process, so that it never delays a request. Yields a function
    that asks it to stop, so that it finishes its jobs while the server finishes its requests.
    """
    processes: list[subprocess.Popen[bytes]] = []
    command = _python("from cli.worker import work_as_child; work_as_child()")

    def start() -> None:
        processes[:] = [subprocess.Popen(command, stdin=subprocess.PIPE)]

    stopping = False

    def alive() -> bool:
        return stopping or processes[0].poll() is None

    def stop() -> None:
        nonlocal stopping
        stopping = True
        processes[0].terminate()

    start()
    try:
        with parts.watching("worker", alive, start):
            yield stop
    finally:
        stop()
        try:
            processes[0].wait(_WORKER_ENDS_SECONDS)
        except subprocess.TimeoutExpired:
            click.echo("The worker does not end and is killed.", err=True)
            processes[0].kill()
            processes[0].wait()


@contextlib.contextmanager
def creating_demo_data(settings: Settings) -> Iterator[None]:
    """Fill a database that has no users yet with the demo company, in a process of its own, for
    which the end of the block waits.
    """
    if asyncio.run(_has_users(settings.database)):
        yield
        return
    process = subprocess.Popen(_python("from cli import main; main(['demo'])"))
    try:
        yield
        if process.wait() != 0:
            raise click.ClickException("the demo company could not be created; see above.")
    finally:
        process.terminate()
        process.wait()


async def _has_users(settings: DatabaseSettings) -> bool:
    from db.connecting import connect_driver

    connection = await connect_driver(**settings.connect_args)
    try:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM users)"))
    finally:
        await connection.close()


def _python(code: str) -> list[str]:
    """A command that runs this code with our modules, whatever the current folder has."""
    return [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, sys.argv[1]); {code}",
        str(_ROOT),
    ]
