"""Voiding codes and links when access to an account changes.

Changing or resetting a password, changing the address, an administrator's revocation and
deactivation all void every pending code and link of the account, and notify its previous address: a
link that an attacker requested must not outlive the moment when the owner locks them out.
`void_pending` is the only place that does it.

A change of address can be undone from the previous address for 72 hours. That link must survive
whatever the new holder of the account does, who could be a thief: only an administrator, or the use
of an earlier link, voids it.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from uuid import UUID

from sqlalchemy import and_, delete, func, or_, select, union

from db.models import AccountCode, EmailUndo, Job, JobState, User
from domain.work import Work

# The jobs that mail codes and links, and the job that mails notices of changes.
RESET_JOB = "mail.password_reset"
EMAIL_JOB = "mail.email_verification"
NOTICE_JOB = "mail.account_notice"
UNDO_LIFE = dt.timedelta(hours=72)


class Change(StrEnum):
    """What happened to the account; `jobs.mail.account` has the text for each."""

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
    """Void every pending code and link of the account, and notify its address.

    Lock the user's row first, so that no code is created at the same time. `previous_email` is the
    address to notify if it is no longer the account's. With `EMAIL_CHANGED` it gets the link that
    undoes the change, unless an administrator changed another user's account.
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
    """The time before which all requests are void: now, or just after the latest request that came
    in while this work waited for a password hash and is not mailed yet.
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
    """Delete every code and link of a deleted account."""
    for model in (AccountCode, EmailUndo):
        await work.session.execute(delete(model).where(model.user_id == user_id))


async def holders_of(work: Work, email: str) -> set[UUID]:
    """The accounts that an address belongs to, or to which it can be restored."""
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
