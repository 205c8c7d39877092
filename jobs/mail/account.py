"""Mails with which people prove who they are: to reset a password, to verify an address.

They go to whatever address was asked for, verified or not. The code is the job's: a job that is
run again sends the same one.
"""

from __future__ import annotations

from email.message import EmailMessage
from uuid import UUID

from auth.codes import AccountCodes
from db.models import User
from domain import account_mail
from domain.work import Work
from jobs.handlers import RunningJob, handler, nothing_to_end
from jobs.mail.compose import compose
from jobs.tools import Tools

# After that the link would be too old before it is read.
_ATTEMPTS = 6


@handler(account_mail.RESET_JOB, on_given_up=nothing_to_end, attempts=_ATTEMPTS, first=True)
async def send_reset(tools: Tools, job: RunningJob) -> None:
    """The link with which a new password can be set. Nothing where there is no such account."""

    async def begin(work: Work) -> User | None:
        return await account_mail.begin_reset(work, job.id, job.payload["email"])

    user = await tools.do(job.name, begin)
    if user is None:
        return
    settings = tools.settings
    token = AccountCodes(settings).token(job.id)
    message = compose(
        settings,
        "reset",
        {
            "link": f"{settings.server.frontend_url}/reset-password?token={token}",
            "minutes": int(account_mail.RESET_LIFE.total_seconds()) // 60,
        },
        id_=job.id,
        to=user.email,
        name=user.full_name or user.username,
        subject="Choose a new password",
        now=job.created_at,
    )
    await _send(tools, message)


@handler(account_mail.EMAIL_JOB, on_given_up=nothing_to_end, attempts=_ATTEMPTS, first=True)
async def send_verification(tools: Tools, job: RunningJob) -> None:
    """A code and a link; to the address that they verify."""
    address = job.payload["email"]

    async def begin(work: Work) -> User | None:
        user_id = UUID(job.payload["user"])
        return await account_mail.begin_verification(work, job.id, user_id, address)

    user = await tools.do(job.name, begin)
    if user is None:
        return
    settings = tools.settings
    codes = AccountCodes(settings)
    link = f"{settings.server.public_url}/auth/verify-email?token={codes.token(job.id)}"
    message = compose(
        settings,
        "verification",
        {
            "link": link,
            "code": codes.code(job.id),
            "minutes": int(account_mail.EMAIL_LIFE.total_seconds()) // 60,
        },
        id_=job.id,
        to=address,
        name=user.full_name or user.username,
        subject="Confirm your e-mail address",
        now=job.created_at,
    )
    await _send(tools, message)


async def _send(tools: Tools, message: EmailMessage) -> None:
    """By a bulkhead of their own: many other mails on a slow server hold none of these up."""
    async with tools.outside("account mail", "smtp", tools.sender.host, apart=True):
        await tools.sender.send(message)
