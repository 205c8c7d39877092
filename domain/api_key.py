"""API keys: made and revoked by their user, who has to be signed in for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from sqlalchemy import func, select

from auth.api_keys import NewKey, new_key
from auth.authenticator import Authenticator
from auth.scopes import ADMIN, SCOPES
from db import models
from domain import locks, rules
from domain.work import Work
from errors import BadInput, ErrorCode, Failure, Forbidden
from events.kinds import EventKind

MOST_KEYS = 50
MOST_PROJECTS = 100


@dataclass(frozen=True, slots=True)
class Made:
    """A new key: its row, and the key itself, which exists nowhere else."""

    row: models.ApiKey
    key: NewKey


async def create(
    work: Work,
    *,
    name: str,
    scopes: Sequence[str],
    project_ids: Sequence[UUID] | None = None,
    expires_at: dt.datetime | None = None,
) -> Made:
    """Make a key of the viewer's. It can do what they can, within its scopes and projects.

    Raises `NotFound` for a project that the viewer does not see, and `LIMIT_EXCEEDED` for the
    51st key.
    """
    user_id = work.viewer.require()
    demand_session(work)
    clean = rules.text(name, ("name",), least=1, most=100)
    checked = _scopes(work, scopes)
    if expires_at is not None and expires_at <= work.now:
        raise BadInput("This is in the past.", path=("expires_at",))
    if project_ids is not None:
        if not 1 <= len(project_ids) <= MOST_PROJECTS:
            raise BadInput(
                f"Name 1 to {MOST_PROJECTS} projects, or leave this out.", path=("project_ids",)
            )
        for index, project_id in enumerate(project_ids):
            await work.readable(models.Project, project_id, path=("project_ids", index))
    await locks.lock_owner(work)
    live = await work.session.scalar(
        select(func.count()).where(
            models.ApiKey.user_id == user_id, models.ApiKey.revoked_at.is_(None)
        )
    )
    if (live or 0) >= MOST_KEYS:
        raise Failure(
            f"You have {MOST_KEYS} keys; revoke one first.", code=ErrorCode.LIMIT_EXCEEDED
        )
    key = new_key()
    row = models.ApiKey(
        id=work.new_id(),
        created_at=work.now,
        updated_at=work.now,
        version=1,
        user_id=user_id,
        name=clean,
        prefix=key.prefix,
        hash=key.hash,
        scopes=checked,
        project_ids=None if project_ids is None else list(dict.fromkeys(project_ids)),
        expires_at=expires_at,
    )
    work.session.add(row)
    changes = [("name", None, clean), ("scopes", None, checked)]
    work.record(EventKind.API_KEY_CREATED, row, changes, audience=[user_id])
    return Made(row, key)


async def revoke(work: Work, auth: Authenticator, key_id: UUID) -> models.ApiKey:
    """Make a key of the viewer's worthless. Safe to repeat."""
    demand_session(work)
    row = await work.editable(models.ApiKey, key_id)
    if row.revoked_at is None:
        work.apply(row, {"revoked_at": work.now})
        work.record(EventKind.API_KEY_REVOKED, row, audience=[row.user_id])
        work.after_commit.append(partial(auth.forget_everywhere, user_id=row.user_id))
    return row


def demand_session(work: Work) -> None:
    """A key must not be able to make another one that can do more."""
    if work.viewer.api_key_id is not None:
        raise Forbidden("This is done with a session, and not with an API key.")


def _scopes(work: Work, scopes: Sequence[str]) -> list[str]:
    if not scopes:
        raise BadInput("Name at least one scope.", path=("scopes",))
    for index, scope in enumerate(scopes):
        if scope not in SCOPES:
            shown = ", ".join(sorted(SCOPES))
            raise BadInput(f"There is no such scope; there are {shown}.", path=("scopes", index))
        if scope.startswith(f"{ADMIN}:") and not work.viewer.is_admin:
            raise Forbidden("Only administrators may give this scope.", path=("scopes", index))
    return sorted(set(scopes))
