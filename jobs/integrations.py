"""Run integrations: a job synchronises each one and queues its next run, and a consumer of the log
passes events on to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, select

from db.models import Integration, IntegrationStatus
from db.statements import Statement
from domain.integrations import integration as domain
from domain.integrations.integration import SEND_JOB, SYNC_JOB
from domain.work import Work
from jobs.consumer import consumer
from jobs.graph import load
from jobs.handlers import handler
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext

_SECONDS = 300.0
# A worker that is killed in the middle costs an attempt; what it synchronised is kept.
_ATTEMPTS = 500
_RUNS = "jobs.integration_runs"


async def _sync_given_up(work: Work, job: RunningJob, reason: str) -> None:
    """Its next run would have been queued by this one."""
    await load(_RUNS)
    from jobs.integration_runs import fail

    await fail(UUID(job.payload["integration"]), f"Synchronising failed: {reason}"[:500], work)


async def _send_given_up(work: Work, job: RunningJob, reason: str) -> None:
    await load(_RUNS)
    from jobs.integration_runs import note_error

    await note_error(UUID(job.payload["integration"]), reason[:500], work)


@handler(SYNC_JOB, on_given_up=_sync_given_up, attempts=_ATTEMPTS, seconds=_SECONDS)
async def sync(context: WorkerContext, job: RunningJob) -> None:
    """Synchronise what is new, and queue the next run."""
    await load(_RUNS)
    from jobs import integration_runs

    await integration_runs.sync(context, job)


@handler(SEND_JOB, on_given_up=_send_given_up)
async def send(context: WorkerContext, job: RunningJob) -> None:
    """Send to the other service what happened here."""
    await load(_RUNS)
    from jobs import integration_runs

    await integration_runs.send(context, job)


_ACTIVE = Statement(
    select(Integration.project_id).where(
        Integration.project_id == bindparam("ids", type_=ARRAY(Uuid())).any_(),
        Integration.status == IntegrationStatus.ACTIVE,
    )
)


async def _synchronised(context: WorkerContext, events: Sequence[Any]) -> Sequence[Any]:
    """The events of projects that an active integration sends from."""
    ids = list({event.project_id for event in events})
    active = {row.project_id for row in await context.database.single.fetch(_ACTIVE, {"ids": ids})}
    return [event for event in events if event.project_id in active]


@consumer("integrations", lambda event: event.project_id is not None, _synchronised)
async def listen(context: WorkerContext, work: Work, events: Sequence[Any]) -> None:
    """Queue what other services are to be sent, if the integration's owner can see it."""
    projects = {event.project_id for event in events}
    rows = await work.session.execute(
        select(
            Integration.id,
            Integration.user_id,
            Integration.project_id,
            Integration.connector,
            Integration.settings,
            Integration.since_position,
        ).where(
            Integration.project_id.in_(projects), Integration.status == IntegrationStatus.ACTIVE
        )
    )
    found = rows.all()
    if not found:
        return
    await load("jobs.connectors")
    from jobs.connectors import CONNECTORS

    wanted = [
        (row, event, key)
        for row in found
        for event in events
        if event.project_id == row.project_id
        and event.position > row.since_position
        and (key := CONNECTORS[row.connector].wants(row.settings, event)) is not None
    ]
    if not wanted:
        return
    allowed = await context.log.allowed({(event.position, row.user_id) for row, event, _ in wanted})
    for row, event, key in wanted:
        if (event.position, row.user_id) in allowed:
            await domain.enqueue_send(work, row.id, key, event_id=event.id, task_id=event.task_id)
