"""What administrators do about jobs that were given up."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from db.models import Job, JobState
from domain.work import Work
from errors import BadInput, Forbidden, NotFound


async def retry(work: Work, job_id: UUID) -> Job:
    """Run a held job again, with as many attempts as a new one (but the first, which its key
    counted for). For administrators.
    """
    work.viewer.require()
    if not work.viewer.is_admin:
        raise Forbidden("Only administrators may run jobs again.")
    job: Job | None = await work.session.scalar(
        select(Job).where(Job.id == job_id).with_for_update()
    )
    if job is None:
        raise NotFound("job", path=("id",))
    if job.state is not JobState.FAILED:
        raise BadInput(
            f"Only a failed job can be run again; this one is {job.state.name}.", path=("id",)
        )
    job.state = JobState.WAITING
    job.due_at = work.now
    job.attempts = 1
    job.finished_at = None
    await work.session.flush()
    return job
