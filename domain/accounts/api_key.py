"""API keys: created and revoked by their user in a signed-in session."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from sqlalchemy import func, or_, select, union_all

from auth.api_keys import NewKey, new_key
from auth.authenticator import Authenticator
from auth.scopes import ADMIN, SCOPES
from db import models
from domain import locks, rules
from domain.accounts.by_key import reason_of_end
from domain.integrations import integration, webhook_delivery
from domain.work import Work
from errors import BadInput, ErrorCode, Failure, Forbidden, refuse
from events.kinds import EventKind

MOST_KEYS = 50
MOST_PROJECTS = 100


@dataclass(frozen=True, slots=True)
class Made:
    """A new key: its row, and the key itself, which is stored nowhere else."""

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
    """Create a key for the viewer. It can do what the viewer can, within its scopes and projects.

    Raises `NotFound` for a project that the viewer cannot see, and `LIMIT_EXCEEDED` for the 51st
    key.
    """
    demand_session(work)
    user_id = work.viewer.require()
    clean = rules.text(name, ("name",), least=1, most=100)
    checked = _scopes(work, scopes)
    expires_at = rules.moment(expires_at, ("expires_at",))
    if expires_at is not None and expires_at <= work.now:
        refuse(BadInput("expiresAt must be in the future.", path=("expires_at",)))
    if project_ids is not None:
        if not 1 <= len(project_ids) <= MOST_PROJECTS:
            refuse(
                BadInput(
                    f"projectIds must contain 1 to {MOST_PROJECTS} IDs; omit it for no "
                    "restriction.",
                    path=("project_ids",),
                )
            )
        for index, project_id in enumerate(project_ids):
            await work.readable(models.Project, project_id, path=("project_ids", index))
    await locks.lock_owner(work)
    live = await work.session.scalar(
        select(func.count()).where(
            models.ApiKey.user_id == user_id,
            models.ApiKey.revoked_at.is_(None),
            or_(models.ApiKey.expires_at.is_(None), models.ApiKey.expires_at > work.now),
        )
    )
    if (live or 0) >= MOST_KEYS:
        raise Failure(
            f"You have {MOST_KEYS} active API keys, the most allowed; revoke one first.",
            code=ErrorCode.LIMIT_EXCEEDED,
            limit=MOST_KEYS,
            actual=live,
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
    """Revoke one of the viewer's keys, and stop what it created. Idempotent."""
    demand_session(work)
    row = await work.editable(models.ApiKey, key_id)
    if row.revoked_at is None:
        work.apply(row, {"revoked_at": work.now})
        work.record(EventKind.API_KEY_REVOKED, row, audience=[row.user_id])
        await end_what_it_made(work, row)
        work.after_commit.append(partial(auth.forget_everywhere, user_id=row.user_id))
    return row


async def end_what_it_made(work: Work, key: models.ApiKey) -> None:
    """Stop the webhooks and integrations of a key that has ended, and notify their owner."""
    reason = reason_of_end(key, work.now)
    assert reason is not None, "the key has ended"
    await work.session.flush()
    webhook_ids = await work.session.scalars(
        select(models.Webhook.id).where(
            models.Webhook.api_key_id == key.id,
            models.Webhook.status == models.WebhookStatus.ACTIVE,
        )
    )
    for webhook_id in webhook_ids.all():
        await webhook_delivery.disable(work, webhook_id, reason)
    rows = await work.session.scalars(
        select(models.Integration)
        .where(
            models.Integration.api_key_id == key.id,
            models.Integration.status == models.IntegrationStatus.ACTIVE,
        )
        .with_for_update()
    )
    for row in rows.all():
        await integration.fail(work, row, reason)


async def end_expired(work: Work) -> int:
    """Stop what expired keys created. Returns the number of these keys."""
    working = union_all(
        select(models.Webhook.api_key_id).where(
            models.Webhook.status == models.WebhookStatus.ACTIVE
        ),
        select(models.Integration.api_key_id).where(
            models.Integration.status == models.IntegrationStatus.ACTIVE
        ),
    ).subquery()
    keys = await work.session.scalars(
        select(models.ApiKey).where(
            models.ApiKey.expires_at <= work.now, models.ApiKey.id.in_(select(working.c[0]))
        )
    )
    found = keys.all()
    for key in found:
        await end_what_it_made(work, key)
    return len(found)


def demand_session(work: Work) -> None:
    """Keep an API key from creating another one with more scopes."""
    if work.viewer.api_key_id is not None:
        raise Forbidden("This requires a signed-in session; API keys cannot do it.")


def _scopes(work: Work, scopes: Sequence[str]) -> list[str]:
    if not scopes:
        refuse(BadInput("scopes must contain at least one scope.", path=("scopes",)))
    for index, scope in enumerate(scopes):
        if scope not in SCOPES:
            shown = ", ".join(sorted(SCOPES))
            refuse(BadInput(f"Unknown scope; use one of {shown}.", path=("scopes", index)))
        if scope.startswith(f"{ADMIN}:") and not work.viewer.is_admin:
            refuse(Forbidden("Only administrators can grant this scope.", path=("scopes", index)))
    return sorted(set(scopes))
