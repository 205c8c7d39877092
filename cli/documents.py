"""`taskloom documents`."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import click

from cli.context import connected, running_database
from settings import Settings, load_settings


@click.group()
def documents() -> None:
    """Manage the GraphQL documents that your applications send."""


@documents.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def register(*, file: Path) -> None:
    """Register the documents in FILE.

    FILE is JSON: a list of texts, an object with texts as values, or Apollo's persisted query
    manifest. Clients can then send just their SHA-256, and they are exempt from the limits on
    documents. With TASKLOOM_DOCUMENTS=registered, only registered documents are executed.
    """
    from graph.request import persisted
    from graph.schema import schema

    try:
        texts = persisted.read_documents(schema, file.read_bytes())
    except ValueError as error:
        raise click.ClickException(str(error)) from error

    async def run(ready: Settings) -> int:
        async with connected(ready) as database:
            return await persisted.register(database, texts, dt.datetime.now(dt.UTC))

    with running_database(load_settings()) as ready:
        added = asyncio.run(run(ready))
    click.echo(f"Documents registered: {len(texts)} ({added} new)")


@documents.command()
def check() -> None:
    """List registered documents that are no longer valid.

    Fails if there are any. Run it after an upgrade: the server keeps documents as they are, since
    their hash is their name.
    """
    from graph.request import persisted
    from graph.schema import schema

    async def run(ready: Settings) -> list[tuple[str, str]]:
        async with connected(ready) as database:
            return await persisted.registered_problems(database, schema)

    with running_database(load_settings()) as ready:
        problems = asyncio.run(run(ready))
    for digest, problem in problems:
        click.echo(f"{digest}: {problem}")
    if problems:
        raise click.ClickException(f"Documents that are no longer valid: {len(problems)}")
    click.echo("All registered documents are valid.")
