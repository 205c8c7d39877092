"""`taskloom user`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from uuid import UUID

import click
from sqlalchemy import func, select

from cli.context import run_as_operator

if TYPE_CHECKING:
    from auth.authenticator import Authenticator
    from domain.work import Work


@click.group()
def user() -> None:
    """Create, activate, deactivate and promote users."""


@user.command()
@click.argument("username")
@click.argument("email")
@click.option("--full-name", help="The name that others see.")
@click.option("--timezone", help="Such as Europe/Berlin; UTC unless given.")
@click.option("--admin", is_flag=True, help="Make an administrator.")
def create(
    *, username: str, email: str, full_name: str | None, timezone: str | None, admin: bool
) -> None:
    """Create a user. The password is prompted for, or read from standard input."""
    if sys.stdin is not None and sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        line = "" if sys.stdin is None else sys.stdin.readline()
        if not line:
            raise click.ClickException(
                "standard input has no password; write one to it, or use a terminal."
            )
        password = line.rstrip("\n")

    async def act(work: Work, auth: Authenticator) -> str:
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

    run_as_operator(act)


@user.command()
@click.argument("username")
def activate(*, username: str) -> None:
    """Allow a deactivated user to sign in again."""

    async def act(work: Work, _auth: Authenticator) -> str:
        from domain.accounts import user as users

        await users.activate(work, await _user_id(work, username))
        return f"{username} can sign in."

    run_as_operator(act)


@user.command()
@click.argument("username")
def deactivate(*, username: str) -> None:
    """Deactivate a user; all access ends within five seconds."""

    async def act(work: Work, auth: Authenticator) -> str:
        from domain.accounts import user as users

        await users.deactivate(work, auth, await _user_id(work, username))
        return f"{username} is deactivated."

    run_as_operator(act)


@user.command()
@click.argument("username")
def promote(*, username: str) -> None:
    """Make a user an administrator."""

    async def act(work: Work, auth: Authenticator) -> str:
        from domain.accounts import user as users

        await users.administer(work, auth, await _user_id(work, username), {"is_admin": True})
        return f"{username} is an administrator."

    run_as_operator(act)


async def _user_id(work: Work, username: str) -> UUID:
    from db import models

    query = select(models.User.id).where(func.lower(models.User.username) == username.lower())
    found: UUID | None = await work.session.scalar(query)
    if found is None:
        raise click.ClickException(f"there is no user {username}")
    return found
