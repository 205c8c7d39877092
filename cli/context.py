"""What commands run in: a running database, a connection to it, a transaction of the operator."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gc
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid4

import click

from settings import DatabaseSettings, Settings, load_settings
from web.supervision import Supervisor

if TYPE_CHECKING:
    from auth.authenticator import Authenticator
    from db.engine import Database
    from domain.work import Work

# While modules are imported; by default, Python runs it thirty times as often.
_OBJECTS_BETWEEN_COLLECTIONS = 20_000


@contextlib.contextmanager
def running_database(
    settings: Settings,
    parts: Supervisor | None = None,
    *,
    tables: Literal["migrated", "required", "any"] = "required",
) -> Iterator[Settings]:
    """Settings with a running database: the given one, or the embedded one.

    `tables`: `migrated` applies pending migrations, `required` refuses to go on with any, except
    for the embedded database, which is ours alone. Several processes can start at once. With
    `parts`, the embedded server is restarted when it dies, and ends when this process is killed.

    Raises `MigrationError`.
    """
    with _running(settings, parts) as ready:
        if tables == "migrated" or (tables == "required" and settings.database.url is None):
            for name in asyncio.run(_migrated(ready.database)):
                click.echo(f"Migrated the database: {name}")
        elif tables == "required":
            asyncio.run(_required(ready.database))
        yield ready


def leave(_number: int, _frame: object) -> None:
    """Exit without an error when asked to stop: a handler of signals."""
    sys.exit(0)


@contextlib.contextmanager
def _running(settings: Settings, parts: Supervisor | None) -> Iterator[Settings]:
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
        with contextlib.ExitStack() as stack:
            if parts is not None:
                stack.enter_context(server.stopped_with_us())
                stack.enter_context(parts.watching("database", server.is_alive, server.revive))
            yield settings.with_database(server.dsn())
    finally:
        del os.environ["DATABASE_URL"]
        if server.stop():
            click.echo("Stopped the embedded PostgreSQL")


async def _migrated(settings: DatabaseSettings) -> list[str]:
    from db.revision import is_newest

    if await is_newest(settings):
        return []
    from db.migrate import upgrade

    return await upgrade(settings)


async def _required(settings: DatabaseSettings) -> None:
    from db.revision import is_newest

    if not await is_newest(settings):
        from db.migrate import require

        await require(settings)


@contextlib.asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Database]:
    """A pool of connections to the database of these settings."""
    from db.engine import Database

    database = await Database.connect(settings.database)
    try:
        yield database
    finally:
        await database.close()


def run_as_operator(act: Callable[[Work, Authenticator], Awaitable[str]]) -> None:
    """Run `act` as the operator of the machine, in one transaction, and print what it returns."""
    from auth.authenticator import Authenticator
    from auth.request import RequestInfo
    from auth.viewer import Viewer
    from domain.work import Transactions
    from events.bus import make_bus

    # Not a person: the log shows no name, as for deleted users.
    operator = Viewer(user_id=UUID(int=0), is_admin=True)

    async def run(settings: Settings) -> str:
        async with connected(settings) as database:
            bus = make_bus(settings.redis)
            auth = Authenticator(settings, database, bus)
            await bus.start()
            try:
                return await Transactions(database, bus).run(
                    lambda work: act(work, auth),
                    operator,
                    now=dt.datetime.now(dt.UTC),
                    request=RequestInfo(id=f"cli-{uuid4().hex}"),
                )
            finally:
                auth.close()
                await bus.close()

    with running_database(load_settings()) as ready:
        click.echo(asyncio.run(run(ready)))


def run_on_uvloop(work: Coroutine[Any, Any, None]) -> None:
    """Run what takes long, or many statements, on the loop of the server."""
    if sys.platform == "win32":
        asyncio.run(work)
    else:
        import uvloop

        uvloop.run(work)


@contextlib.contextmanager
def collecting_rarely() -> Iterator[None]:
    """Import with few runs of the garbage collector. What modules make lives as long as the
    process, and scanning it again and again takes a fifth of the import; but without any run, what
    they leave behind is nine MiB in server and worker.
    """
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
