"""What the jobs of integrations do (`jobs.integrations`).

The next run is queued in the transaction that records the end of this one. Runs have a key, so a
run that is requested in between only comes earlier; there is never a second one. Each chunk is a
step of its own that begins by reading the current state, so a pause, disconnection or interruption
takes effect at the next step.
"""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace
from functools import partial
from uuid import UUID

from sqlalchemy import select

from auth.encryption import Encryption, Unreadable
from db.models import ApiKey, Integration, IntegrationStatus, User
from domain.accounts.by_key import reason_of_end
from domain.integrations import integration as domain
from domain.integrations.integration import SEND_JOB, SYNC_JOB
from domain.work import Work
from errors import Failure, Forbidden
from graph.request.scopes import demand
from jobs.connectors import CONNECTORS
from jobs.connectors.base import Connection, Denied, Gone, Rejected, Trouble, Wait
from jobs.graph import viewer_of
from jobs.outcomes import GiveUp, Later
from jobs.outgoing import Outgoing
from jobs.queue import RunningJob
from jobs.worker_context import Request, WorkerContext

# After this time a run makes room for other jobs and continues behind them.
_TURN_SECONDS = 60.0

_NO_OWNER = "The account of its owner is not active."


async def sync(context: WorkerContext, job: RunningJob) -> None:
    """Synchronise what is new, and queue the next run."""
    id_ = UUID(job.payload["integration"])
    async with context.outside("integration", id_.hex, "sync", timed=False) as request:
        await _sync(context, id_, request)


async def _sync(context: WorkerContext, id_: UUID, request: Request) -> None:
    begun = time.monotonic()
    wait, error, complete = dt.timedelta(), None, False
    try:
        while not complete and time.monotonic() - begun < _TURN_SECONDS:
            connection = await _open(context, id_)
            if connection is None:
                # If the reason is the owner's account, it is checked again later.
                error = _NO_OWNER
                break
            connector = CONNECTORS[connection.kind]
            complete = not await connector.sync(connection)
    except Gone:
        return
    except Wait as asked:
        wait, error = asked.after, str(asked)
    except (Denied, Failure) as denied:
        await context.do(SYNC_JOB, partial(fail, id_, _reason(denied)))
        return
    except Trouble as trouble:
        error = str(trouble)
        request.late = True
    await context.do(SYNC_JOB, partial(_finish, id_, wait, error, complete))


async def send(context: WorkerContext, job: RunningJob) -> None:
    """Send to the other service what happened here."""
    id_ = UUID(job.payload["integration"])
    event_id, task_id = (
        None if job.payload[name] is None else UUID(job.payload[name]) for name in ("event", "task")
    )
    try:
        connection = await _open(context, id_)
        if connection is None:
            return
        connector = CONNECTORS[connection.kind]
        async with context.outside("integration", id_.hex, connection.kind.name.lower()):
            await connector.send(connection, event_id, task_id)
    except Gone:
        return
    except Wait as asked:
        await context.do(SEND_JOB, partial(_note_wait, id_, asked))
        raise Later(asked.after, str(asked)) from None
    except Rejected as rejected:
        await context.do(SEND_JOB, partial(note_error, id_, str(rejected)))
        raise GiveUp(str(rejected)) from None
    except (Denied, Forbidden) as denied:
        await context.do(SEND_JOB, partial(fail, id_, _reason(denied)))
        return
    except Trouble as trouble:
        await context.do(SEND_JOB, partial(note_error, id_, str(trouble)))
        raise
    if connector.every is None:
        await context.do(SEND_JOB, partial(_finish, id_, dt.timedelta(), None, True))


async def _open(context: WorkerContext, id_: UUID) -> Connection | None:
    """The integration as it is now, with the rights of its owner or of the key that made it; None
    if it is not active. Raises `Denied`, and `Forbidden` if the key's scopes do not suffice.
    """
    async with context.database.session() as session:
        found = (
            await session.execute(
                select(Integration, User, ApiKey)
                .join(User, User.id == Integration.user_id)
                .outerjoin(ApiKey, ApiKey.id == Integration.api_key_id)
                .where(
                    Integration.id == id_,
                    Integration.status == IntegrationStatus.ACTIVE,
                    User.is_active,
                    User.deleted_at.is_(None),
                )
            )
        ).one_or_none()
    if found is None:
        return None
    row, owner, key = found
    reason = reason_of_end(key, context.clock())
    if reason is not None:
        raise Denied(reason)
    viewer = viewer_of(owner, key)
    demand(viewer, domain.scopes_of(row))
    if row.wait_until is not None and row.wait_until > context.clock():
        # Requests during the wait would extend it.
        raise Wait(row.wait_until - context.clock(), row.last_error or "It is asked to wait.")
    try:
        credentials = Encryption(context.settings).decrypt(row.credentials).decode()
    except Unreadable:
        raise Denied("The stored credentials can no longer be read; enter them again.") from None
    settings = context.settings
    return Connection(
        id=row.id,
        kind=row.connector,
        project_id=row.project_id,
        owner=replace(viewer, integration_id=row.id),
        external_id=row.external_id,
        settings=row.settings,
        progress=row.progress,
        credentials=credentials,
        context=context,
        outgoing=Outgoing(
            settings.webhooks.allowed_networks,
            plain=not settings.server.production,
            seconds=settings.webhooks.timeout_seconds,
        ),
    )


async def _locked(work: Work, id_: UUID) -> Integration | None:
    return await work.session.get(Integration, id_, with_for_update=True)


async def _finish(
    id_: UUID, wait: dt.timedelta, error: str | None, complete: bool, work: Work
) -> None:
    """Record how a run ended, and queue the next one."""
    row = await _locked(work, id_)
    if row is None or row.status is not IntegrationStatus.ACTIVE:
        return
    row.last_error = error
    row.wait_until = work.now + wait if wait and error is not None else None
    if complete:
        row.last_sync_at = work.now
    await work.session.flush()
    every = CONNECTORS[row.connector].every
    if every is None:
        return
    # A run that waits continues where it was; all others begin anew.
    pause = every if complete or (error is not None and not wait) else wait
    await domain.enqueue_sync(work, id_, run_at=work.now + pause)


async def fail(id_: UUID, reason: str, work: Work) -> None:
    row = await _locked(work, id_)
    if row is not None:
        await domain.fail(work, row, reason)


async def _note_wait(id_: UUID, asked: Wait, work: Work) -> None:
    row = await _locked(work, id_)
    if row is not None and (row.wait_until is None or row.wait_until < work.now + asked.after):
        row.wait_until = work.now + asked.after
        row.last_error = str(asked)
        await work.session.flush()


async def note_error(id_: UUID, reason: str, work: Work) -> None:
    row = await _locked(work, id_)
    if row is not None:
        row.last_error = reason
        await work.session.flush()


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, Failure) else str(error)
