"""The queue: a table that workers take from with `SKIP LOCKED`, under leases.

A job is a row written in the transaction that caused it (`Work.enqueue`), so neither exists without
the other. A worker takes what is due in one statement, which moves the job's `due_at` to the end of
a lease; so no two workers take the same job. A living worker extends its leases. When it is killed,
the job is due again when the lease ends, and another worker takes it. A worker that lost its lease
can change nothing, since every statement about a running job names the worker and the attempt. All
of these times are the database's: workers' clocks differ, and a lease must mean the same to all of
them.

A job whose worker dies again and again is given up like one that fails again and again. It is then
held, with the reason, until an administrator retries it.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CursorResult,
    DateTime,
    Integer,
    Interval,
    Text,
    Uuid,
    all_,
    and_,
    any_,
    bindparam,
    case,
    cast,
    column,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Database
from db.jobs import REQUEST, TRACE
from db.models import Job, JobState
from db.statements import Statement
from domain.work import Work

# How long a failed job waits before it is retried: five seconds, then twice as long each time, up
# to three hours. Up to a quarter is added at random, so that jobs that failed together spread.
_FIRST_WAIT = dt.timedelta(seconds=5)
_LONGEST_WAIT = dt.timedelta(hours=3)

KEEP_DONE = dt.timedelta(days=1)
KEEP_FAILED = dt.timedelta(days=90)
_CHUNK_SIZE = 2_000
_REASON = 2_000

_UNFINISHED = Job.state <= JobState.RUNNING


def backoff(attempt: int, chance: float) -> dt.timedelta:
    """The wait after this failed attempt, counted from 1; `chance` is from 0 to 1."""
    doubled: int = 2 ** min(attempt - 1, 20)
    return min(_FIRST_WAIT * doubled, _LONGEST_WAIT) * (1 + chance / 4)


def database_now() -> None:
    """The database's clock."""


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job as its handler gets it. `attempt` counts from 1."""

    id: UUID
    name: str
    payload: dict[str, Any]
    attempt: int
    created_at: dt.datetime

    @property
    def request_id(self) -> str | None:
        """The ID of the request that caused the job, if one did."""
        found: str | None = self.payload.get(REQUEST)
        return found

    @property
    def trace(self) -> str | None:
        """The `traceparent` of what caused the job, if its trace is exported."""
        found: str | None = self.payload.get(TRACE)
        return found


class Queue:
    """The queue as one worker sees it. Every method is a transaction of one statement.

    `moment`: the current time, if not that of the database; tests set it.
    """

    def __init__(
        self,
        database: Database,
        worker: str,
        lease: dt.timedelta,
        moment: Callable[[], dt.datetime | None] = database_now,
    ) -> None:
        self._database = database
        self._worker = worker
        self._lease = lease
        self._moment = moment

    @property
    def seconds(self) -> float:
        """The length of a lease."""
        return self._lease.total_seconds()

    async def take(
        self, names: Collection[str], limit: int, without: Collection[UUID] = ()
    ) -> list[RunningJob]:
        """Up to `limit` jobs that are due, with these names, except those in `without`."""
        params = {
            "names": list(names),
            "without": list(without),
            "limit": limit,
            "worker": self._worker,
            "lease": self._lease,
            "now": self._moment(),
        }
        rows = await self._database.single.fetch(_TAKE, params)
        jobs = [
            RunningJob(row.id, row.name, row.payload, row.attempts, row.created_at) for row in rows
        ]
        return sorted(jobs, key=lambda job: job.id)

    async def keep(self, jobs: Collection[RunningJob]) -> set[UUID]:
        """Extend the leases of running jobs; returns the IDs of those that are still this worker's.

        A lease that has ended is revived if no other worker has taken the job: taking it changes
        what the statement looks for.
        """
        params = {
            "ids": [job.id for job in jobs],
            "attempts": [job.attempt for job in jobs],
            "worker": self._worker,
            "lease": self._lease,
            "now": self._moment(),
        }
        return {row.id for row in await self._database.single.fetch(_KEEP, params)}

    async def is_held(self, work: Work, job: RunningJob) -> bool:
        """Whether a job is still this worker's; it remains so until the transaction ends."""
        return bool(await work.fetch(_HELD, self._named(job)))

    async def done(self, job: RunningJob) -> None:
        """Mark the job as done; it runs once more if it was queued again meanwhile."""
        await self._database.single.fetch(_DONE, {**self._named(job), "now": self._moment()})

    def _named(self, job: RunningJob) -> dict[str, Any]:
        return {"id": job.id, "attempt": job.attempt, "worker": self._worker}

    async def later(self, job: RunningJob, after: dt.timedelta, reason: str) -> None:
        """Note a failure; the job waits this long for another attempt."""
        await self._set(
            job, state=JobState.WAITING, due_at=self._now() + after, reason=reason[:_REASON]
        )

    async def put_off(self, job: RunningJob, after: dt.timedelta, reason: str | None) -> None:
        """Let the job wait without counting this attempt. (The first one counts all the same: a key
        is free for other jobs once its job was taken.)
        """
        attempts = max(job.attempt - 1, 1)
        await self._set(
            job,
            state=JobState.WAITING,
            due_at=self._now() + after,
            attempts=attempts,
            reason=reason,
        )

    async def failed(self, session: AsyncSession, job: RunningJob, reason: str) -> bool:
        """Hold the job, in the transaction that handles the consequences; False if it is no longer
        this worker's.
        """
        held = (
            update(Job)
            .where(self._is(job))
            .values(state=JobState.FAILED, finished_at=self._now(), reason=reason[:_REASON])
            .returning(Job.id)
            .execution_options(synchronize_session=False)
        )
        return await session.scalar(held) is not None

    def _now(self) -> ColumnElement[dt.datetime]:
        moment = self._moment()
        return func.clock_timestamp() if moment is None else literal(moment)

    def _is(self, job: RunningJob) -> Any:
        return and_(
            Job.id == job.id,
            Job.state == JobState.RUNNING,
            Job.worker == self._worker,
            Job.attempts == job.attempt,
        )

    async def _set(self, job: RunningJob, **values: Any) -> None:
        async with self._database.session() as session, session.begin():
            await session.execute(
                update(Job)
                .where(self._is(job))
                .values(**values)
                .execution_options(synchronize_session=False)
            )


def _statements() -> tuple[Statement, ...]:
    """Take, keep, hold and end jobs. Built once: a worker does this several times a second."""

    def given(name: str, type_: Any) -> Any:
        return cast(bindparam(name, type_=type_, required=False), type_)

    # Evaluated once per statement, so that an index can be used.
    now = select(
        func.coalesce(given("now", DateTime(timezone=True)), func.clock_timestamp())
    ).scalar_subquery()
    waiting, running, done = (
        literal(state, Job.state.type)
        for state in (JobState.WAITING, JobState.RUNNING, JobState.DONE)
    )
    mine = (Job.state == running, Job.worker == given("worker", Text()))
    lease = now + given("lease", Interval())
    due = (
        select(Job.id)
        .where(
            _UNFINISHED,
            Job.due_at <= now,
            Job.name == any_(given("names", ARRAY(Text()))),
            Job.id != all_(given("without", ARRAY(Uuid()))),
        )
        .order_by(Job.due_at, Job.id)
        .limit(given("limit", Integer()))
        .with_for_update(skip_locked=True)
        # A table of its own, which is evaluated once; an IN might be evaluated again.
        .cte("due")
    )
    take = (
        update(Job)
        .where(Job.id == due.c.id)
        .values(
            state=running,
            attempts=Job.attempts + 1,
            worker=given("worker", Text()),
            started_at=now,
            due_at=lease,
            again=False,
        )
        .returning(Job.id, Job.name, Job.payload, Job.attempts, Job.created_at)
    )
    of = (
        func.unnest(given("ids", ARRAY(Uuid())), given("attempts", ARRAY(Integer())))
        .table_valued(column("id", Uuid()), column("attempt", Integer()))
        .render_derived(name="kept")
    )
    keep = (
        update(Job)
        .where(Job.id == of.c.id, Job.attempts == of.c.attempt, *mine)
        .values(due_at=lease)
        .returning(Job.id)
    )
    one = (Job.id == given("id", Uuid()), Job.attempts == given("attempt", Integer()), *mine)
    # Nothing refers to jobs, but a transaction that queues the same job waits here.
    held = select(Job.id).where(*one).with_for_update(key_share=True)
    end = (
        update(Job)
        .where(*one)
        .values(
            state=case((Job.again, waiting), else_=done),
            attempts=case((Job.again, 0), else_=Job.attempts),
            due_at=now,
            finished_at=case((Job.again, None), else_=now),
            reason=None,
        )
        .returning(Job.id)
    )
    return Statement(take), Statement(keep), Statement(held), Statement(end)


_TAKE, _KEEP, _HELD, _DONE = _statements()


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
        some = select(Job.id).where(old).limit(_CHUNK_SIZE).scalar_subquery()
        async with database.session() as session, session.begin():
            result = await session.execute(delete(Job).where(Job.id.in_(some)))
            assert isinstance(result, CursorResult)
        pruned += result.rowcount
        if result.rowcount < _CHUNK_SIZE:
            return pruned
