"""Mails about an account: resetting a password, verifying an address, notices of changes.

They are sent to the address given, verified or not. The code belongs to the job: a job that runs
again sends the same code.
"""

from __future__ import annotations

from email.message import EmailMessage
from uuid import UUID

from auth.codes import AccountCodes
from db.models import User
from domain.accounts import account_mail
from domain.accounts.credentials import EMAIL_JOB, NOTICE_JOB, RESET_JOB, UNDO_LIFE, Change
from domain.work import Work
from jobs.handlers import handler, nothing_to_end
from jobs.mail.compose import compose
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext

# After more attempts, the link would have expired before it is read.
_ATTEMPTS = 6


@handler(RESET_JOB, on_given_up=nothing_to_end, attempts=_ATTEMPTS, first=True)
async def send_reset(context: WorkerContext, job: RunningJob) -> None:
    """Send the link for setting a new password. Nothing is sent if there is no such account."""

    async def begin(work: Work) -> User | None:
        email = job.payload["email"]
        return await account_mail.begin_reset(work, job.id, email, job.created_at)

    user = await context.do(job.name, begin)
    if user is None:
        return
    settings = context.settings
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
    await _send(context, message)


@handler(EMAIL_JOB, on_given_up=nothing_to_end, attempts=_ATTEMPTS, first=True)
async def send_verification(context: WorkerContext, job: RunningJob) -> None:
    """Send a code and a link to the address that they verify."""
    address = job.payload["email"]

    async def begin(work: Work) -> User | None:
        user_id = UUID(job.payload["user"])
        return await account_mail.begin_verification(work, job.id, user_id, address, job.created_at)

    user = await context.do(job.name, begin)
    if user is None:
        return
    settings = context.settings
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
        subject="Confirm your email address",
        now=job.created_at,
    )
    await _send(context, message)


_NOTICES = {
    Change.PASSWORD_CHANGED: (
        "Your password was changed",
        "The password of your account was changed. All other sessions have ended.",
    ),
    Change.PASSWORD_RESET: (
        "Your password was reset",
        "The password of your account was reset with a link from a mail. All sessions have ended.",
    ),
    Change.EMAIL_CHANGED: (
        "Your email address was changed",
        "The email address of your account was changed. This address no longer belongs to it.",
    ),
    Change.EMAIL_RESTORED: (
        "A change of your email address was undone",
        "The owner of the previous address undid the change to this one. All sessions have ended.",
    ),
    Change.SESSIONS_REVOKED: (
        "An administrator ended your sessions",
        "An administrator ended all sessions of your account. Sign in again to continue.",
    ),
    Change.DEACTIVATED: (
        "Your account was deactivated",
        "An administrator deactivated your account. You can no longer sign in.",
    ),
}


@handler(NOTICE_JOB, on_given_up=nothing_to_end, attempts=_ATTEMPTS, first=True)
async def send_notice(context: WorkerContext, job: RunningJob) -> None:
    """Notify the former address of a change, with a link that undoes a change of address."""
    payload = job.payload

    async def read(work: Work) -> User | None:
        return await work.session.get(User, UUID(payload["user"]))

    user = await context.do(job.name, read)
    if user is None or user.deleted_at is not None:
        return
    settings = context.settings
    change = Change(payload["change"])
    subject, what = _NOTICES[change]
    undo = None
    if "undo" in payload:
        token = AccountCodes(settings).token(UUID(payload["undo"]))
        undo = f"{settings.server.public_url}/auth/undo-email-change?token={token}"
    message = compose(
        settings,
        "account_notice",
        {
            "what": what,
            "undo": undo,
            "hours": int(UNDO_LIFE.total_seconds()) // 3600,
            "by_password": change in {Change.PASSWORD_CHANGED, Change.PASSWORD_RESET},
        },
        id_=job.id,
        to=payload["email"],
        name=user.full_name or user.username,
        subject=subject,
        now=job.created_at,
    )
    await _send(context, message)


async def _send(context: WorkerContext, message: EmailMessage) -> None:
    """Send it through its own bulkhead, so that other mails on a slow server do not delay it."""
    async with context.outside("account mail", "smtp", context.sender.host, apart=True):
        await context.sender.send(message)
