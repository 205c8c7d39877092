"""Users: registration, changes to their own profile, and administration.

`domain.accounts.user_deletion` deletes users.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from auth.authenticator import Authenticator
from auth.passwords import PasswordHash, acceptable, demand_uncommon
from db import models
from db.models import WeekDay
from domain import rules
from domain.accounts.credentials import Change, holders_of, void_pending
from domain.accounts.session import Grant, end_sessions, open_session, proven, still_holding
from domain.work import Work
from errors import (
    BadInput,
    ErrorCode,
    Failure,
    Forbidden,
    Problems,
    check,
    demand_no_problems,
    has_problems,
)
from events.kinds import EventKind

Path = Sequence[str | int]

_USERNAME = re.compile(r"[A-Za-z0-9_.-]{3,50}")
# As browsers check <input type=email>, except that the domain must have a dot: a local part, and
# labels of letters, digits and inner hyphens.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})+")

# Profile fields that always have a value; null clears the others.
_REQUIRED = {"username", "email", "timezone", "week_start", "locale", "is_admin"}


# --- validation ----------------------------------------------------------------------------------


@check("")
def username(value: str, path: Path = ("username",)) -> str:
    """A username, in the case the user chose; compared case-insensitively."""
    clean = rules.text(value, path, most=50)
    if not _USERNAME.fullmatch(clean):
        raise BadInput(
            "username must be 3 to 50 characters: letters a to z, digits, and _ . -", path=path
        )
    return clean


@check("")
def email(value: str, path: Path = ("email",)) -> str:
    """An email address as it was written; compared case-insensitively."""
    clean = rules.text(value, path, most=100)
    if not _EMAIL.fullmatch(clean):
        raise BadInput("email must be an email address such as ada@example.com.", path=path)
    return clean


_RULES: dict[str, Callable[[Any], Any]] = {
    "username": username,
    "email": email,
    "full_name": lambda value: rules.optional_text(value, ("full_name",), most=100),
    "timezone": lambda value: rules.timezone(value, ("timezone",)),
    "week_start": WeekDay,
    "locale": lambda value: rules.locale(value, ("locale",)),
    "is_admin": bool,
}
# What everybody may change about themselves, and administrators about anybody.
PROFILE = frozenset(_RULES.keys() - {"email", "is_admin"})
CHANGEABLE = frozenset(_RULES)


@check()
def _checked(name: str, value: Any) -> Any:
    if value is None and name in _REQUIRED:
        raise BadInput(
            "The value must not be null; omit the field to keep it unchanged.", path=(name,)
        )
    return _RULES[name](value)


# --- registration --------------------------------------------------------------------------------


async def register(
    work: Work,
    auth: Authenticator,
    *,
    username: str,
    email: str,
    password: str,
    full_name: str | None = None,
    timezone: str | None = None,
    device_name: str | None = None,
) -> Grant:
    """Create an account and sign in. Raises `REGISTRATION_CLOSED` if registration is closed."""
    if auth.settings.auth.registration == "closed":
        raise Failure(
            "This server does not accept registrations; ask its administrator for an account.",
            code=ErrorCode.REGISTRATION_CLOSED,
        )
    device_name = rules.optional_text(device_name, ("device_name",), most=100)
    user = await create(
        work,
        auth,
        username=username,
        email=email,
        password=password,
        full_name=full_name,
        timezone=timezone,
    )
    return await open_session(work, auth, user, device_name)


async def create(
    work: Work,
    auth: Authenticator,
    *,
    username: str,
    email: str,
    password: str,
    full_name: str | None = None,
    timezone: str | None = None,
    is_admin: bool = False,
) -> models.User:
    """Create a user without checking permissions; used by the command line and the demo.

    All violated rules, including an existing username, are reported together (`Failures`). An
    existing email address is reported only if the account could be created otherwise, so that each
    address a stranger tries costs an account.
    """
    given = {"username": username, "email": email, "full_name": full_name}
    if timezone is not None:
        given["timezone"] = timezone
    problems = Problems()
    with problems.collect():
        values = {name: _checked(name, value) for name, value in given.items()}
        # Only against names that passed their own checks: others can be of any length.
        names = [values[name] for name in ("username", "email", "full_name")]
        clean_password = _password(password, names)
    # The slow part comes before the first statement, so that it holds no connection.
    hashed = PasswordHash("", 0) if problems else await auth.passwords.hash(clean_password)
    await _note_taken(work, {"username": values["username"]}, problems)
    problems.raise_any()
    await _note_taken(work, {"email": values["email"]}, problems)
    problems.raise_any()
    user = models.User(
        id=work.new_id(),
        created_at=work.now,
        updated_at=work.now,
        version=1,
        password_hash=hashed.text,
        pepper_version=hashed.pepper_version,
        password_changed_at=work.now,
        is_active=True,
        is_admin=is_admin,
        **({"timezone": "UTC", "week_start": WeekDay.MONDAY, "locale": "en"} | values),
    )
    work.session.add(user)
    # The unique index finds a concurrent registration of the same name here.
    await work.session.flush()
    work.record(
        EventKind.USER_CREATED,
        user,
        [("username", None, user.username)],
        audience=[user.id],
        actor_id=work.viewer.user_id or user.id,
    )
    return user


@check("")
def _password(password: str, names: Iterable[str | None]) -> str:
    clean = acceptable(password)
    demand_uncommon(clean, ("password",), names)
    return clean


async def _note_taken(
    work: Work, values: Mapping[str, Any], problems: Problems, *, but: UUID | None = None
) -> None:
    """Note a username and an email address that another user has."""
    for name, noun in (("username", "username"), ("email", "email address")):
        value = values.get(name)
        if value is None:
            continue
        if name == "email":
            holders = await holders_of(work, value)
        else:
            query = select(models.User.id).where(func.lower(models.User.username) == value.lower())
            holders = set(await work.session.scalars(query))
        if holders - {but}:
            problems.add(rules.taken(noun, (name,)))


# --- changes -------------------------------------------------------------------------------------


async def update_profile(
    work: Work, auth: Authenticator, values: Mapping[str, Any], *, if_version: int | None = None
) -> models.User:
    """Change the viewer's username, full_name, timezone, week_start or locale."""
    checked, problems = _checked_all(values)
    user = await work.editable(models.User, work.viewer.require())
    await _update(work, auth, user, checked, problems, if_version=if_version)
    return user


def _checked_all(values: Mapping[str, Any]) -> tuple[dict[str, Any], Problems]:
    """The validated values and their problems, to which more can be added."""
    problems = Problems()
    with problems.collect():
        checked = {name: _checked(name, value) for name, value in values.items()}
    if has_problems():
        # Report invalid values before checking whether names exist.
        problems.raise_any()
    return checked, problems


async def _update(
    work: Work,
    auth: Authenticator,
    user: models.User,
    checked: dict[str, Any],
    problems: Problems,
    *,
    if_version: int | None,
) -> None:
    await _note_taken(work, checked, problems, but=user.id)
    problems.raise_any()
    ignore: list[str] = []
    address, previous = checked.get("email"), user.email
    if address is not None and address.lower() != previous.lower():
        # The new address is not verified yet.
        checked["email_verified_at"] = None
        ignore.append("email_verified_at")
    changes = work.apply(user, checked, if_version=if_version, ref="user", ignore=ignore)
    if not changes:
        return
    await work.session.flush()
    work.record(EventKind.USER_UPDATED, user, changes, audience=[user.id])
    if user.email.lower() != previous.lower():
        await void_pending(
            work,
            user,
            Change.EMAIL_CHANGED,
            previous_email=previous,
            by_administrator=user.id != work.viewer.user_id,
        )
    # The cache of viewers has the time zone and whether the user is an administrator.
    work.after_commit.append(_forget(auth, user.id))


async def change_password(
    work: Work, auth: Authenticator, *, current_password: str, new_password: str
) -> models.User:
    """Set a new password, given the current one. Ends all other sessions."""
    work.viewer.require()
    clean = acceptable(new_password, ("new_password",))
    user_id, kept = await proven(work, auth, current_password, "current_password")
    demand_no_problems()
    hashed = await auth.passwords.hash(clean)
    user = await still_holding(work, user_id, kept, path="current_password")
    demand_uncommon(clean, ("new_password",), (user.username, user.email, user.full_name))
    user.password_hash, user.pepper_version = hashed.text, hashed.pepper_version
    work.apply(user, {"password_changed_at": work.now})
    work.record(EventKind.PASSWORD_CHANGED, user, audience=[user.id])
    await void_pending(work, user, Change.PASSWORD_CHANGED)
    await end_sessions(work, auth, user.id, "the password was changed", keep=work.viewer.session_id)
    return user


# --- administration ------------------------------------------------------------------------------


async def administer(
    work: Work,
    auth: Authenticator,
    user_id: UUID,
    values: Mapping[str, Any],
    *,
    if_version: int | None = None,
) -> models.User:
    """Change any user's profile, email or is_admin, as an administrator."""
    checked, problems = _checked_all(values)
    user = await _administered(work, user_id)
    if values.get("is_admin") is False and user.id == work.viewer.user_id:
        raise Forbidden(
            "You cannot remove your own administrator role; ask another administrator.",
            path=("is_admin",),
        )
    await _update(work, auth, user, checked, problems, if_version=if_version)
    return user


async def activate(work: Work, user_id: UUID) -> models.User:
    """Activate a deactivated user. Idempotent."""
    user = await _administered(work, user_id)
    if work.apply(user, {"is_active": True}):
        work.record(
            EventKind.USER_ACTIVATED, user, [("is_active", False, True)], audience=[user.id]
        )
    return user


async def deactivate(work: Work, auth: Authenticator, user_id: UUID) -> models.User:
    """Deactivate a user: all sessions end, and signing in is refused. Idempotent."""
    user = await _administered(work, user_id)
    if user.id == work.viewer.user_id:
        raise Forbidden("You cannot deactivate your own account.", path=("id",))
    if work.apply(user, {"is_active": False}):
        work.record(
            EventKind.USER_DEACTIVATED, user, [("is_active", True, False)], audience=[user.id]
        )
        await void_pending(work, user, Change.DEACTIVATED, by_administrator=True)
    await end_sessions(work, auth, user.id, "the account was deactivated")
    return user


async def revoke_sessions(work: Work, auth: Authenticator, user_id: UUID) -> tuple[UUID, int]:
    """End all sessions of a user, as an administrator. Returns the user's ID and how many ended."""
    user = await _administered(work, user_id)
    others = user.id != work.viewer.user_id
    await void_pending(work, user, Change.SESSIONS_REVOKED, by_administrator=others)
    return user.id, len(await end_sessions(work, auth, user.id, "ended by an administrator"))


async def _administered(work: Work, user_id: UUID) -> models.User:
    work.viewer.require()
    if not work.viewer.is_admin:
        raise Forbidden("Only administrators can do this.")
    return await work.readable(models.User, user_id, lock=True)


def _forget(auth: Authenticator, user_id: UUID) -> Callable[[], Awaitable[None]]:
    return partial(auth.forget_everywhere, user_id=user_id)
