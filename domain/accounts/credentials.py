"""What follows when it changes who can get into an account.

Changing or resetting a password, changing the address, an administrator's revocation and
deactivation all void every pending code and link of the account, and the address of before is
notified: a link that somebody else asked for must not survive the moment in which the owner locks
them out. `void_pending` is the one place that does it.

A change of address can be undone from the former address for 72 hours. That link must survive
whatever the new holder of the account does, who may be a thief: only an administrator voids it,
or the use of an earlier one.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from uuid import UUID

from sqlalchemy import and_, delete, func, or_, select, union

from db.models import AccountCode, EmailUndo, Job, JobState, User
from domain.work import Work

# The jobs that mail codes and links, and the one that tells what has changed.
RESET_JOB = "mail.password_reset"
EMAIL_JOB = "mail.email_verification"
NOTICE_JOB = "mail.account_notice"
UNDO_LIFE = dt.timedelta(hours=72)


class Change(StrEnum):
    """What happened to the account; each has its words in `jobs.mail.account`."""

    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of a mail
    PASSWORD_RESET = "password_reset"  # noqa: S105 - the name of a mail
    EMAIL_CHANGED = "email_changed"
    EMAIL_RESTORED = "email_restored"
    SESSIONS_REVOKED = "sessions_revoked"
    DEACTIVATED = "deactivated"


async def void_pending(
    work: Work,
    user: User,
    change: Change,
    *,
    previous_email: str | None = None,
    by_administrator: bool = False,
) -> None:
    """Void every pending code and link of the account, and have its address notified.

    The user's row must be locked, so that no code is made at the same time. `previous_email`: the
    address to notify, if it is no longer the account's; with `EMAIL_CHANGED` it gets the link that
    undoes the change, unless an administrator made it to somebody else's account.
    """
    user.codes_voided_at = await _void_until(work, user, previous_email or user.email)
    await work.session.execute(delete(AccountCode).where(AccountCode.user_id == user.id))
    address = previous_email or user.email
    undo: EmailUndo | None = None
    if by_administrator:
        await work.session.execute(delete(EmailUndo).where(EmailUndo.user_id == user.id))
    elif change is Change.EMAIL_CHANGED:
        undo = EmailUndo(
            id=work.new_id(),
            user_id=user.id,
            email=address,
            created_at=work.now,
            expires_at=work.now + UNDO_LIFE,
        )
        work.session.add(undo)
    notice = {"user": user.id, "email": address, "change": change.value}
    await work.enqueue(NOTICE_JOB, notice | ({} if undo is None else {"undo": undo.id}))


async def _void_until(work: Work, user: User, address: str) -> dt.datetime:
    """The moment before which whatever was asked for is void: now, or later by what was asked for
    while this work waited for a password to be hashed, and is not mailed yet.
    """
    email = Job.payload["email"].astext
    latest = await work.session.scalar(
        select(func.max(Job.created_at)).where(
            Job.state.in_((JobState.WAITING, JobState.RUNNING)),
            or_(
                and_(Job.name == EMAIL_JOB, Job.payload["user"].astext == user.id.hex),
                and_(Job.name == RESET_JOB, func.lower(email) == address.lower()),
            ),
        )
    )
    return work.now if latest is None else max(work.now, latest + dt.timedelta(microseconds=1))


async def forget_pending(work: Work, user_id: UUID) -> None:
    """Delete every code and link of an account that is no more."""
    for model in (AccountCode, EmailUndo):
        await work.session.execute(delete(model).where(model.user_id == user_id))


async def holders_of(work: Work, email: str) -> set[UUID]:
    """Whose this address is: the account that has it, and one that it may be given back to."""
    wanted = email.lower()
    return set(
        await work.session.scalars(
            union(
                select(User.id).where(func.lower(User.email) == wanted),
                select(EmailUndo.user_id).where(
                    func.lower(EmailUndo.email) == wanted, EmailUndo.expires_at > work.now
                ),
            )
        )
    )
