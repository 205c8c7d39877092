"""`taskloom schema`."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

_FILE = Path(__file__).resolve().parents[1] / "schema.graphql"


@click.command()
@click.option("--check", is_flag=True, help="Fail if schema.graphql is out of date.")
def schema(*, check: bool) -> None:
    """Print the GraphQL schema, as stored in schema.graphql."""
    from graph.schema import sdl

    printed = sdl()
    if not check:
        click.echo(printed, nl=False)
        return
    stored = _FILE.read_text("utf-8") if _FILE.exists() else ""
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
