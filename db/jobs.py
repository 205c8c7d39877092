"""Queueing work in the transaction of what it follows from; `jobs.queue` is the other end.

It stands down here, so that `domain.work` can offer it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Job, JobState

_WAITS_FOR_FIRST_ATTEMPT = text("state = 1 AND attempts = 0")


async def enqueue(
    session: AsyncSession,
    id_: UUID,
    name: str,
    payload: Mapping[str, Any],
    *,
    now: dt.datetime,
    key: str | None = None,
    run_at: dt.datetime | None = None,
) -> None:
    """Queue one job; `payload` must be JSON. See `Work.enqueue` for what key and time mean."""
    new = insert(Job).values(
        id=id_,
        name=name,
        payload=dict(payload),
        key=key,
        state=JobState.WAITING,
        created_at=now,
        due_at=run_at or now,
        attempts=0,
    )
    if key is not None:
        # An update and not "do nothing": it locks the waiting job, which workers pass over until
        # this transaction has ended. Otherwise one might run it now, before it can see what this
        # transaction wrote, and nobody would look again.
        new = new.on_conflict_do_update(
            index_elements=[Job.key],
            index_where=_WAITS_FOR_FIRST_ATTEMPT,
            set_={"due_at": func.least(Job.due_at, new.excluded.due_at)},
        )
    await session.execute(new)
