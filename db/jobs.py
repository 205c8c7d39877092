"""Queueing work in the transaction of what it follows from; `jobs.queue` is the other end.

It stands down here, so that `domain.work` can offer it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Job, JobState

_WAITS_FOR_FIRST_ATTEMPT = text("state = 1 AND attempts = 0 AND NOT one_at_a_time")
_UNFINISHED = text("state <= 2 AND one_at_a_time")


async def enqueue(
    session: AsyncSession,
    id_: UUID,
    name: str,
    payload: Mapping[str, Any],
    *,
    now: dt.datetime,
    key: str | None = None,
    run_at: dt.datetime | None = None,
    one_at_a_time: bool = False,
) -> None:
    """Queue one job; `payload` must be JSON. See `Work.enqueue` for what key and time mean."""
    new = insert(Job).values(
        id=id_,
        name=name,
        payload=dict(payload),
        key=key,
        one_at_a_time=one_at_a_time,
        state=JobState.WAITING,
        created_at=now,
        # Of the two clocks the one that is behind: what is due at once must not wait for the other.
        due_at=run_at or func.least(now, func.clock_timestamp()),
        attempts=0,
    )
    if key is not None and one_at_a_time:
        # One that runs is run again, since it may have read what this transaction changes.
        new = new.on_conflict_do_update(
            index_elements=[Job.key],
            index_where=_UNFINISHED,
            set_={
                "due_at": case(
                    (Job.state == JobState.RUNNING, Job.due_at),
                    else_=func.least(Job.due_at, new.excluded.due_at),
                ),
                "again": Job.state == JobState.RUNNING,
            },
        )
    elif key is not None:
        # An update and not "do nothing": it locks the waiting job, which workers pass over until
        # this transaction has ended. Otherwise one might run it now, before it can see what this
        # transaction wrote, and nobody would look again.
        new = new.on_conflict_do_update(
            index_elements=[Job.key],
            index_where=_WAITS_FOR_FIRST_ATTEMPT,
            set_={"due_at": func.least(Job.due_at, new.excluded.due_at)},
        )
    await session.execute(new)
