"""Commands for the database: `taskloom migrate`, `backup`, `restore`, `check`, `row-security`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.context import connected, running_database
from settings import Settings, load_settings

if TYPE_CHECKING:
    from events.blockers import Blocker


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; fail if a migration is pending.")
def migrate(*, check: bool) -> None:
    """Apply pending migrations to the database."""
    from db import migrate as migrations

    with running_database(load_settings(), tables="any") as ready:
        if check:
            missing = asyncio.run(migrations.pending(ready.database))
            if missing:
                raise click.ClickException(f"pending: {', '.join(missing)}")
            click.echo("No migration is pending.")
            return
        applied = asyncio.run(migrations.upgrade(ready.database))
        click.echo("\n".join(f"Applied {name}" for name in applied) or "Nothing to migrate.")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(*, file: Path) -> None:
    """Back up the database and all files.

    FILE is the tar.gz to write. The server can run meanwhile. Keep the secrets (TASKLOOM_SECRET and
    the like) elsewhere: they are not part of it, and without them nobody can sign in.
    """
    from domain.admin.backup import backup as write

    if file.exists():
        raise click.ClickException(f"{file} exists already")
    if not file.absolute().parent.is_dir():
        raise click.ClickException(f"{file.parent} is not a folder; create it first")
    with running_database(load_settings(), tables="any") as ready:
        contents = asyncio.run(write(ready, file))
    rows = sum(contents.rows.values())
    click.echo(
        f"Wrote {file}: {rows:,} rows of {len(contents.rows)} tables, {contents.files} files."
    )
    if missing := contents.missing:
        raise click.ClickException(
            f"{len(missing)} files that are in use are not in the file store, and so not in the "
            f"backup. Is TASKLOOM_STORAGE_URL that of the server? The first is {missing[0]}."
        )


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(*, file: Path) -> None:
    """Restore a backup into an empty database.

    The files go to the configured file store. Later migrations are applied. Clients that resume
    from an event cursor get CURSOR_EXPIRED.
    """
    from domain.admin.backup import restore as read

    with running_database(load_settings(), tables="any") as ready:
        contents = asyncio.run(read(ready, file))
    rows = sum(contents.rows.values())
    click.echo(f"Restored {rows:,} rows of {len(contents.rows)} tables, {contents.files} files.")


@click.command()
@click.option("--counters", is_flag=True, help="Recount the counters of tasks, lists and tags.")
@click.option("--repair", is_flag=True, help="Correct the counters that are wrong.")
@click.option("--events", is_flag=True, help="Find the open transaction that events wait for.")
def check(*, counters: bool, repair: bool, events: bool) -> None:
    """Check stored counters, and whether events are held back.

    Exits with 1 if something is wrong. The server and the worker may run meanwhile.
    """
    if not counters and not events:
        raise click.UsageError("Choose what to check: --counters, --events.")
    if repair and not counters:
        raise click.UsageError("--repair is for --counters.")
    with running_database(load_settings()) as ready:
        wrong = counters and _counters_are_wrong(ready, repair=repair)
        wrong |= events and _events_are_held(ready)
    if wrong:
        sys.exit(1)


def _counters_are_wrong(settings: Settings, *, repair: bool) -> bool:
    async def run() -> int:
        from domain.tasks import counters

        wrong = 0
        async with connected(settings) as database:
            async for difference in counters.differences(database):
                wrong += 1
                click.echo(difference)
                if repair:
                    await counters.repair(database, difference)
        return wrong

    if wrong := asyncio.run(run()):
        click.echo(f"{wrong} wrong{', now right' if repair else ''}.")
    else:
        click.echo("All counters are right.")
    return wrong > 0


def _events_are_held(settings: Settings) -> bool:
    async def run() -> Blocker | None:
        from events.blockers import find_lasting_blocker

        async with connected(settings) as database:
            return await find_lasting_blocker(database)

    blocker = asyncio.run(run())
    if blocker is None:
        click.echo("No transaction holds events back.")
        return False
    click.echo(f"Events wait for an open transaction: {blocker}.")
    click.echo(f"To end it: {blocker.remedy}")
    return True


@click.command("row-security")
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
    with running_database(settings, tables="any") as ready:
        asyncio.run(migrations.secure_rows(ready.database, on=wanted == "on"))
    click.echo(f"Row-level security is {wanted}.")
