"""Password resets and email verification by mail.

A request only queues a job. Whether the account exists is checked when the mail is written
(`jobs.mail.account`), so neither the answer nor its timing reveals it. Only the latest code or link
of a purpose is valid, and it works once.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, union_all
from sqlalchemy.dialects.postgresql import insert

from auth.authenticator import Authenticator
from auth.codes import AccountCodes
from auth.passwords import acceptable, demand_uncommon
from db import models
from db.models import AccountCode, CodePurpose, EmailUndo
from domain import rules
from domain.accounts.credentials import EMAIL_JOB, RESET_JOB, Change, holders_of, void_pending
from domain.accounts.session import end_sessions, proven, still_holding
from domain.accounts.user import email as checked_email
from domain.pruning import delete_some
from domain.work import Work
from errors import BadInput, ErrorCode, Failure
from events.kinds import EventKind

RESET_LIFE = dt.timedelta(hours=1)
EMAIL_LIFE = dt.timedelta(minutes=15)
_LIVES = {CodePurpose.PASSWORD_RESET: RESET_LIFE, CodePurpose.EMAIL: EMAIL_LIFE}
MOST_TRIES = 5


class InvalidCode(Failure):
    """The link or code is wrong, used or expired; the message does not say which."""

    code = ErrorCode.INVALID_CREDENTIALS


@dataclass(frozen=True, slots=True)
class Sent:
    """The address a mail is sent to, and until when its code or link is valid, at least."""

    email: str
    expires_at: dt.datetime


# --- requesting ----------------------------------------------------------------------------------


async def request_reset(work: Work, *, email: str) -> Sent:
    """Send a link for setting a new password, if the account exists."""
    address = checked_email(email)
    await work.enqueue(RESET_JOB, {"email": address})
    return Sent(address, work.now + RESET_LIFE)


async def request_verification(work: Work) -> Sent:
    """Send a code and a link to the viewer's address."""
    user = await work.readable(models.User, work.viewer.require())
    if user.email_verified_at is not None:
        raise BadInput("Your email address is already verified.")
    return await _request(work, user.id, user.email)


async def request_change(work: Work, auth: Authenticator, *, email: str, password: str) -> Sent:
    """Send a code and a link to a new address, which becomes the viewer's once it is verified.

    Whether the address belongs to another account is checked at that time, so that only someone who
    can read its mail learns it.
    """
    address = checked_email(email)
    user_id, kept = await proven(work, auth, password, "password")
    await still_holding(work, user_id, kept, path="password")
    return await _request(work, user_id, address)


async def _request(work: Work, user_id: UUID, address: str) -> Sent:
    await work.enqueue(EMAIL_JOB, {"user": user_id, "email": address})
    return Sent(address, work.now + EMAIL_LIFE)


async def _demand_free(work: Work, address: str, user_id: UUID) -> None:
    if await holders_of(work, address) - {user_id}:
        raise rules.taken("email address", ())


# --- sending -------------------------------------------------------------------------------------


# `asked_at`: when the mail was requested; None means now.


async def begin_reset(
    work: Work, id_: UUID, email: str, asked_at: dt.datetime | None = None
) -> models.User | None:
    """Create a reset code. Returns the account of the address, or None if no mail is to be sent."""
    user = await _mailable(work, func.lower(models.User.email) == email.lower(), asked_at)
    if user is not None:
        purpose = CodePurpose.PASSWORD_RESET
        await _keep(work, id_, user_id=user.id, purpose=purpose, email=user.email)
    return user


async def begin_verification(
    work: Work, id_: UUID, user_id: UUID, email: str, asked_at: dt.datetime | None = None
) -> models.User | None:
    """Create a verification code. Returns the user, or None if no mail is to be sent."""
    user = await _mailable(work, models.User.id == user_id, asked_at)
    if user is not None:
        await _keep(work, id_, user_id=user.id, purpose=CodePurpose.EMAIL, email=email)
    return user


async def _mailable(
    work: Work, who: ColumnElement[bool], asked_at: dt.datetime | None
) -> models.User | None:
    """The user, locked. None if the account is gone or voided its codes since the request."""
    user = await _locked(work, who)
    voided_at = None if user is None else user.codes_voided_at
    if asked_at is not None and voided_at is not None and asked_at < voided_at:
        return None
    return user


async def _locked(work: Work, who: ColumnElement[bool]) -> models.User | None:
    """An account that can be signed in to, locked. Lock it before its codes."""
    user: models.User | None = await work.session.scalar(
        select(models.User)
        .where(who, models.User.is_active, models.User.deleted_at.is_(None))
        # Rows that refer to this user can still be written.
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return user


async def _keep(work: Work, id_: UUID, *, user_id: UUID, purpose: CodePurpose, email: str) -> None:
    """Store the only code of its purpose. A repeated attempt of the same job changes nothing."""
    values = {
        "id": id_,
        "user_id": user_id,
        "purpose": purpose,
        "email": email,
        "tries": 0,
        "created_at": work.now,
        "expires_at": work.now + _LIVES[purpose],
    }
    replaced = insert(AccountCode).values(values)
    await work.session.execute(
        replaced.on_conflict_do_update(
            index_elements=["user_id", "purpose"],
            set_={name: replaced.excluded[name] for name in values},
            # Job IDs are UUIDv7 and sort by time: a delayed older job replaces nothing.
            where=AccountCode.id < replaced.excluded.id,
        )
    )


# --- confirming ----------------------------------------------------------------------------------


async def reset_password(work: Work, auth: Authenticator, *, token: str, password: str) -> UUID:
    """Set a new password with the link from a mail and end all sessions. Returns the user's ID.

    Being able to read the mail proves that the address is the user's, so it is verified too.
    """
    clean = acceptable(password, ("new_password",))
    id_ = AccountCodes(auth.settings).id_of(token)
    if id_ is None:
        raise invalid("token")
    hashed = await auth.passwords.hash(clean)
    user, code = await _claimed(work, id_, CodePurpose.PASSWORD_RESET)
    demand_uncommon(clean, ("new_password",), (user.username, user.email, user.full_name))
    user.password_hash, user.pepper_version = hashed.text, hashed.pepper_version
    values: dict[str, object] = {"password_changed_at": work.now}
    if user.email_verified_at is None and user.email == code.email:
        values["email_verified_at"] = work.now
    work.apply(user, values)
    work.record(EventKind.PASSWORD_CHANGED, user, audience=[user.id], actor_id=user.id)
    await void_pending(work, user, Change.PASSWORD_RESET)
    await end_sessions(work, auth, user.id, "the password was reset")
    return user.id


async def verify_by_link(work: Work, auth: Authenticator, *, token: str) -> models.User:
    """Verify an address with the link from a mail; no sign-in is required."""
    id_ = AccountCodes(auth.settings).id_of(token)
    if id_ is None:
        raise invalid("token")
    return await _verified(work, auth, *await _claimed(work, id_, CodePurpose.EMAIL))


async def is_pending(work: Work, auth: Authenticator, token: str) -> bool:
    """Whether a mail's link is currently valid, to verify an address or to undo a change."""
    id_ = AccountCodes(auth.settings).id_of(token)
    if id_ is None:
        return False
    code, undo = AccountCode, EmailUndo
    pending = union_all(
        select(code.id).where(
            code.id == id_, code.purpose == CodePurpose.EMAIL, code.expires_at > work.now
        ),
        select(undo.id).where(undo.id == id_, undo.expires_at > work.now),
    )
    return await work.session.scalar(pending) is not None


async def undo_change(work: Work, auth: Authenticator, *, token: str) -> models.User:
    """Restore an account's previous address with the link that was mailed to it.

    The person who changed the address knew the password: all sessions end, and the restored address
    gets a mail for setting a new password. Later changes are undone too; links for earlier changes
    stay valid.
    """
    id_ = AccountCodes(auth.settings).id_of(token)
    if id_ is None:
        raise invalid("token")
    undo = EmailUndo
    user = await _locked(
        work,
        models.User.id == select(undo.user_id).where(undo.id == id_).scalar_subquery(),
    )
    used = await work.session.scalar(
        select(undo).where(undo.id == id_, undo.expires_at > work.now).with_for_update()
    )
    if user is None or used is None:
        raise invalid("token")
    await work.session.execute(
        delete(undo).where(undo.user_id == user.id, undo.created_at >= used.created_at)
    )
    await _demand_free(work, used.email, user.id)
    previous = user.email
    await _set_address(work, user, used.email)
    await void_pending(work, user, Change.EMAIL_RESTORED, previous_email=previous)
    await end_sessions(work, auth, user.id, "a change of the email address was undone")
    await work.enqueue(RESET_JOB, {"email": user.email})
    return user


async def verify_by_code(work: Work, auth: Authenticator, *, code: str) -> models.User | Failure:
    """Verify the viewer's address with the digits from a mail.

    A failure is returned instead of raised, so that the attempt is counted.
    """
    user = await _locked(work, models.User.id == work.viewer.require())
    if user is None:
        raise invalid("code")
    kept = await work.session.scalar(
        select(AccountCode)
        .where(
            AccountCode.user_id == user.id,
            AccountCode.purpose == CodePurpose.EMAIL,
            AccountCode.expires_at > work.now,
            AccountCode.tries < MOST_TRIES,
        )
        .with_for_update()
    )
    if kept is None:
        raise invalid("code")
    if not AccountCodes(auth.settings).is_code(kept.id, code):
        kept.tries += 1
        left = MOST_TRIES - kept.tries
        return InvalidCode(
            f"The code is wrong; {left} attempts are left." if left else _USED_UP, path=("code",)
        )
    return await _verified(work, auth, user, kept)


_USED_UP = "The code is wrong and no attempts are left; request a new one."


async def _claimed(work: Work, id_: UUID, purpose: CodePurpose) -> tuple[models.User, AccountCode]:
    """The code of a link and its user, both locked."""
    owner = select(AccountCode.user_id).where(AccountCode.id == id_).scalar_subquery()
    user = await _locked(work, models.User.id == owner)
    # Read after the user is locked: codes are voided under that lock.
    code: AccountCode | None = await work.session.scalar(
        select(AccountCode)
        .where(
            AccountCode.id == id_,
            AccountCode.purpose == purpose,
            AccountCode.expires_at > work.now,
        )
        .with_for_update()
    )
    if user is None or code is None:
        raise invalid("token")
    return user, code


async def _verified(
    work: Work, auth: Authenticator, user: models.User, code: AccountCode
) -> models.User:
    await work.session.delete(code)
    await _demand_free(work, code.email, user.id)
    previous = user.email
    await _set_address(work, user, code.email)
    if previous.lower() != code.email.lower():
        await void_pending(work, user, Change.EMAIL_CHANGED, previous_email=previous)
    work.after_commit.append(partial(auth.forget_everywhere, user_id=user.id))
    return user


async def _set_address(work: Work, user: models.User, address: str) -> None:
    """Set the account's address to one that is proven to be its owner's."""
    changes = work.apply(user, {"email": address, "email_verified_at": work.now})
    work.record(EventKind.USER_UPDATED, user, changes, audience=[user.id], actor_id=user.id)
    await work.session.flush()


def invalid(path: str) -> InvalidCode:
    """The failure for an invalid code or link."""
    return InvalidCode(
        "Invalid code or link: it was used, has expired or was replaced by a newer one. Request "
        "a new one.",
        path=(path,),
    )


async def prune(work: Work) -> int:
    """Delete some of the expired codes and links. Returns how many."""
    codes = await delete_some(work, AccountCode, AccountCode.expires_at < work.now)
    return codes + await delete_some(work, EmailUndo, EmailUndo.expires_at < work.now)
