"""Queues a job in the transaction of the change that needs it; `jobs.queue` runs the jobs.

This module is in `db` so that `domain.work` can use it.
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
    """Queue one job; `payload` must be JSON. `Work.enqueue` explains the key and the time."""
    new = insert(Job).values(
        id=id_,
        name=name,
        payload=dict(payload),
        key=key,
        one_at_a_time=one_at_a_time,
        state=JobState.WAITING,
        created_at=now,
        # The earlier of the two clocks, so that a job that is due now does not wait for the other.
        due_at=run_at or func.least(now, func.clock_timestamp()),
        attempts=0,
    )
    if key is not None and one_at_a_time:
        # A running job runs again: it may have read its data before this transaction's change.
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
        # An update instead of DO NOTHING, to lock the waiting job: workers skip it until this
        # transaction has ended. Otherwise a worker could run the job now, without seeing what this
        # transaction wrote, and no job would be left for that.
        new = new.on_conflict_do_update(
            index_elements=[Job.key],
            index_where=_WAITS_FOR_FIRST_ATTEMPT,
            set_={"due_at": func.least(Job.due_at, new.excluded.due_at)},
        )
    await session.execute(new)
