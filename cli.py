"""The command `taskloom`: serves the API, runs background work, and looks after its database.

Every command that needs a database takes the one of `DATABASE_URL` or, without it, the embedded
server of the data folder, which runs for as long as some command uses it.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import functools
import logging
import logging.config
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import asyncpg
import click

from settings import Settings, SettingsError, describe_settings, load_settings, unknown_variables

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from db.engine import Database

P = ParamSpec("P")
R = TypeVar("R")

ROOT = Path(__file__).resolve().parent
SCHEMA_FILE = ROOT / "schema.graphql"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="taskloom", message="%(prog)s %(version)s")
def main() -> None:
    """Taskloom: a GraphQL API for projects, tasks and time."""


def _explained(command: Callable[P, R]) -> Callable[P, R]:
    """Turn what a user can put right into one message without a traceback, and exit with 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from db.embedded import EmbeddedError
        from db.migrate import MigrationError

        try:
            return command(*args, **kwargs)
        except SettingsError as error:
            lines = "\n  ".join(error.problems)
            raise click.ClickException(f"these settings cannot work:\n  {lines}") from error
        except (EmbeddedError, MigrationError) as error:
            raise click.ClickException(str(error)) from error
        except (
            ConnectionRefusedError,
            socket.gaierror,
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.InvalidCatalogNameError,
            asyncpg.CannotConnectNowError,
        ) as error:
            raise click.ClickException(f"the database cannot be reached: {error}") from error

    return run


# Serving


@main.command()
@_explained
@click.option("--reload", is_flag=True, help="Start again whenever a Python file changes.")
@click.option("--worker/--no-worker", default=True, help="Run the background work as well.")
@click.option("--demo/--no-demo", default=True, help="Fill a new embedded database with demo data.")
def serve(*, reload: bool, worker: bool, demo: bool) -> None:
    """Serve the API, after bringing the database up to date."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    settings = load_settings()
    _configure_logging(settings)
    for sentence in unknown_variables():
        click.echo(f"Note: {sentence}.", err=True)
    if settings.server.workers > 1 and settings.redis.url is None:
        click.echo(
            "Note: several processes without REDIS_URL: live events between them are found by "
            "reading the log every second.",
            err=True,
        )
    # Bound first, so that a port in use is told before anything else has been started.
    listener = _listen(settings)
    port = listener.getsockname()[1]
    os.environ["TASKLOOM_PORT"] = str(port)
    with listener, _database(load_settings()) as ready:
        asyncio.run(_prepare(ready, demo=demo and settings.database.url is None))
        click.echo(f"Taskloom serves {ready.server.public_url}/graphql, its explorer is at /")
        with _background_work() if worker else contextlib.nullcontext():
            _run_server(ready, listener, reload=reload)


def _leave(_number: int, _frame: object) -> None:
    """Asked to stop: that is no failure."""
    sys.exit(0)


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise click.ClickException(
            f"cannot listen on {host}, port {port}: {error.strerror}. "
            "Choose another with TASKLOOM_HOST and TASKLOOM_PORT."
        ) from error
    return listener


async def _prepare(settings: Settings, *, demo: bool) -> None:
    """Migrate, and fill a database that has no users yet with the demo company if wanted."""
    from db import migrate

    for name in await migrate.upgrade(settings.database):
        click.echo(f"Migrated the database: {name}")
    if not demo:
        return
    async with _connected(settings) as database:
        if await _has_users(database):
            return
    click.echo("Filling the new database with a demo company …")
    await _seed(settings, scale=1)


def _run_server(settings: Settings, listener: socket.socket, *, reload: bool) -> None:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    server = settings.server
    config = uvicorn.Config(
        "cli:asgi",
        factory=True,
        workers=server.workers,
        reload=reload,
        log_config=None,
        log_level=server.log_level,
        access_log=False,
        server_header=False,
        proxy_headers=bool(server.trusted_proxies),
        forwarded_allow_ips=list(server.trusted_proxies),
        timeout_graceful_shutdown=server.shutdown_seconds,
        # A message over a WebSocket is a request's body too.
        ws_max_size=settings.limits.body_bytes,
        backlog=2048,
    )
    if reload:
        _reloader(config, listener).run()
    elif server.workers > 1:
        Multiprocess(config, sockets=[listener]).run()
    else:
        uvicorn.Server(config).run(sockets=[listener])


def _reloader(config: uvicorn.Config, listener: socket.socket) -> Any:
    import uvicorn
    from uvicorn.supervisors.statreload import StatReload

    class Reloader(StatReload):
        """Watches our own files only: uvicorn's would walk through the whole environment."""

        def iter_py_files(self) -> Iterator[Path]:
            for path in ROOT.iterdir():
                if path.suffix == ".py":
                    yield path
                elif (path / "__init__.py").exists():
                    yield from path.rglob("*.py")

    return Reloader(config, target=uvicorn.Server(config).run, sockets=[listener])


def asgi() -> ASGIApp:
    """The application as each server process makes it, from the environment of its parent."""
    from app import create_app

    settings = load_settings()
    _configure_logging(settings)
    _end_with_parent()
    return create_app(settings)


def _end_with_parent() -> None:
    """Stop a child process when its parent was killed, or it would hold the port for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _configure_logging(settings: Settings) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {"format": "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"}
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": settings.server.log_level.upper(), "handlers": ["stderr"]},
            # Alembic tells each step as information; `migrate` tells what matters.
            "loggers": {"alembic": {"level": "WARNING"}},
        }
    )


# Background work


@main.command()
@_explained
def worker() -> None:
    """Do the background work: pruning the trash, old events and old idempotency keys."""
    settings = load_settings()
    _configure_logging(settings)
    with _database(settings) as ready:
        click.echo("The worker runs; stop it with Ctrl-C.")
        asyncio.run(_work(ready))


async def _work(settings: Settings) -> None:
    """Run the periodic jobs until this process is asked to stop."""
    from jobs.periodic import run_forever

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with _connected(settings) as database:
        await run_forever(database, settings, stop)


def _work_as_child() -> None:
    settings = load_settings()
    _configure_logging(settings)
    _end_with_parent()
    asyncio.run(_work(settings))


@contextlib.contextmanager
def _background_work() -> Iterator[None]:
    """The worker as a process beside the server, so that it never delays a request."""
    process = multiprocessing.get_context("spawn").Process(target=_work_as_child, name="worker")
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


# The database


@contextlib.contextmanager
def _database(settings: Settings) -> Iterator[Settings]:
    """Settings that name a running database: the given one, or the embedded one, started."""
    if settings.database.url is not None:
        yield settings
        return
    from db.embedded import EmbeddedPostgres

    server = EmbeddedPostgres.start(settings.server.data_dir)
    verb = "Started" if server.started_here else "Found"
    click.echo(f"{verb} the embedded PostgreSQL of {settings.server.data_dir}")
    # Read by the processes that this one starts.
    os.environ["DATABASE_URL"] = server.dsn()
    try:
        yield settings.with_database(server.dsn())
    finally:
        del os.environ["DATABASE_URL"]
        if server.stop():
            click.echo("Stopped the embedded PostgreSQL")


@contextlib.asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[Database]:
    from db.engine import Database

    database = await Database.connect(settings.database)
    try:
        yield database
    finally:
        await database.close()


@main.command()
@_explained
@click.option("--check", is_flag=True, help="Change nothing; fail when a migration is pending.")
def migrate(*, check: bool) -> None:
    """Bring the database's tables up to date."""
    from db import migrate as migrations

    with _database(load_settings()) as ready:
        if check:
            missing = asyncio.run(migrations.pending(ready.database))
            if missing:
                raise click.ClickException(f"pending: {', '.join(missing)}")
            click.echo("No migration is pending.")
            return
        applied = asyncio.run(migrations.upgrade(ready.database))
        click.echo("\n".join(f"Applied {name}" for name in applied) or "Nothing to migrate.")


# The schema and the settings


@main.command()
@_explained
@click.option("--check", is_flag=True, help="Fail when schema.graphql is not what the code says.")
def schema(*, check: bool) -> None:
    """Print the GraphQL schema, as it is checked in at schema.graphql."""
    from graph.schema import schema as current

    text = f"{current.as_str().rstrip()}\n"
    if not check:
        click.echo(text, nl=False)
        return
    stored = SCHEMA_FILE.read_text() if SCHEMA_FILE.exists() else ""
    if stored != text:
        changes = difflib.unified_diff(
            stored.splitlines(), text.splitlines(), "schema.graphql", "the code", lineterm="", n=1
        )
        click.echo("\n".join(list(changes)[:60]))
        raise click.ClickException("schema.graphql is not what the code says; run `make schema`")
    click.echo("schema.graphql is current.")


@main.command()
@_explained
def settings() -> None:
    """List all settings: variable, current value, default, meaning. Secrets are masked."""
    group = ""
    for row in describe_settings(load_settings()):
        if row.group != group:
            group = row.group
            click.echo(click.style(f"\n{group}", bold=True))
        click.echo(f"  {row.variable} = {row.current}   (default: {row.default})")
        click.echo(click.wrap_text(row.description, 96, "      ", "      "))
    for sentence in unknown_variables():
        click.echo(f"\nNote: {sentence}.", err=True)
