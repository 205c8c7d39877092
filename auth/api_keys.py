"""API keys: credentials with which a program acts as its user, within its scopes.

A key is `tl_` and 256 random bits, stored as SHA-256. Its row is read from the database at most
every three seconds per key in use, so that a revocation takes effect everywhere within that time;
`forget` makes it take effect at once.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, update

from auth.scopes import ADMIN
from auth.viewer import Viewer
from cache import BoundedCache
from db import models
from db.engine import Database
from db.statements import Plan, Statement
from errors import Unauthenticated

log = logging.getLogger("taskloom.auth")

PREFIX = "tl_"
# The visible part of a key: the prefix and 8 characters. The other 35 cannot be guessed.
_SHOWN = len(PREFIX) + 8
_LONGEST = 100
_MOST_KEYS = 20_000
# The precision of `lastUsedAt`.
USED = dt.timedelta(minutes=1)

_KEY = Statement(
    select(
        models.ApiKey.id,
        models.ApiKey.user_id,
        models.ApiKey.scopes,
        models.ApiKey.project_ids,
        models.ApiKey.expires_at,
        models.ApiKey.last_used_at,
        models.ApiKey.revoked_at,
        models.User.is_active,
        models.User.is_admin,
        models.User.timezone,
        models.User.week_start,
        models.User.deleted_at,
    )
    .join(models.User, models.User.id == models.ApiKey.user_id)
    .where(models.ApiKey.hash == bindparam("hash")),
    plan=Plan.ONCE,
)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key. `text` is stored nowhere else."""

    text: str
    prefix: str
    hash: bytes


def new_key() -> NewKey:
    """Create a key of 256 random bits."""
    text = PREFIX + secrets.token_urlsafe(32)
    return NewKey(text, text[:_SHOWN], _hash(text))


def _hash(text: str) -> bytes:
    # 256 random bits need no salt and no slow hash.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def viewer_with(key: models.ApiKey | Any, user: Any) -> Viewer:
    """The viewer of a key: its user with its limits. `user` is a row of users or a viewer."""
    projects = None if key.project_ids is None else tuple(key.project_ids)
    scopes = frozenset(key.scopes)
    administrates = any(scope.startswith(f"{ADMIN}:") for scope in scopes)
    return Viewer(
        user_id=key.user_id,
        api_key_id=key.id,
        # Broad scopes do not make a program an administrator.
        is_admin=user.is_admin and projects is None and administrates,
        timezone=user.timezone,
        week_start=models.WeekDay(user.week_start),
        expires_at=key.expires_at,
        scopes=scopes,
        projects=projects,
    )


@dataclass(slots=True)
class _Known:
    viewer: Viewer
    until: dt.datetime


class ApiKeys:
    """The API keys in use in this process."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], dt.datetime],
        recheck: Callable[[], dt.timedelta],
    ) -> None:
        """`recheck`: for how long what is read now can be used."""
        self._database = database
        self._clock = clock
        self._recheck = recheck
        self._known = BoundedCache[bytes, _Known](_MOST_KEYS, dropped=self._forget_hash)
        self._hashes: dict[UUID, bytes] = {}
        # Increases with each `forget`: an answer that was requested before can predate the
        # revocation.
        self._generation = 0

    async def viewer(self, text: str) -> Viewer:
        """The viewer of a key. Raises `Unauthenticated`, with the reason, if it is invalid."""
        if len(text) > _LONGEST:
            raise Unauthenticated("This is not a Taskloom API key: it is too long.")
        return await self._viewer(_hash(text))

    async def current(self, key_id: UUID) -> Viewer:
        """The current viewer of a key by its ID. Raises `Unauthenticated`, with the reason, if the
        key is no longer valid.
        """
        hash_ = self._hashes.get(key_id)
        if hash_ is None:
            async with self._database.session() as session:
                key = await session.get(models.ApiKey, key_id)
            if key is None:
                raise Unauthenticated("This API key does not exist.")
            hash_ = key.hash
        return await self._viewer(hash_)

    def forget(self, user_id: UUID | None) -> None:
        """Drop what is cached about this user's keys."""
        self._generation += 1
        for hash_, known in self._known.items():
            if known.viewer.user_id == user_id:
                self._known.pop(hash_)
                self._forget_hash(hash_, known)

    def forget_all(self) -> None:
        """Drop what is cached."""
        self._generation += 1
        for hash_, known in self._known.items():
            self._known.pop(hash_)
            self._forget_hash(hash_, known)

    async def _viewer(self, hash_: bytes) -> Viewer:
        known = self._known.get(hash_)
        if known is not None and self._clock() < known.until:
            return known.viewer
        generation, now, kept = self._generation, self._clock(), self._recheck()
        rows = await self._database.all_rows.fetch(_KEY, {"hash": hash_})
        row = rows[0] if rows else None
        if row is None or row.deleted_at is not None:
            raise Unauthenticated("This API key does not exist.")
        if row.revoked_at is not None:
            raise Unauthenticated("The API key was revoked.")
        if row.expires_at is not None and row.expires_at <= now:
            raise Unauthenticated("The API key has expired.")
        if not row.is_active:
            raise Unauthenticated("The account was deactivated by an administrator.")
        viewer = viewer_with(row, row)
        if generation == self._generation:
            until = now + kept
            self._keep(hash_, _Known(viewer, min(until, row.expires_at or until)))
        if row.last_used_at is None or now - row.last_used_at >= USED:
            await self._mark_used(row.id, now)
        return viewer

    def _keep(self, hash_: bytes, known: _Known) -> None:
        assert known.viewer.api_key_id is not None
        self._known[hash_] = known
        self._hashes[known.viewer.api_key_id] = hash_

    def _forget_hash(self, _: bytes, known: _Known) -> None:
        if known.viewer.api_key_id is not None:
            self._hashes.pop(known.viewer.api_key_id, None)

    async def _mark_used(self, key_id: UUID, now: dt.datetime) -> None:
        """`lastUsedAt` is informative; a failure to store it must not fail the request."""
        try:
            async with self._database.session() as session, session.begin():
                key = update(models.ApiKey).where(models.ApiKey.id == key_id)
                await session.execute(key.values(last_used_at=now))
        except Exception:
            log.exception("the last use of an API key could not be stored")
