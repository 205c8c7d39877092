"""Remove what a deleted account leaves behind, as far as its deletion has not."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from auth.viewer import Viewer
from domain.accounts import erasure
from jobs.handlers import handler, nothing_to_end
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext

# A worker that is killed in the middle costs an attempt; what it removed is gone.
_ATTEMPTS = 500
_SECONDS = 1_800.0


@handler(erasure.JOB, on_given_up=nothing_to_end, attempts=_ATTEMPTS, seconds=_SECONDS)
async def erase(context: WorkerContext, job: RunningJob) -> None:
    """Take all steps, each in a transaction of its own."""
    viewer = Viewer(user_id=UUID(job.payload["user"]))
    user_id = viewer.require()
    while await context.do(job.name, partial(erasure.step, user_id=user_id), viewer):
        pass
    place: erasure.Place | None = None
    while True:
        clear = partial(erasure.clear_events, user_id=user_id, before=place)
        place = await context.do(job.name, clear, viewer)
        if place is None:
            return
