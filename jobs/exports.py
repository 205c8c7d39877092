"""Run the jobs that write exports; `jobs.export_files` writes them."""

from __future__ import annotations

from uuid import UUID

from domain.time import export as domain
from domain.work import Work
from jobs.graph import load
from jobs.handlers import handler
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext


async def _given_up(work: Work, job: RunningJob, reason: str) -> None:
    # Only the exception's class: its message may name files of the server.
    name = reason.partition(":")[0]
    what = name if name.isidentifier() else reason
    await domain.fail(work, UUID(job.payload["export_id"]), f"It could not be made: {what}")


@handler(domain.JOB, on_given_up=_given_up, attempts=5, seconds=1_800)
async def export(context: WorkerContext, job: RunningJob) -> None:
    """Write the file of one export."""
    await load("jobs.export_files")
    from jobs.export_files import write_export

    # Exports take long; some slots are left for everything else.
    async with context.outside("export", "files", "files", timed=False):
        await write_export(context, job)
