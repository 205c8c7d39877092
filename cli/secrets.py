"""`taskloom secrets`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.context import run_as_operator

if TYPE_CHECKING:
    from auth.authenticator import Authenticator
    from domain.work import Work


@click.group()
def secrets() -> None:
    """Generate keys, and re-encrypt stored secrets."""


@secrets.command()
def vapid() -> None:
    """Generate a key for web push.

    Set it as TASKLOOM_VAPID_PRIVATE_KEY. It signs push messages to browsers.
    """
    from domain.notifications.web_push import new_signing_key

    click.echo(new_signing_key())


@secrets.command()
def reencrypt() -> None:
    """Re-encrypt stored secrets with the current key.

    It is the first of TASKLOOM_ENCRYPTION_KEYS or, without these, TASKLOOM_SECRET. Former keys can
    then be removed.
    """

    async def act(work: Work, auth: Authenticator) -> str:
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

    run_as_operator(act)
