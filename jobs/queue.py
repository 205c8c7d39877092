"""The queue: a table, taken from with `SKIP LOCKED`, by leases.

A job is a row that was written in the transaction of what it follows from (`Work.enqueue`), so
neither can exist without the other. A worker takes what is due, in one statement, and so that no
two workers take the same: the job's `due_at` moves to the end of a lease. While the worker lives
it moves it on; when it is killed, the job is due again when the lease ends, and another one takes
it. Whoever lost its lease can change nothing any more, since every statement about a running job
names the worker and the attempt.

A job of which a worker dies again and again is given up like one that fails again and again. What
is given up is held, with the reason, until an administrator retries it.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Collection
from typing import Any

from sqlalchemy import CursorResult, and_, delete, or_, select, update

from db.engine import Database
from db.models import Job, JobState
from jobs.handlers import RunningJob

# How long a failed job waits before it is tried again: five seconds, then twice as long each time,
# up to three hours. Up to a quarter is added by chance, so that what failed together spreads.
_FIRST_WAIT = dt.timedelta(seconds=5)
_LONGEST_WAIT = dt.timedelta(hours=3)

KEEP_DONE = dt.timedelta(days=1)
KEEP_FAILED = dt.timedelta(days=90)
_PORTION = 2_000
_REASON = 2_000

_UNFINISHED = Job.state <= JobState.RUNNING


def backoff(attempt: int, chance: float) -> dt.timedelta:
    """The wait after this failed attempt, counted from 1; `chance` is from 0 to 1."""
    doubled: int = 2 ** min(attempt - 1, 20)
    return min(_FIRST_WAIT * doubled, _LONGEST_WAIT) * (1 + chance / 4)


class Queue:
    """The queue as one worker sees it. Every method is a transaction of one statement."""

    def __init__(self, database: Database, worker: str, lease: dt.timedelta) -> None:
        self._database = database
        self._worker = worker
        self._lease = lease

    async def take(self, names: Collection[str], limit: int, now: dt.datetime) -> list[RunningJob]:
        """Up to `limit` jobs that are due, and that this worker has handlers for."""
        due = (
            select(Job.id)
            .where(_UNFINISHED, Job.due_at <= now, Job.name.in_(names))
            .order_by(Job.due_at, Job.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
            # A table of its own, which is looked through once; an IN might be evaluated again.
            .cte("due")
        )
        taken = (
            update(Job)
            .where(Job.id == due.c.id)
            .values(
                state=JobState.RUNNING,
                attempts=Job.attempts + 1,
                worker=self._worker,
                started_at=now,
                due_at=now + self._lease,
            )
            .returning(Job.id, Job.name, Job.payload, Job.attempts, Job.created_at)
        )
        async with self._database.session() as session, session.begin():
            rows = (await session.execute(taken)).all()
        return [RunningJob(*row) for row in sorted(rows, key=lambda row: row.id)]

    async def keep(self, jobs: Collection[RunningJob], now: dt.datetime) -> set[Any]:
        """Move the leases of running jobs on; the ids of those that are still this worker's."""
        held = (
            update(Job)
            .where(or_(*(self._is(job) for job in jobs)))
            .values(due_at=now + self._lease)
            .returning(Job.id)
        )
        async with self._database.session() as session, session.begin():
            return set(await session.scalars(held))

    async def done(self, job: RunningJob, now: dt.datetime) -> None:
        """The job was done."""
        await self._set(job, state=JobState.DONE, finished_at=now, reason=None)

    async def later(self, job: RunningJob, at: dt.datetime, reason: str) -> None:
        """The job failed and waits until then, for another attempt."""
        await self._set(job, state=JobState.WAITING, due_at=at, reason=reason[:_REASON])

    async def put_off(self, job: RunningJob, at: dt.datetime, reason: str | None) -> None:
        """The job waits until then, and this attempt was none. (The first one counts all the same:
        a key is free for other jobs once its job was taken.)
        """
        attempts = max(job.attempt - 1, 1)
        await self._set(job, state=JobState.WAITING, due_at=at, attempts=attempts, reason=reason)

    async def failed(self, job: RunningJob, now: dt.datetime, reason: str) -> None:
        """The job is held."""
        await self._set(job, state=JobState.FAILED, finished_at=now, reason=reason[:_REASON])

    def _is(self, job: RunningJob) -> Any:
        return and_(
            Job.id == job.id,
            Job.state == JobState.RUNNING,
            Job.worker == self._worker,
            Job.attempts == job.attempt,
        )

    async def _set(self, job: RunningJob, **values: Any) -> None:
        async with self._database.session() as session, session.begin():
            await session.execute(update(Job).where(self._is(job)).values(**values))


def wait_after(job: RunningJob) -> dt.timedelta:
    """How long to wait after a failure of this job."""
    return backoff(job.attempt, random.random())  # noqa: S311 - spreads load, hides nothing


async def prune(database: Database, now: dt.datetime) -> int:
    """Delete jobs that were done a day ago, or failed 90 days ago; returns how many."""
    old = or_(
        and_(Job.state == JobState.DONE, Job.finished_at < now - KEEP_DONE),
        and_(Job.state == JobState.FAILED, Job.finished_at < now - KEEP_FAILED),
    )
    pruned = 0
    while True:
        some = select(Job.id).where(old).limit(_PORTION).scalar_subquery()
        async with database.session() as session, session.begin():
            result = await session.execute(delete(Job).where(Job.id.in_(some)))
            assert isinstance(result, CursorResult)
        pruned += result.rowcount
        if result.rowcount < _PORTION:
            return pruned
