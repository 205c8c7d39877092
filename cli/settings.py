"""`taskloom settings`."""

from __future__ import annotations

import click

from cli.errors import errors_as_messages
from settings import describe_settings, load_settings, unknown_variables


@click.command()
@errors_as_messages
def settings() -> None:
    """List all settings, with values and defaults.

    Secrets are masked.
    """
    group = ""
    for row in describe_settings(load_settings()):
        if row.group != group:
            group = row.group
            click.echo(click.style(f"\n{group}", bold=True))
        click.echo(f"  {row.variable} = {row.current}   (default: {row.default})")
        click.echo(click.wrap_text(row.description, 96, "      ", "      "))
    for sentence in unknown_variables():
        click.echo(f"\nNote: {sentence}", err=True)
