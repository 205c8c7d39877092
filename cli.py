"""The command `taskloom`: serves the API, runs background work and maintains the database.

Commands use the database of `DATABASE_URL` or, without it, the embedded server in the data folder,
which runs as long as a command uses it.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import difflib
import functools
import gc
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from uuid import UUID, uuid4

import asyncpg
import click
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from db.faults import database_fault, is_of_files
from errors import Failure, Failures
from settings import (
    DatabaseSettings,
    Settings,
    SettingsError,
    describe_settings,
    load_settings,
    unknown_variables,
)
from web.log_lines import configure_logging
from web.parent import end_with_input, end_with_parent
from web.supervision import Supervisor

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from auth.authenticator import Authenticator
    from db.engine import Database
    from domain.work import Work

P = ParamSpec("P")
R = TypeVar("R")

# While modules are imported; by default, Python runs it thirty times as often.
_OBJECTS_BETWEEN_COLLECTIONS = 20_000
SCHEMA_FILE = Path(__file__).resolve().parent / "schema.graphql"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="taskloom", message="%(prog)s %(version)s")
def main() -> None:
    """Taskloom: a GraphQL API for projects, tasks and time."""


def _explained(command: Callable[P, R]) -> Callable[P, R]:
    """Show errors that the user can fix as one message without a traceback, and exit with 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from db.embedded import EmbeddedError
        from db.migrate import MigrationError

        try:
            return command(*args, **kwargs)
        except SettingsError as error:
            lines = "\n  ".join(error.problems)
            raise click.ClickException(f"these settings are invalid:\n  {lines}") from error
        except (EmbeddedError, MigrationError) as error:
            raise click.ClickException(str(error)) from error
        except Failures as error:
            sentences = "\n  ".join(failure.message for failure in error.failures)
            raise click.ClickException(sentences) from error
        except Failure as error:
            raise click.ClickException(error.message) from error
        except asyncpg.ClientConfigurationError as error:
            raise click.ClickException(f"DATABASE_URL cannot be used: {error}") from error
        except BrokenPipeError:
            # The reader of the output has stopped, as `head` does; Click ends quietly.
            raise
        except (OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise click.ClickException(f"{error.filename}: {error.strerror}") from error
            if isinstance(error, OSError) and is_of_files(error):
                raise click.ClickException(f"a file cannot be written: {error.strerror}") from error
            if (why := _unusable(error)) is None:
                raise
            raise click.ClickException(why) from error

    return run


def _unusable(error: BaseException) -> str | None:
    """Why the database cannot be used, if that is for its operator to change."""
    cause = error
    while isinstance(cause, DBAPIError) and isinstance(cause.orig, BaseException):
        cause = cause.orig.__cause__ or cause.orig
    if isinstance(cause, asyncpg.InsufficientPrivilegeError):
        return f"the database's role lacks a right: {cause}"
    if database_fault(cause) is None and not isinstance(cause, asyncpg.UndefinedObjectError):
        return None
    return f"the database of DATABASE_URL cannot be used: {str(cause) or type(cause).__name__}"


# Serving


@main.command()
@_explained
@click.option("--reload", is_flag=True, help="Restart when a Python file changes.")
@click.option("--worker/--no-worker", default=True, help="Run a background worker as well.")
@click.option("--demo/--no-demo", default=True, help="Fill a new embedded database with demo data.")
def serve(*, reload: bool, worker: bool, demo: bool) -> None:
    """Migrate the database and serve the API."""
    # The worker, whose process starts in this module, does not need it.
    from files.store import open_store
    from web.serving import listen, listen_for_metrics, run_server

    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    settings = load_settings()
    configure_logging(settings.server)
    for sentence in unknown_variables():
        click.echo(f"Note: {sentence}", err=True)
    if settings.server.workers > 1 and settings.redis.url is None:
        click.echo(
            "Note: without REDIS_URL, processes see one another's events only once a second.",
            err=True,
        )
    # Bound first, so that a port in use is reported before anything else starts.
    try:
        listener = listen(settings.server)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {settings.server.host}, port {settings.server.port}: "
            f"{error.strerror}. Choose another with TASKLOOM_HOST and TASKLOOM_PORT."
        ) from error
    try:
        if (metrics := listen_for_metrics(settings)) is not None:
            # The server's processes bind it again.
            metrics.close()
    except OSError as error:
        raise click.ClickException(
            f"cannot listen for metrics on {settings.metrics.host}, port {settings.metrics.port}: "
            f"{error.strerror}. Choose another with TASKLOOM_METRICS_HOST, TASKLOOM_METRICS_PORT."
        ) from error
    open_store(settings)
    port = listener.getsockname()[1]
    os.environ["TASKLOOM_PORT"] = str(port)
    with listener, Supervisor() as parts, _database(load_settings(), parts) as ready:
        explorer = "" if ready.introspection == "off" else "; the explorer is at /"
        board = "; the board is at /board/" if ready.server.board else ""
        demo &= settings.database.url is None and not settings.server.production
        with _seeding(ready) if demo else contextlib.nullcontext():
            if not reload and ready.server.workers == 1:
                # What this process needs soon, before the worker takes a processor for its own.
                _application()
        click.echo(f"Taskloom serves {ready.server.public_url}/graphql{explorer}{board}")
        with _background_work(parts) if worker else contextlib.nullcontext(_nothing) as stop_work:
            run_server(ready, listener, reload=reload, stopping=stop_work)


def _nothing() -> None:
    pass


def _leave(_number: int, _frame: object) -> None:
    """Exit without an error when asked to stop."""
    sys.exit(0)


@contextlib.contextmanager
def _seeding(settings: Settings) -> Iterator[None]:
    """Fill a database that has no users yet with the demo company, in a process of its own, for
    which the end of the block waits.
    """
    if asyncio.run(_has_users(settings.database)):
        yield
        return
    process = subprocess.Popen([sys.executable, __file__, "demo"])
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


async def _seed(database: Database, settings: Settings, *, scale: int, force: bool = False) -> None:
    from demo.seed import seed_demo

    click.echo("Creating the demo company …")
    made = await seed_demo(
        database,
        settings,
        scale=scale,
        force=force,
        progress=lambda line: click.echo(f"{line} …"),
    )
    verb = "Created" if made.created else "It exists already; nothing was changed"
    click.echo(f"{verb}: {made.users} users, {made.projects} projects, {made.tasks} tasks.")
    click.echo(f"Sign in as {made.login} with the password {made.password}")


def asgi() -> ASGIApp:
    """The application as each server process makes it, from the environment of its parent."""
    create_app = _application()
    settings = load_settings()
    configure_logging(settings.server)
    end_with_parent()
    application: ASGIApp = create_app(settings)
    return application


def _application() -> Callable[[Settings], ASGIApp]:
    with _collecting_rarely():
        from app import create_app

    return create_app


@contextlib.contextmanager
def _collecting_rarely() -> Iterator[None]:
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


# Background work


@main.command()
@_explained
def worker() -> None:
    """Run background jobs: notifications, mail, deliveries, pruning. Several workers can run."""
    from files.store import open_store

    settings = load_settings()
    configure_logging(settings.server)
    open_store(settings)
    with Supervisor() as parts, _database(settings, parts) as ready:
        click.echo("The worker is running; stop it with Ctrl-C.")
        _run(_work(ready))


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run what takes long, or many statements, on the loop of the server."""
    if sys.platform == "win32":
        asyncio.run(work)
    else:
        import uvloop

        uvloop.run(work)


async def _work(settings: Settings) -> None:
    """Run background jobs until this process is asked to stop."""
    with _collecting_rarely():
        from jobs.worker import run

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await run(settings, stop)


def work_as_child() -> None:
    """Run background jobs for a server, until it ends or asks to stop."""
    settings = load_settings()
    configure_logging(settings.server)
    end_with_input()
    _run(_work(settings))


# A worker that hangs must not keep the server; others take its jobs when their leases end.
_WORKER_ENDS_SECONDS = 25.0
# Not started by `multiprocessing`, which would keep one more process, for shared memory.
_CHILD = (
    "import sys; sys.path.insert(0, sys.argv[1]); from cli import work_as_child; work_as_child()"
)


@contextlib.contextmanager
def _background_work(parts: Supervisor) -> Iterator[Callable[[], None]]:
    """Run the worker as a separate process, so that it never delays a request. Yields a function
    that asks it to stop, so that it finishes its jobs while the server finishes its requests.
    """
    processes: list[subprocess.Popen[bytes]] = []
    command = [sys.executable, "-c", _CHILD, str(Path(__file__).resolve().parent)]

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


# The database


@contextlib.contextmanager
def _database(
    settings: Settings, parts: Supervisor | None = None, *, migrate: bool = True
) -> Iterator[Settings]:
    """Settings with a running, migrated database: the given one, or the embedded one.

    Several processes can start at once. With `parts`, the embedded server is restarted when it
    dies, and ends when this process is killed.
    """
    with _running(settings, parts) as ready:
        if migrate:
            for name in asyncio.run(_migrated(ready.database)):
                click.echo(f"Migrated the database: {name}")
        yield ready


async def _migrated(settings: DatabaseSettings) -> list[str]:
    from db.revision import is_newest

    if await is_newest(settings):
        return []
    from db.migrate import upgrade

    return await upgrade(settings)


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
@click.option("--check", is_flag=True, help="Change nothing; fail if a migration is pending.")
def migrate(*, check: bool) -> None:
    """Apply pending migrations to the database."""
    from db import migrate as migrations

    with _database(load_settings(), migrate=False) as ready:
        if check:
            missing = asyncio.run(migrations.pending(ready.database))
            if missing:
                raise click.ClickException(f"pending: {', '.join(missing)}")
            click.echo("No migration is pending.")
            return
        applied = asyncio.run(migrations.upgrade(ready.database))
        click.echo("\n".join(f"Applied {name}" for name in applied) or "Nothing to migrate.")


@main.command()
@_explained
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(*, file: Path) -> None:
    """Write a backup of the database and all files to FILE, a new tar.gz.

    The server can run meanwhile. Keep the secrets (TASKLOOM_SECRET and the like) elsewhere: they
    are not part of it, and without them nobody can sign in.
    """
    from domain.admin.backup import backup as write

    if file.exists():
        raise click.ClickException(f"{file} exists already")
    with _database(load_settings(), migrate=False) as ready:
        contents = asyncio.run(write(ready, file))
    rows = sum(contents.rows.values())
    click.echo(
        f"Wrote {file}: {rows:,} rows of {len(contents.rows)} tables, {contents.files} files."
    )


@main.command()
@_explained
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(*, file: Path) -> None:
    """Restore a backup into an empty database and the configured file store.

    Later migrations are applied. Clients that resume from an event cursor get CURSOR_EXPIRED.
    """
    from domain.admin.backup import restore as read

    with _database(load_settings(), migrate=False) as ready:
        contents = asyncio.run(read(ready, file))
    rows = sum(contents.rows.values())
    click.echo(f"Restored {rows:,} rows of {len(contents.rows)} tables, {contents.files} files.")


@main.command()
@_explained
@click.option("--counters", is_flag=True, help="Recount the counters of tasks, lists and tags.")
@click.option("--repair", is_flag=True, help="Set right what is wrong.")
def check(*, counters: bool, repair: bool) -> None:
    """Check stored values against what they are made from; exit with 1 if one is wrong.

    The server and the worker may run meanwhile.
    """
    if not counters:
        raise click.UsageError("Choose what to check: --counters.")

    async def run(settings: Settings) -> int:
        from domain.tasks import counters

        wrong = 0
        async with _connected(settings) as database:
            async for difference in counters.differences(database):
                wrong += 1
                click.echo(difference)
                if repair:
                    await counters.repair(database, difference)
        return wrong

    with _database(load_settings()) as ready:
        wrong = asyncio.run(run(ready))
    if not wrong:
        click.echo("All counters are right.")
        return
    click.echo(f"{wrong} wrong{', now right' if repair else ''}.")
    sys.exit(1)


@main.command("row-security")
@_explained
@click.argument("wanted", type=click.Choice(["on", "off"]))
def row_security(*, wanted: str) -> None:
    """Turn PostgreSQL's row-level security on or off.

    While it is on, processes without TASKLOOM_ROW_SECURITY see no rows. So set it to `prepared` for
    all processes before you turn it on or off; `on` turns it on at every start.
    """
    from db import migrate as migrations

    settings = load_settings()
    if wanted == "on" and settings.database.row_security == "off":
        raise click.ClickException(
            "TASKLOOM_ROW_SECURITY is not set: processes without it would see no rows. Set it to "
            "`prepared` for all of them, and for this command, first."
        )
    with _database(settings, migrate=False) as ready:
        asyncio.run(migrations.secure_rows(ready.database, on=wanted == "on"))
    click.echo(f"Row-level security is {wanted}.")


# People and demo data


@main.command()
@_explained
@click.option(
    "--scale",
    type=click.IntRange(1, 10_000),
    default=1,
    help="Above 1: add this many projects with 400 tasks and 10 people each; a second for three.",
)
@click.option(
    "--force", is_flag=True, help="Allow it in production, although the password is public."
)
def demo(*, scale: int, force: bool) -> None:
    """Create a demo company and print its login."""

    async def run(settings: Settings) -> None:
        async with _connected(settings) as database:
            await _seed(database, settings, scale=scale, force=force)

    with _database(load_settings()) as ready:
        _run(run(ready))


@main.group()
def user() -> None:
    """Create, activate, deactivate and promote users."""


@user.command("create")
@_explained
@click.argument("username")
@click.argument("email")
@click.option("--full-name", help="The name that others see.")
@click.option("--timezone", help="Such as Europe/Berlin; UTC unless given.")
@click.option("--admin", is_flag=True, help="Make an administrator.")
def user_create(
    *, username: str, email: str, full_name: str | None, timezone: str | None, admin: bool
) -> None:
    """Create a user. The password is prompted for, or read from standard input."""
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\n")

    async def create(work: Work, auth: Authenticator) -> str:
        from domain.accounts import user as users

        made = await users.create(
            work,
            auth,
            username=username,
            email=email,
            password=password,
            full_name=full_name,
            timezone=timezone,
            is_admin=admin,
        )
        return f"Created {made.username}{', an administrator' if admin else ''}."

    _administer(create)


@user.command("activate")
@_explained
@click.argument("username")
def user_activate(*, username: str) -> None:
    """Allow a deactivated user to sign in again."""

    async def activate(work: Work, _auth: Authenticator) -> str:
        from domain.accounts import user as users

        await users.activate(work, await _user_id(work, username))
        return f"{username} can sign in."

    _administer(activate)


@user.command("deactivate")
@_explained
@click.argument("username")
def user_deactivate(*, username: str) -> None:
    """Deactivate a user; all access ends within five seconds."""

    async def deactivate(work: Work, auth: Authenticator) -> str:
        from domain.accounts import user as users

        await users.deactivate(work, auth, await _user_id(work, username))
        return f"{username} is deactivated."

    _administer(deactivate)


@user.command("promote")
@_explained
@click.argument("username")
def user_promote(*, username: str) -> None:
    """Make a user an administrator."""

    async def promote(work: Work, auth: Authenticator) -> str:
        from domain.accounts import user as users

        await users.administer(work, auth, await _user_id(work, username), {"is_admin": True})
        return f"{username} is an administrator."

    _administer(promote)


async def _user_id(work: Work, username: str) -> UUID:
    from db import models

    query = select(models.User.id).where(func.lower(models.User.username) == username.lower())
    found: UUID | None = await work.session.scalar(query)
    if found is None:
        raise click.ClickException(f"there is no user {username}")
    return found


def _administer(act: Callable[[Work, Authenticator], Awaitable[str]]) -> None:
    """Run `act` as the operator of the machine, in one transaction."""
    from auth.authenticator import Authenticator
    from auth.request import RequestInfo
    from auth.viewer import Viewer
    from domain.work import Transactions
    from events.bus import make_bus

    # Not a person: the log shows no name, as for deleted users.
    operator = Viewer(user_id=UUID(int=0), is_admin=True)

    async def run(settings: Settings) -> str:
        async with _connected(settings) as database:
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

    with _database(load_settings()) as ready:
        click.echo(asyncio.run(run(ready)))


@main.group()
def secrets() -> None:
    """Generate keys, and re-encrypt stored secrets."""


@secrets.command("vapid")
def secrets_vapid() -> None:
    """Generate a key for TASKLOOM_VAPID_PRIVATE_KEY, which signs push messages to browsers."""
    from domain.notifications.web_push import new_signing_key

    click.echo(new_signing_key())


@secrets.command("reencrypt")
@_explained
def secrets_reencrypt() -> None:
    """Re-encrypt all stored secrets with the first key, so that former keys can be removed."""

    async def reencrypt(work: Work, auth: Authenticator) -> str:
        from auth.encryption import Encryption, Unreadable
        from domain.integrations import integration, webhook

        encryption = Encryption(auth.settings)
        try:
            counts = (
                await webhook.reencrypt(work, encryption),
                await integration.reencrypt(work, encryption),
            )
        except Unreadable as error:
            raise click.ClickException(f"{error}; nothing was changed") from error
        return f"Re-encrypted the secrets of {counts[0]} webhooks and {counts[1]} integrations."

    _administer(reencrypt)


# Documents, the schema and the settings


@main.group()
def documents() -> None:
    """Manage the GraphQL documents that your applications send."""


@documents.command("register")
@_explained
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def documents_register(*, file: Path) -> None:
    """Allow the documents in FILE: a JSON list of texts, an object with texts as values, or
    Apollo's persisted query manifest.

    Clients can then send just their SHA-256, and they are exempt from the limits on documents.
    With TASKLOOM_DOCUMENTS=registered, only registered documents are executed.
    """
    from graph.request.persisted import read_documents, register
    from graph.schema import schema as current

    try:
        texts = read_documents(current, file.read_bytes())
    except ValueError as error:
        raise click.ClickException(str(error)) from error

    async def run(ready: Settings) -> int:
        async with _connected(ready) as database:
            return await register(database, texts, dt.datetime.now(dt.UTC))

    with _database(load_settings()) as ready:
        added = asyncio.run(run(ready))
    click.echo(f"Documents registered: {len(texts)} ({added} new)")


@documents.command("check")
@_explained
def documents_check() -> None:
    """List the registered documents that the schema no longer accepts. Fails if there are any.

    Run it after an upgrade: the server keeps documents as they are, since their hash is their name.
    """
    from graph.request.persisted import registered_problems
    from graph.schema import schema as current

    async def run(ready: Settings) -> list[tuple[str, str]]:
        async with _connected(ready) as database:
            return await registered_problems(database, current)

    with _database(load_settings()) as ready:
        problems = asyncio.run(run(ready))
    for digest, problem in problems:
        click.echo(f"{digest}: {problem}")
    if problems:
        raise click.ClickException(f"Documents that are no longer valid: {len(problems)}")
    click.echo("All registered documents are valid.")


@main.command()
@_explained
@click.option("--check", is_flag=True, help="Fail if schema.graphql is out of date.")
def schema(*, check: bool) -> None:
    """Print the GraphQL schema, as stored in schema.graphql."""
    from graph.schema import sdl

    printed = sdl()
    if not check:
        click.echo(printed, nl=False)
        return
    stored = SCHEMA_FILE.read_text() if SCHEMA_FILE.exists() else ""
    if stored != printed:
        changes = difflib.unified_diff(
            stored.splitlines(),
            printed.splitlines(),
            "schema.graphql",
            "the code",
            lineterm="",
            n=1,
        )
        click.echo("\n".join(list(changes)[:60]))
        raise click.ClickException("schema.graphql is out of date; run `make schema`")
    click.echo("schema.graphql is up to date.")


@main.command()
@_explained
def settings() -> None:
    """List all settings with current value, default and description. Secrets are masked."""
    group = ""
    for row in describe_settings(load_settings()):
        if row.group != group:
            group = row.group
            click.echo(click.style(f"\n{group}", bold=True))
        click.echo(f"  {row.variable} = {row.current}   (default: {row.default})")
        click.echo(click.wrap_text(row.description, 96, "      ", "      "))
    for sentence in unknown_variables():
        click.echo(f"\nNote: {sentence}", err=True)


if __name__ == "__main__":
    main()
