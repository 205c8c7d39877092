"""`taskloom serve`."""

from __future__ import annotations

import contextlib
import os
import signal
import socket

import click

from cli.context import leave, running_database
from cli.processes import background_worker, creating_demo_data, import_application
from settings import Settings, load_settings, notes
from web.log_lines import configure_logging
from web.supervision import Supervisor


@click.command()
@click.option("--reload", is_flag=True, help="Restart when a Python file changes.")
@click.option(
    "--worker/--no-worker", default=True, show_default=True, help="Run a background worker as well."
)
@click.option(
    "--demo/--no-demo",
    default=True,
    show_default=True,
    help="Fill a new embedded database with demo data.",
)
def serve(*, reload: bool, worker: bool, demo: bool) -> None:
    """Migrate the database and serve the API."""
    # The worker, whose process imports this module, does not need it.
    from files.store import open_store
    from web.serving import run_server

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    settings = load_settings()
    configure_logging(settings.server)
    for sentence in notes(settings):
        click.echo(f"Note: {sentence}", err=True)
    if settings.server.workers > 1 and settings.redis.url is None:
        click.echo(
            "Note: without REDIS_URL, processes see one another's events only once a second.",
            err=True,
        )
    # Bound first, so that a port in use is reported before anything else starts.
    listener = _listen(settings)
    open_store(settings)
    os.environ["TASKLOOM_PORT"] = str(listener.getsockname()[1])
    with (
        listener,
        Supervisor() as parts,
        running_database(load_settings(), parts, tables="migrated") as ready,
    ):
        demo &= settings.database.url is None and not settings.server.production
        with creating_demo_data(ready) if demo else contextlib.nullcontext():
            if not reload and ready.server.workers == 1:
                # What this process needs soon, before the worker takes a processor for its own.
                import_application()
        explorer = "" if ready.introspection == "off" else "; the explorer is at /"
        board = "; the board is at /board/" if ready.server.board else ""
        click.echo(f"Taskloom serves {ready.server.public_url}/graphql{explorer}{board}")
        with background_worker(parts) if worker else contextlib.nullcontext(_nothing) as stop_work:
            run_server(ready, listener, reload=reload, stopping=stop_work)


def _listen(settings: Settings) -> socket.socket:
    """Bind the address of the API, and try that of the metrics."""
    from web.serving import listen, listen_for_metrics

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
    return listener


def _nothing() -> None:
    pass
