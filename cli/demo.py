"""`taskloom demo`."""

from __future__ import annotations

import click

from cli.context import connected, run_on_uvloop, running_database
from settings import Settings, load_settings


@click.command()
@click.option(
    "--scale",
    type=click.IntRange(1, 10_000),
    default=1,
    help="Above 1: add this many projects, each with 400 tasks and 10 users; three take a second.",
)
@click.option(
    "--force", is_flag=True, help="Allow it in production, although the password is public."
)
def demo(*, scale: int, force: bool) -> None:
    """Create a demo company and print its login."""
    with running_database(load_settings(), tables="migrated") as ready:
        run_on_uvloop(_create(ready, scale=scale, force=force))


async def _create(settings: Settings, *, scale: int, force: bool) -> None:
    from demo.seed import seed_demo

    click.echo("Creating the demo company …")
    async with connected(settings) as database:
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
