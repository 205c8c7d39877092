"""Shares that expire: their recipients are notified at that time."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from domain.tasks import share
from jobs.handlers import handler, nothing_to_end
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext


@handler(share.END_JOB, on_given_up=nothing_to_end)
async def end(context: WorkerContext, job: RunningJob) -> None:
    """Record what the recipient can no longer see."""
    await context.do(job.name, partial(share.end, share_id=UUID(job.payload["share_id"])))
