"""Proving by mail that one is who one says: password resets, addresses.

A request only queues a job, whoever it is about: whether there is such an account is found when
the mail is written (`jobs.mail.account`), so the answer tells nothing, not even by its time. What
was asked for last is the only thing that works, and it works once.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from auth.authenticator import Authenticator
from auth.codes import AccountCodes
from auth.passwords import acceptable
from db import models
from db.models import AccountCode, CodePurpose
from domain import rules
from domain.session import end_sessions, proven, still_holding
from domain.user import email as checked_email
from domain.work import Work
from errors import BadInput, ErrorCode, Failure
from events.kinds import EventKind

RESET_JOB = "mail.password_reset"
EMAIL_JOB = "mail.email_verification"

RESET_LIFE = dt.timedelta(hours=1)
EMAIL_LIFE = dt.timedelta(minutes=15)
_LIVES = {CodePurpose.PASSWORD_RESET: RESET_LIFE, CodePurpose.EMAIL: EMAIL_LIFE}
MOST_TRIES = 5


class InvalidCode(Failure):
    """The link or code is wrong, used, or too old; never said which."""

    code = ErrorCode.INVALID_CREDENTIALS


@dataclass(frozen=True, slots=True)
class Sent:
    """To which address something is on its way, and for how long it works."""

    email: str
    expires_in: int


# --- asking --------------------------------------------------------------------------------------


async def request_reset(work: Work, *, email: str) -> Sent:
    """Have a link sent with which a new password can be set, if there is such an account."""
    address = checked_email(email)
    await work.enqueue(RESET_JOB, {"email": address})
    return Sent(address, int(RESET_LIFE.total_seconds()))


async def request_verification(work: Work) -> Sent:
    """Have a code and a link sent to the viewer's address."""
    user = await work.readable(models.User, work.viewer.require())
    if user.email_verified_at is not None:
        raise BadInput("This address is verified already.")
    return await _request(work, user.id, user.email)


async def request_change(work: Work, auth: Authenticator, *, email: str, password: str) -> Sent:
    """Have a code and a link sent to another address, which is the viewer's once it is verified."""
    address = checked_email(email)
    user_id, kept = await proven(work, auth, password, "password")
    await still_holding(work, user_id, kept, path="password")
    await _demand_free(work, address, user_id)
    return await _request(work, user_id, address)


async def _request(work: Work, user_id: UUID, address: str) -> Sent:
    await work.enqueue(EMAIL_JOB, {"user": user_id, "email": address})
    return Sent(address, int(EMAIL_LIFE.total_seconds()))


async def _demand_free(work: Work, address: str, user_id: UUID) -> None:
    owner = await work.session.scalar(
        select(models.User.id).where(func.lower(models.User.email) == address.lower())
    )
    if owner is not None and owner != user_id:
        raise rules.taken("email address", ("email",))


# --- sending -------------------------------------------------------------------------------------


async def begin_reset(work: Work, id_: UUID, email: str) -> models.User | None:
    """The account of this address, its code made; None where there is none to be mailed."""
    user: models.User | None = await work.session.scalar(
        select(models.User).where(
            func.lower(models.User.email) == email.lower(),
            models.User.is_active,
            models.User.deleted_at.is_(None),
        )
    )
    if user is not None:
        purpose = CodePurpose.PASSWORD_RESET
        await _keep(work, id_, user_id=user.id, purpose=purpose, email=user.email)
    return user


async def begin_verification(
    work: Work, id_: UUID, user_id: UUID, email: str
) -> models.User | None:
    """The user, the code made; None where they are gone."""
    user = await work.session.get(models.User, user_id)
    if user is None or not user.is_active or user.deleted_at is not None:
        return None
    await _keep(work, id_, user_id=user.id, purpose=CodePurpose.EMAIL, email=email)
    return user


async def _keep(work: Work, id_: UUID, *, user_id: UUID, purpose: CodePurpose, email: str) -> None:
    """Let this be the one code of its purpose. A second attempt leaves it as it is."""
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
            # UUIDv7s of jobs sort by time: an old job that comes late replaces nothing.
            where=AccountCode.id < replaced.excluded.id,
        )
    )


# --- proving -------------------------------------------------------------------------------------


async def reset_password(work: Work, auth: Authenticator, *, token: str, password: str) -> UUID:
    """Set another password by a link from a mail; whose. Ends all sessions.

    Whoever reads the mail of an address has shown that it is theirs, so it is verified by that.
    """
    clean = acceptable(password, ("new_password",))
    id_ = AccountCodes(auth.settings).id_of(token)
    if id_ is None:
        raise _invalid("token")
    hashed = await auth.passwords.hash(clean)
    code = await _claimed(work, id_, CodePurpose.PASSWORD_RESET)
    user = await _user(work, code)
    user.password_hash, user.pepper_version = hashed.text, hashed.pepper_version
    values: dict[str, object] = {"password_changed_at": work.now}
    if user.email_verified_at is None and user.email == code.email:
        values["email_verified_at"] = work.now
    work.apply(user, values)
    event = work.record(EventKind.PASSWORD_CHANGED, user, audience=[user.id])
    event.actor_id = user.id
    await work.session.delete(code)
    await end_sessions(work, auth, user.id, "the password was reset")
    return user.id


async def verify_by_link(work: Work, auth: Authenticator, *, token: str) -> models.User:
    """Verify an address by a link from a mail, whoever opens it."""
    id_ = AccountCodes(auth.settings).id_of(token)
    if id_ is None:
        raise _invalid("token")
    return await _verified(work, auth, await _claimed(work, id_, CodePurpose.EMAIL))


async def verify_by_code(work: Work, auth: Authenticator, *, code: str) -> models.User | Failure:
    """Verify the viewer's address by the digits from a mail.

    A failure is returned and not raised, since the attempt has to be counted.
    """
    kept = await work.session.scalar(
        select(AccountCode)
        .where(
            AccountCode.user_id == work.viewer.require(),
            AccountCode.purpose == CodePurpose.EMAIL,
            AccountCode.expires_at > work.now,
            AccountCode.tries < MOST_TRIES,
        )
        .with_for_update()
    )
    if kept is None:
        raise _invalid("code")
    if not AccountCodes(auth.settings).is_code(kept.id, code):
        kept.tries += 1
        left = MOST_TRIES - kept.tries
        return InvalidCode(
            f"The code is wrong; {left} attempts are left." if left else _USED_UP, path=("code",)
        )
    return await _verified(work, auth, kept)


_USED_UP = "The code is wrong, and was so too often; ask for another one."


async def _claimed(work: Work, id_: UUID, purpose: CodePurpose) -> AccountCode:
    code: AccountCode | None = await work.session.scalar(
        select(AccountCode)
        .where(
            AccountCode.id == id_,
            AccountCode.purpose == purpose,
            AccountCode.expires_at > work.now,
        )
        .with_for_update()
    )
    if code is None:
        raise _invalid("token")
    return code


async def _user(work: Work, code: AccountCode) -> models.User:
    user: models.User | None = await work.session.scalar(
        select(models.User)
        .where(
            models.User.id == code.user_id,
            models.User.is_active,
            models.User.deleted_at.is_(None),
        )
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if user is None:
        raise _invalid("token")
    return user


async def _verified(work: Work, auth: Authenticator, code: AccountCode) -> models.User:
    user = await _user(work, code)
    await work.session.delete(code)
    await _demand_free(work, code.email, user.id)
    changes = work.apply(user, {"email": code.email, "email_verified_at": work.now})
    event = work.record(EventKind.USER_UPDATED, user, changes, audience=[user.id])
    event.actor_id = user.id
    await work.session.flush()
    work.after_commit.append(partial(auth.forget_everywhere, user_id=user.id))
    return user


def _invalid(path: str) -> InvalidCode:
    return InvalidCode(
        "This does not work (any more): it was used, is too old, or a later one was sent.",
        path=(path,),
    )


async def prune(work: Work) -> int:
    """Forget codes that have expired; how many."""
    done = await work.session.execute(delete(AccountCode).where(AccountCode.expires_at < work.now))
    return int(done.rowcount)  # type: ignore[attr-defined]
