"""Rate limits of mutations, and what they are counted by.

Passed to `mutation(..., limit=...)`; checked once for each root field before anything else is done,
so that aliases count separately. The figures are settings (`settings.limits`).
"""

from __future__ import annotations

from typing import Any

from auth.limits import Rate, address_of
from domain.accounts import session as sessions
from graph.core.context import Context


async def login(context: Context, data: Any) -> None:
    """By address, and by the account that `login` names, as username or as email address."""
    limits = context.services.limits
    await limits.take(Rate.LOGIN_FROM_ADDRESS, address_of(context.request))
    account = await sessions.account_of(context.services.authenticator, data.login)
    await limits.take(Rate.LOGIN_OF_ACCOUNT, account)


async def own_password(context: Context, _data: Any) -> None:
    """By user: a stolen session must not be used to try passwords."""
    account = f"proof:{context.viewer.require().hex}"
    await context.services.limits.take(Rate.LOGIN_OF_ACCOUNT, account)


async def registration(context: Context, _data: Any) -> None:
    """By address."""
    await context.services.limits.take(Rate.REGISTRATION, address_of(context.request))


async def reset_mail(context: Context, data: Any) -> None:
    """By address, and by account whether it exists or not."""
    limits = context.services.limits
    account = await sessions.account_of(context.services.authenticator, data.email)
    await limits.take(Rate.ACCOUNT_MAIL, f"address:{address_of(context.request)}")
    await limits.take(Rate.ACCOUNT_MAIL, account)


async def own_mail(context: Context, _data: Any) -> None:
    """By user."""
    await context.services.limits.take(Rate.ACCOUNT_MAIL, f"own:{context.viewer.require().hex}")


async def guess(context: Context, _data: Any) -> None:
    """By address, for a secret that was sent by mail."""
    await context.services.limits.take(Rate.LOGIN_FROM_ADDRESS, address_of(context.request))


async def new_task(context: Context, _data: Any) -> None:
    """One task, by user."""
    await _tasks(context, 1)


async def new_tasks(context: Context, data: Any) -> None:
    """As many tasks as a bulk input has items; none for a dry run."""
    if not data.dry_run:
        await _tasks(context, len(data.items))


async def upload(context: Context, _data: Any) -> None:
    """One upload, by user."""
    await context.services.limits.take(Rate.UPLOAD, context.viewer.require().hex)


async def _tasks(context: Context, count: int) -> None:
    await context.services.limits.take(Rate.TASK_CREATION, context.viewer.require().hex, count)
