"""Signing in, staying signed in, signing out.

A session is one login on one device. Its refresh tokens form a chain: each is exchanged once for
its successor. Whoever presents one that was exchanged more than ten seconds ago holds a copy, or
the other one does; nobody can tell, so the session ends. Within ten seconds it is a lost answer
or a second tab, and gets the same successor again, unless that one was exchanged as well: then the
answer was not lost.

Functions here take the process's `Authenticator` beside the work: it has the passwords, the tokens
and the cache that must forget what was revoked.
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
from db.read import Statement
from domain import rules
from domain.work import Work
from errors import ErrorCode, Failure, Unauthenticated
from events.kinds import EventKind

# How long an answer may be lost and its question asked again.
GRACE = dt.timedelta(seconds=10)
# How long an ended session is shown to its owner.
KEPT = dt.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a login or a refresh gives. The tokens exist nowhere else.

    `viewer` is who may go on with them; `expires_at` is when the access token ends.
    """

    viewer: Viewer
    access_token: str
    refresh_token: str
    expires_at: dt.datetime


class InvalidCredentials(Failure):
    """The login, the password or the refresh token is wrong; never said which."""

    code = ErrorCode.INVALID_CREDENTIALS


# Characters of an e-mail address; usernames are shorter.
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
    """What stands for the account of this login in counts of attempts.

    The same for all of its names; for a login of nobody's, the login itself.
    """
    row = await _by_name(auth, login)
    if row is not None:
        return f"user:{row.id.hex}"
    wanted = login.strip()[: LONGEST_LOGIN + 1].lower().encode("utf-8", "surrogatepass")
    return f"nobody:{hashlib.sha256(wanted).hexdigest()}"


async def _by_name(auth: Authenticator, login: str) -> Any:
    """The account of a username or e-mail address, or None."""
    statement = _BY_EMAIL if "@" in login else _BY_USERNAME
    wanted = login.strip()
    # What no account's name can be.
    if len(wanted) > LONGEST_LOGIN or "\0" in wanted or not wanted.isascii():
        return None
    rows = await auth.database.reader.fetch(statement, {"login": wanted.lower()})
    return rows[0] if rows else None


async def create(
    work: Work,
    auth: Authenticator,
    *,
    login: str,
    password: str,
    device_name: str | None = None,
) -> Grant:
    """Sign in with a username or an e-mail address.

    Raises `InvalidCredentials`, after the same time, for an unknown login and a wrong password;
    `ACCOUNT_INACTIVE` only to who knows the password.
    """
    device_name = rules.optional_text(device_name, ("device_name",), most=100)
    # The slow part comes before the transaction, so that it holds neither a connection nor a lock.
    row = await _by_name(auth, login)
    kept = _kept(row)
    if not await auth.passwords.verify(password, kept) or row is None or kept is None:
        raise InvalidCredentials("The login or the password is wrong.", path=("login",))
    if not row.is_active:
        raise Failure(
            "This account was deactivated by an administrator.",
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
    """Begin a session of a user whose identity is proven."""
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
    # The row that the next one refers to.
    await work.session.flush()
    _link(work, session, refresh_token)
    event = work.record(EventKind.SESSION_CREATED, session, audience=[user.id])
    # The request was nobody's yet.
    event.actor_id, event.session_id = user.id, session.id
    return _grant(work, auth, user, session, refresh_token)


async def proven(
    work: Work, auth: Authenticator, password: str, path: str
) -> tuple[UUID, PasswordHash]:
    """The viewer, after they gave their password again; to be called before the work's first SQL.

    `still_holding` then locks the row and makes sure that the password was not changed meanwhile.
    """
    user_id = work.viewer.require()
    rows = await auth.database.reader.fetch(_BY_ID, {"id": user_id})
    kept = _kept(rows[0] if rows else None)
    if not await auth.passwords.verify(password, kept) or kept is None:
        raise InvalidCredentials("The password is wrong.", path=(path,))
    return user_id, kept


async def still_holding(work: Work, user_id: UUID, kept: PasswordHash, *, path: str) -> models.User:
    """The user's row, locked, if the password that was verified is still theirs."""
    user = await work.session.scalar(
        select(models.User)
        .where(
            models.User.id == user_id,
            models.User.password_hash == kept.text,
            models.User.is_active,
            models.User.deleted_at.is_(None),
        )
        # Rows that refer to this user may go on being written.
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if user is None:
        raise InvalidCredentials("The password was changed a moment ago.", path=(path,))
    return user


# --- staying signed in ---------------------------------------------------------------------------


async def refresh(work: Work, auth: Authenticator, *, refresh_token: str) -> Grant:
    """Exchange a refresh token for its successor and a new access token.

    Raises `InvalidCredentials` for a token that is unknown, expired or of an ended session. Where
    the token was exchanged before, longer ago than `GRACE` or together with its successor, its
    session ends as well.
    """
    hash_ = Tokens.refresh_hash(refresh_token)
    rows = await auth.database.reader.fetch(_REFRESH_TOKEN, {"hash": hash_})
    if not rows:
        raise _invalid()
    found = rows[0]
    used = found.used_at is not None and found.revoked_at is None
    if used and (
        _is_reuse(found.used_at, work.now) or await _successor_was_used(auth, refresh_token)
    ):
        await _end_reused(work, auth, found.session_id)
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
        # Two tabs that refresh at once take turns here, and the second finds what the first did.
        .with_for_update(of=models.Session)
        .execution_options(populate_existing=True)
    )
    token = await work.session.get(models.RefreshToken, hash_, populate_existing=True)
    row = standing.one_or_none()
    if row is None or token is None or token.expires_at <= work.now:
        raise _invalid()
    if _is_reuse(token.used_at, work.now):
        raise _invalid()  # Its time ran out while it waited for the lock.
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
    """Whether somebody has gone on with what this token was exchanged for."""
    for successor in auth.tokens.successors(refresh_token):
        hash_ = Tokens.refresh_hash(successor)
        rows = await auth.database.reader.fetch(_REFRESH_TOKEN, {"hash": hash_})
        if rows and rows[0].used_at is not None:
            return True
    return False


async def _given_before(work: Work, successors: Sequence[str]) -> str:
    """The successor that a lost answer held: made with a former secret where that has changed in
    these ten seconds.
    """
    hashes = {Tokens.refresh_hash(one): one for one in successors}
    token = models.RefreshToken
    kept = await work.session.scalar(
        select(token.hash).where(token.hash.in_(hashes), token.used_at.is_(None))
    )
    if kept is None:
        raise _invalid()
    return hashes[kept]


async def _end_reused(work: Work, auth: Authenticator, session_id: UUID) -> None:
    """End a session one of whose tokens was copied.

    In a transaction of its own, since the one of the refused refresh is rolled back.
    """

    async def end(own: Work) -> None:
        session = await own.session.get(models.Session, session_id, with_for_update=True)
        if session is not None:
            _revoke(own, session, "a refresh token was used twice")
        own.after_commit.append(partial(auth.forget_everywhere, session_id=session_id))

    await work.separately(end)


async def rename(
    work: Work, session_id: UUID, name: str | None, *, if_version: int | None = None
) -> models.Session:
    """Call one of the viewer's sessions something else, or nothing."""
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
    """End the session of the request, or another one of the viewer's. Safe to repeat."""
    work.viewer.require()
    wanted = session_id or work.viewer.session_id
    if wanted is None:
        raise Failure("Say which session; this request has none of its own.", path=("id",))
    session = await work.editable(models.Session, wanted)
    _revoke(work, session, "signed out")
    work.after_commit.append(partial(auth.forget_everywhere, session_id=session.id))
    return session


async def revoke_by_token(work: Work, auth: Authenticator, token: str) -> None:
    """End the session that a refresh or an access token belongs to, whoever asks; nothing where
    it belongs to none.
    """
    session_id = await _session_of(work, auth, token)
    if session_id is None:
        return
    session = await work.session.get(models.Session, session_id, with_for_update=True)
    if session is not None:
        _revoke(work, session, "signed out")
        work.after_commit.append(partial(auth.forget_everywhere, session_id=session.id))


async def _session_of(work: Work, auth: Authenticator, token: str) -> UUID | None:
    hash_ = Tokens.refresh_hash(token)
    rows = await auth.database.reader.fetch(_REFRESH_TOKEN, {"hash": hash_})
    if rows:
        session_id: UUID = rows[0].session_id
        return session_id
    try:
        return auth.tokens.verify_access(token, work.now).session_id
    except Unauthenticated:
        return None


async def revoke_others(work: Work, auth: Authenticator) -> int:
    """End all sessions of the viewer but the one of this request; how many there were."""
    user_id = work.viewer.require()
    return await end_sessions(work, auth, user_id, "signed out", keep=work.viewer.session_id)


async def end_sessions(
    work: Work, auth: Authenticator, user_id: UUID, reason: str, *, keep: UUID | None = None
) -> int:
    """End a user's sessions, for this reason, save the one to keep; how many were ended."""
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
    ended = 0
    for session in sessions:
        _revoke(work, session, reason)
        ended += 1
    work.after_commit.append(partial(auth.forget_everywhere, user_id=user_id))
    return ended


def _revoke(work: Work, session: models.Session, reason: str) -> None:
    if session.revoked_at is not None:
        return
    work.apply(session, {"revoked_at": work.now, "revoked_reason": reason})
    work.record(
        EventKind.SESSION_REVOKED,
        session,
        [("revoked_reason", None, reason)],
        audience=[session.user_id],
    )


# --- forgetting ----------------------------------------------------------------------------------


async def prune(work: Work) -> int:
    """Delete sessions that ended more than `KEPT` ago, and tokens that have expired; how many
    sessions.

    A session's tokens live no longer than it does, so an exchanged one is known for as long as a
    thief could use it.
    """
    done = await work.session.execute(
        delete(models.Session).where(
            or_(
                models.Session.expires_at < work.now - KEPT,
                models.Session.revoked_at < work.now - KEPT,
            )
        )
    )
    for token in (models.RefreshToken, models.UsedStreamToken):
        await work.session.execute(delete(token).where(token.expires_at < work.now))
    return int(done.rowcount)  # type: ignore[attr-defined]


# --- parts ---------------------------------------------------------------------------------------


def _kept(row: Any) -> PasswordHash | None:
    return None if row is None else PasswordHash(row.password_hash, row.pepper_version)


def _invalid() -> InvalidCredentials:
    return InvalidCredentials(
        "The refresh token is not valid any more; sign in again.", path=("refresh_token",)
    )


def _is_reuse(used_at: dt.datetime | None, now: dt.datetime) -> bool:
    return used_at is not None and now - used_at > GRACE


def _refresh_end(work: Work, auth: Authenticator) -> dt.datetime:
    return work.now + dt.timedelta(days=auth.settings.auth.refresh_token_days)


def _link(work: Work, session: models.Session, refresh_token: str) -> None:
    """Add a token to the end of a session's chain."""
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
