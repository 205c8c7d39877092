"""Queues jobs in the transaction of the change that needs them; `jobs.queue` runs the jobs.

This module is in `db` so that `domain.work` can use it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import case, func, literal, select, text
from sqlalchemy.dialects.postgresql import insert

from db.models import Job, JobState
from db.rows import given_rows
from db.statements import Statement

REQUEST = "_request"
"""The part of a payload that has the ID of the request that caused the job."""

TRACE = "_trace"
"""The part that has the `traceparent` by which the job continues its trace, if one is exported."""

_WAITS_FOR_FIRST_ATTEMPT = text("state = 1 AND attempts = 0 AND NOT one_at_a_time")
_UNFINISHED = text("state <= 2 AND one_at_a_time")


class NewJob(NamedTuple):
    """A job to queue: what its handler gets (JSON), and its key, if it has one."""

    id: UUID
    payload: Mapping[str, Any]
    key: str | None = None


def queued(
    name: str,
    jobs: Sequence[NewJob],
    *,
    now: dt.datetime,
    run_at: dt.datetime | None = None,
    one_at_a_time: bool = False,
) -> tuple[Statement, dict[str, Any]]:
    """The statement, and its parameters, that queues jobs of one handler. `Work.enqueue`
    explains the key and the time.

    Of jobs with one key the first is queued. Keys are in one order, so that two transactions that
    queue the same do not deadlock.
    """
    by_key = {job.key: job for job in reversed(jobs) if job.key is not None}
    rows = [job for job in jobs if job.key is None]
    rows += [by_key[key] for key in sorted(by_key)]
    return _statement(keyed=bool(by_key), one_at_a_time=one_at_a_time), {
        "rows": [
            {
                "id": job.id,
                "payload": job.payload,
                "key": job.key,
                "name": name,
                "created_at": now,
                "due_at": run_at,
            }
            for job in rows
        ]
    }


@lru_cache(maxsize=4)
def _statement(*, keyed: bool, one_at_a_time: bool) -> Statement:
    new = given_rows(Job, "id", "name", "payload", "key", "created_at", "due_at")
    columns: dict[str, Any] = {
        **{name: new.c[name] for name in ("id", "name", "payload", "key", "created_at")},
        # The earlier of the two clocks, so that a job that is due now does not wait for the other.
        "due_at": func.coalesce(new.c.due_at, func.least(new.c.created_at, func.clock_timestamp())),
        "one_at_a_time": literal(one_at_a_time),
        "state": literal(JobState.WAITING, Job.state.type),
        "attempts": literal(0, Job.attempts.type),
        "again": literal(False),
    }
    queue = insert(Job).from_select(list(columns), select(*columns.values()))
    if keyed and one_at_a_time:
        # A running job runs again: it may have read its data before this transaction's change.
        queue = queue.on_conflict_do_update(
            index_elements=[Job.key],
            index_where=_UNFINISHED,
            set_={
                "due_at": case(
                    (Job.state == JobState.RUNNING, Job.due_at),
                    else_=func.least(Job.due_at, queue.excluded.due_at),
                ),
                "again": Job.state == JobState.RUNNING,
            },
        )
    elif keyed:
        # An update instead of DO NOTHING, to lock the waiting job: workers skip it until this
        # transaction has ended. Otherwise a worker could run the job now, without seeing what this
        # transaction wrote, and no job would be left for that.
        queue = queue.on_conflict_do_update(
            index_elements=[Job.key],
            index_where=_WAITS_FOR_FIRST_ATTEMPT,
            set_={"due_at": func.least(Job.due_at, queue.excluded.due_at)},
        )
    return Statement(queue.returning(Job.id))
