"""The job queue for administrators and operators, and retrying failed jobs."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, bindparam, func, select

from db.models import Job, JobState, Worker
from db.read import Fetching
from db.statements import Statement
from domain.work import Work
from errors import BadInput, Forbidden, NotFound

# A worker reports every ten seconds.
WORKER_LIVES = dt.timedelta(minutes=1)


class QueueState(NamedTuple):
    """Statistics of the queue. Done jobs are kept for a day, failed ones for 90 days.

    `oldest_due`: when the most overdue job was due, whether it never ran or its worker died.
    `workers`: how many reported within the last minute.
    """

    waiting: int
    running: int
    done: int
    failed: int
    oldest_due: dt.datetime | None
    workers: int


def _jobs(state: JobState) -> ColumnElement[int]:
    return select(func.count()).where(Job.state == state).scalar_subquery()


_NOW: ColumnElement[Any] = bindparam("now", type_=DateTime(timezone=True))
_OLDEST = select(func.min(Job.due_at)).where(Job.state <= JobState.RUNNING, Job.due_at <= _NOW)
_WORKERS = select(func.count().label("workers")).where(Worker.seen_at > _NOW - WORKER_LIVES)
_STATE = Statement(
    select(
        _jobs(JobState.WAITING).label("waiting"),
        _jobs(JobState.RUNNING).label("running"),
        _jobs(JobState.DONE).label("done"),
        _jobs(JobState.FAILED).label("failed"),
        _OLDEST.scalar_subquery().label("oldest_due"),
        _WORKERS.scalar_subquery().label("workers"),
    )
)
_WORKERS_ALIVE = Statement(_WORKERS)
_CIRCUITS = Statement(select(Worker.circuits).where(Worker.seen_at > _NOW - WORKER_LIVES))


async def queue_state(reader: Fetching, now: dt.datetime) -> QueueState:
    """The statistics of the queue, in one statement."""
    (row,) = await reader.fetch(_STATE, {"now": now})
    return QueueState(*row)


async def open_circuits(reader: Fetching, now: dt.datetime) -> Counter[str]:
    """The number of unresponsive destinations that are paused, by kind, added up over all
    workers.
    """
    rows = await reader.fetch(_CIRCUITS, {"now": now})
    return sum((Counter(row.circuits) for row in rows), Counter())


async def workers_alive(reader: Fetching, now: dt.datetime) -> int:
    """The number of workers that reported within the last minute."""
    (row,) = await reader.fetch(_WORKERS_ALIVE, {"now": now})
    workers: int = row.workers
    return workers


async def retry(work: Work, job_id: UUID) -> Job:
    """Run a failed job again, as an administrator.

    Its attempts start at 1, one less than for a new job: at 0 it would claim its key again.
    """
    work.viewer.require()
    if not work.viewer.is_admin:
        raise Forbidden("Only administrators can retry jobs.")
    job: Job | None = await work.session.scalar(
        select(Job).where(Job.id == job_id).with_for_update()
    )
    if job is None:
        raise NotFound("job", path=("id",))
    if job.state is not JobState.FAILED:
        raise BadInput(
            f"Only a failed job can be retried; this one is {job.state.name}.", path=("id",)
        )
    if job.one_at_a_time:
        other = select(Job.id).where(
            Job.key == job.key, Job.one_at_a_time, Job.state <= JobState.RUNNING
        )
        if await work.session.scalar(other.limit(1)) is not None:
            raise BadInput("The same job has been queued again in the meantime.", path=("id",))
    job.state = JobState.WAITING
    job.due_at = work.now
    job.attempts = 1
    job.finished_at = None
    await work.session.flush()
    work.enqueued = True
    return job
