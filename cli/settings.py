"""`taskloom settings`."""

from __future__ import annotations

import click

from settings import describe_settings, load_settings, notes


@click.command()
def settings() -> None:
    """List all settings, with values and defaults.

    Secrets are masked.
    """
    group = ""
    found = load_settings()
    for row in describe_settings(found):
        if row.group != group:
            group = row.group
            click.echo(click.style(f"\n{group}", bold=True))
        click.echo(f"  {row.variable} = {row.current}   (default: {row.default})")
        click.echo(click.wrap_text(row.description, 96, "      ", "      "))
    for sentence in notes(found):
        click.echo(f"\nNote: {sentence}", err=True)
