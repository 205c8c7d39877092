"""Signing in, refreshing and signing out.

A session is a login on one device. Its refresh tokens form a chain: each is exchanged once for its
successor. If a token is presented more than ten seconds after it was exchanged, there is a copy of
it, and it is unknown who holds it, so the session ends. Within ten seconds it is a lost answer or a
second tab, and gets the same successor again, unless the successor was exchanged too: then the
answer was not lost.

Functions here take the process's `Authenticator` beside the work: it has the passwords, the tokens
and the cache of viewers that revocation must clear.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, or_, select

from auth.authenticator import Authenticator
from auth.passwords import PasswordHash
from auth.tokens import Tokens
from auth.viewer import Viewer
from db import models
from db.statements import Statement
from domain import rules
from domain.pruning import delete_some
from domain.work import Work
from errors import ErrorCode, Failure, Unauthenticated
from events.kinds import EventKind

# How long a refresh can be repeated after its answer was lost.
GRACE = dt.timedelta(seconds=10)
# How long ended sessions stay visible to their owner.
KEPT = dt.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Grant:
    """The result of a login or a refresh. The tokens are stored nowhere else.

    `viewer` is the signed-in user; `expires_at` is when the access token expires.
    """

    viewer: Viewer
    access_token: str
    refresh_token: str
    expires_at: dt.datetime


class InvalidCredentials(Failure):
    """The login, the password or the refresh token is wrong; the message does not say which."""

    code = ErrorCode.INVALID_CREDENTIALS


# The limit of email addresses; usernames are shorter.
LONGEST_LOGIN = 100


def _by_login(column: Any) -> Statement:
    user = models.User
    return Statement(
        select(user.id, user.password_hash, user.pepper_version, user.is_active).where(
            func.lower(column) == bindparam("login"), user.deleted_at.is_(None)
        )
    )


_BY_USERNAME = _by_login(models.User.username)
_BY_EMAIL = _by_login(models.User.email)
_BY_ID = Statement(
    select(
        models.User.id,
        models.User.password_hash,
        models.User.pepper_version,
        models.User.is_active,
    ).where(models.User.id == bindparam("id"), models.User.deleted_at.is_(None))
)
_REFRESH_TOKEN = Statement(
    select(
        models.RefreshToken.session_id,
        models.RefreshToken.used_at,
        models.Session.user_id,
        models.Session.revoked_at,
    )
    .join(models.Session, models.Session.id == models.RefreshToken.session_id)
    .where(models.RefreshToken.hash == bindparam("hash"))
)


# --- signing in ----------------------------------------------------------------------------------


async def account_of(auth: Authenticator, login: str) -> str:
    """The key under which attempts to sign in are counted for this login's account.

    The same for the account's username and address. For a login without an account, a hash of the
    login itself.
    """
    row = await _by_name(auth, login)
    if row is not None:
        return f"user:{row.id.hex}"
    wanted = login.strip()[: LONGEST_LOGIN + 1].lower().encode("utf-8", "surrogatepass")
    return f"nobody:{hashlib.sha256(wanted).hexdigest()}"


async def _by_name(auth: Authenticator, login: str) -> Any:
    """The account of a username or an email address, or None."""
    statement = _BY_EMAIL if "@" in login else _BY_USERNAME
    wanted = login.strip()
    # No account can have such a name.
    if len(wanted) > LONGEST_LOGIN or "\0" in wanted or not wanted.isascii():
        return None
    rows = await auth.database.all_rows.fetch(statement, {"login": wanted.lower()})
    return rows[0] if rows else None


async def create(
    work: Work,
    auth: Authenticator,
    *,
    login: str,
    password: str,
    device_name: str | None = None,
) -> Grant:
    """Sign in with a username or an email address.

    Raises `InvalidCredentials` for an unknown login and for a wrong password, after the same time.
    Raises `ACCOUNT_INACTIVE` only if the password is right.
    """
    device_name = rules.optional_text(device_name, ("device_name",), most=100)
    # The slow part comes before the transaction, so that it holds neither a connection nor a lock.
    row = await _by_name(auth, login)
    kept = _kept(row)
    if not await auth.passwords.verify(password, kept) or row is None or kept is None:
        raise InvalidCredentials("The login or password is wrong.", path=("login",))
    if not row.is_active:
        raise Failure(
            "This account was deactivated. Ask an administrator to activate it.",
            path=("login",),
            code=ErrorCode.ACCOUNT_INACTIVE,
        )
    fresh = await auth.passwords.hash(password) if auth.passwords.outdated(kept) else kept
    user = await still_holding(work, row.id, kept, path="login")
    user.password_hash, user.pepper_version = fresh.text, fresh.pepper_version
    return await open_session(work, auth, user, device_name)


async def open_session(
    work: Work, auth: Authenticator, user: models.User, device_name: str | None
) -> Grant:
    """Start a session for a user whose identity is proven."""
    refresh_token = auth.tokens.new_refresh()
    session = models.Session(
        id=work.new_id(),
        created_at=work.now,
        updated_at=work.now,
        version=1,
        user_id=user.id,
        device_name=device_name,
        ip=work.request.ip,
        user_agent=(work.request.user_agent or "")[:300] or None,
        last_used_at=work.now,
        expires_at=_refresh_end(work, auth),
    )
    work.session.add(session)
    # The refresh token refers to this row.
    await work.session.flush()
    _link(work, session, refresh_token)
    # The request started signed out.
    work.record(
        EventKind.SESSION_CREATED,
        session,
        audience=[user.id],
        actor_id=user.id,
        session_id=session.id,
    )
    return _grant(work, auth, user, session, refresh_token)


async def proven(
    work: Work, auth: Authenticator, password: str, path: str
) -> tuple[UUID, PasswordHash]:
    """Verify the viewer's password again; call it before the work's first SQL statement.

    `still_holding` then locks the row and checks that the password was not changed in the meantime.
    """
    user_id = work.viewer.require()
    rows = await auth.database.all_rows.fetch(_BY_ID, {"id": user_id})
    kept = _kept(rows[0] if rows else None)
    if not await auth.passwords.verify(password, kept) or kept is None:
        raise InvalidCredentials("The password is wrong.", path=(path,))
    return user_id, kept


async def still_holding(work: Work, user_id: UUID, kept: PasswordHash, *, path: str) -> models.User:
    """The user's row, locked, if the verified password is still current."""
    user = await work.session.scalar(
        select(models.User)
        .where(
            models.User.id == user_id,
            models.User.password_hash == kept.text,
            models.User.is_active,
            models.User.deleted_at.is_(None),
        )
        # Rows that refer to this user can still be written.
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if user is None:
        raise InvalidCredentials(
            "The password has just been changed; try again with the new one.", path=(path,)
        )
    return user


# --- refreshing ----------------------------------------------------------------------------------


async def refresh(work: Work, auth: Authenticator, *, refresh_token: str) -> Grant:
    """Exchange a refresh token for its successor and a new access token.

    Raises `InvalidCredentials` if the token is unknown or expired or its session has ended. If the
    token was exchanged longer than `GRACE` ago, or its successor was exchanged too, its session
    ends.
    """
    hash_ = Tokens.refresh_hash(refresh_token)
    rows = await auth.database.all_rows.fetch(_REFRESH_TOKEN, {"hash": hash_})
    if not rows:
        raise _invalid()
    found = rows[0]
    used = found.used_at is not None and found.revoked_at is None
    if used and (
        _is_reuse(found.used_at, work.now) or await _successor_was_used(auth, refresh_token)
    ):
        work.after_refusal.append(partial(_end_reused, auth, found.session_id))
        raise _invalid()
    standing = await work.session.execute(
        select(models.Session, models.User)
        .join(models.User, models.User.id == models.Session.user_id)
        .where(
            models.Session.id == found.session_id,
            models.Session.revoked_at.is_(None),
            models.Session.expires_at > work.now,
            models.User.is_active,
        )
        # Two tabs that refresh at the same time queue here; the second one finds the result of the
        # first.
        .with_for_update(of=models.Session)
        .execution_options(populate_existing=True)
    )
    token = await work.session.get(models.RefreshToken, hash_, populate_existing=True)
    row = standing.one_or_none()
    if row is None or token is None or token.expires_at <= work.now:
        raise _invalid()
    if _is_reuse(token.used_at, work.now):
        raise _invalid()  # Its grace period ended while it waited for the lock.
    session, user = row
    successor, *former = auth.tokens.successors(refresh_token)
    if token.used_at is not None:
        successor = await _given_before(work, [successor, *former])
    else:
        token.used_at = work.now
        session.last_used_at = work.now
        session.expires_at = _refresh_end(work, auth)
        _link(work, session, successor)
    return _grant(work, auth, user, session, successor)


async def _successor_was_used(auth: Authenticator, refresh_token: str) -> bool:
    """Whether the token's successor has been exchanged."""
    for successor in auth.tokens.successors(refresh_token):
        hash_ = Tokens.refresh_hash(successor)
        rows = await auth.database.all_rows.fetch(_REFRESH_TOKEN, {"hash": hash_})
        if rows and rows[0].used_at is not None:
            return True
    return False


async def _given_before(work: Work, successors: Sequence[str]) -> str:
    """The successor from the lost answer. It was made with the previous secret if the secret
    changed within these ten seconds.
    """
    hashes = {Tokens.refresh_hash(one): one for one in successors}
    token = models.RefreshToken
    kept = await work.session.scalar(
        select(token.hash).where(token.hash.in_(hashes), token.used_at.is_(None))
    )
    if kept is None:
        raise _invalid()
    return hashes[kept]


async def _end_reused(auth: Authenticator, session_id: UUID, work: Work) -> None:
    """End a session because one of its tokens was copied."""
    session = await work.session.get(models.Session, session_id, with_for_update=True)
    if session is not None:
        await _revoke(work, [session], "a refresh token was used twice")
    work.after_commit.append(partial(auth.forget_everywhere, session_id=session_id))


async def rename(
    work: Work, session_id: UUID, name: str | None, *, if_version: int | None = None
) -> models.Session:
    """Rename one of the viewer's sessions; None clears the name."""
    clean = rules.optional_text(name, ("device_name",), most=100)
    session = await work.editable(models.Session, session_id)
    values = {"device_name": clean}
    changes = work.apply(session, values, if_version=if_version, ref="session")
    if changes:
        work.record(EventKind.SESSION_UPDATED, session, changes, audience=[session.user_id])
    return session


# --- signing out ---------------------------------------------------------------------------------


async def revoke(
    work: Work, auth: Authenticator, *, session_id: UUID | None = None
) -> models.Session:
    """End the session of the request, or another one of the viewer's. Idempotent."""
    work.viewer.require()
    wanted = session_id or work.viewer.session_id
    if wanted is None:
        raise Failure(
            "This request has no session; provide the id of the session to revoke.", path=("id",)
        )
    session = await work.editable(models.Session, wanted)
    await _revoke(work, [session], "signed out")
    work.after_commit.append(partial(auth.forget_everywhere, session_id=session.id))
    return session


async def revoke_by_token(work: Work, auth: Authenticator, token: str) -> None:
    """End the session of a refresh or access token, if there is one. No sign-in is required."""
    session_id = await _session_of(work, auth, token)
    if session_id is None:
        return
    session = await work.session.get(models.Session, session_id, with_for_update=True)
    if session is not None:
        await _revoke(work, [session], "signed out")
        work.after_commit.append(partial(auth.forget_everywhere, session_id=session.id))


async def _session_of(work: Work, auth: Authenticator, token: str) -> UUID | None:
    hash_ = Tokens.refresh_hash(token)
    rows = await auth.database.all_rows.fetch(_REFRESH_TOKEN, {"hash": hash_})
    if rows:
        session_id: UUID = rows[0].session_id
        return session_id
    try:
        return auth.tokens.verify_access(token, work.now).session_id
    except Unauthenticated:
        return None


async def revoke_others(work: Work, auth: Authenticator) -> list[UUID]:
    """End all sessions of the viewer except the one of this request. Returns their ids."""
    user_id = work.viewer.require()
    return await end_sessions(work, auth, user_id, "signed out", keep=work.viewer.session_id)


async def end_sessions(
    work: Work, auth: Authenticator, user_id: UUID, reason: str, *, keep: UUID | None = None
) -> list[UUID]:
    """End a user's sessions except `keep`. Returns their ids; `reason` is shown to the user.

    Devices of sessions that ended before by themselves get nothing more, either.
    """
    sessions = await work.session.scalars(
        select(models.Session)
        .where(
            models.Session.user_id == user_id,
            models.Session.id != keep if keep is not None else models.Session.id.is_not(None),
            models.Session.revoked_at.is_(None),
            models.Session.expires_at > work.now,
        )
        .order_by(models.Session.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    ended = await _revoke(work, sessions.all(), reason)
    devices = delete(models.Device).where(models.Device.user_id == user_id)
    if keep is not None:
        devices = devices.where(models.Device.session_id.is_distinct_from(keep))
    await work.session.execute(devices)
    work.after_commit.append(partial(auth.forget_everywhere, user_id=user_id))
    return ended


async def _revoke(work: Work, sessions: Sequence[models.Session], reason: str) -> list[UUID]:
    """Revoke those that are not revoked yet. Returns their IDs."""
    valid = [session for session in sessions if session.revoked_at is None]
    ended = [session.id for session in valid]
    # Push messages show texts, too.
    await work.session.execute(delete(models.Device).where(models.Device.session_id.in_(ended)))
    for session in valid:
        work.apply(session, {"revoked_at": work.now, "revoked_reason": reason})
        work.record(
            EventKind.SESSION_REVOKED,
            session,
            [("revoked_reason", None, reason)],
            audience=[session.user_id],
        )
    return ended


# --- pruning -------------------------------------------------------------------------------------


async def prune(work: Work) -> int:
    """Delete some of the sessions that ended more than `KEPT` ago, and of the expired tokens.
    Returns how many rows.

    A session's tokens expire no later than the session, so an exchanged token is known for as long
    as a thief could use it.
    """
    over = work.now - KEPT
    ended = or_(models.Session.expires_at < over, models.Session.revoked_at < over)
    gone = await delete_some(work, models.Session, ended)
    for token in (models.RefreshToken, models.UsedStreamToken):
        gone += await delete_some(work, token, token.expires_at < work.now)
    return gone


# --- helpers -------------------------------------------------------------------------------------


def _kept(row: Any) -> PasswordHash | None:
    return None if row is None else PasswordHash(row.password_hash, row.pepper_version)


def _invalid() -> InvalidCredentials:
    return InvalidCredentials(
        "The refresh token is no longer valid; sign in again.", path=("refresh_token",)
    )


def _is_reuse(used_at: dt.datetime | None, now: dt.datetime) -> bool:
    return used_at is not None and now - used_at > GRACE


def _refresh_end(work: Work, auth: Authenticator) -> dt.datetime:
    return work.now + dt.timedelta(days=auth.settings.auth.refresh_token_days)


def _link(work: Work, session: models.Session, refresh_token: str) -> None:
    """Append a token to a session's chain."""
    work.session.add(
        models.RefreshToken(
            hash=Tokens.refresh_hash(refresh_token),
            session_id=session.id,
            created_at=work.now,
            expires_at=session.expires_at,
        )
    )


def _grant(
    work: Work,
    auth: Authenticator,
    user: models.User,
    session: models.Session,
    refresh_token: str,
) -> Grant:
    access = auth.tokens.mint_access(user.id, session.id, work.now)
    viewer = Viewer(
        user_id=user.id,
        session_id=session.id,
        is_admin=user.is_admin,
        timezone=user.timezone,
        week_start=user.week_start,
        expires_at=access.expires_at,
    )
    return Grant(viewer, access.token, refresh_token, access.expires_at)
