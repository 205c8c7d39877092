"""`taskloom worker`, and the worker that a server starts."""

from __future__ import annotations

import asyncio
import signal

import click

from cli.context import collecting_rarely, leave, run_on_uvloop, running_database
from settings import Settings, load_settings, notes
from web.log_lines import configure_logging
from web.parent import end_with_input
from web.supervision import Supervisor


@click.command()
def worker() -> None:
    """Run background jobs.

    They send notifications, mail and webhooks, make exports and prune. Several workers can run.
    """
    from files.store import open_store

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    settings = load_settings()
    configure_logging(settings.server)
    for sentence in notes(settings):
        click.echo(f"Note: {sentence}", err=True)
    open_store(settings)
    with Supervisor() as parts, running_database(settings, parts, tables="migrated") as ready:
        click.echo("The worker is running; stop it with Ctrl-C.")
        run_on_uvloop(work(ready))


def work_as_child() -> None:
    """Run background jobs for a server, until it ends or asks to stop."""
    settings = load_settings()
    configure_logging(settings.server)
    end_with_input()
    run_on_uvloop(work(settings))


async def work(settings: Settings) -> None:
    """Run background jobs until this process is asked to stop."""
    with collecting_rarely():
        from jobs.worker import run

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await run(settings, stop)
