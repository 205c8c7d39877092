"""Reminders and due dates: every worker looks for them several times a minute.

Workers need not know of each other: each passes over what another one has claimed, and a
notification is recorded in the same transaction (`domain.tasks.reminding`).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, bindparam, func, or_, select

from db.faults import OUTAGES, database_fault
from db.models import Reminder, Task
from db.statements import Statement
from domain.tasks import reminding
from domain.work import Work
from events.kinds import EventKind
from jobs.consumer import consumer
from jobs.worker_context import WorkerContext

log = logging.getLogger("taskloom.jobs")

EVERY = dt.timedelta(seconds=15)
"""The most that a reminder is late, while a worker has time for it."""

_NAME = "reminders"
_TIMES = frozenset({"due_at", "due_on", "start_at"})
_IDS: ColumnElement[Any] = bindparam("ids", type_=ARRAY(Uuid())).any_()
_TARGETS = Statement(
    select(func.coalesce(Reminder.task_id, Reminder.project_id).label("id")).where(
        or_(Reminder.task_id == _IDS, Reminder.project_id == _IDS), Reminder.is_enabled
    )
)


def _is_loss(event: Any) -> bool:
    return bool(event.kind == EventKind.ACCESS_LOST.value)


def _wants(event: Any) -> bool:
    return _is_loss(event) or (
        event.subject_type == Task.__name__
        and any(change["field"] in _TIMES for change in event.changes)
    )


async def _reminded(context: WorkerContext, events: Sequence[Any]) -> Sequence[Any]:
    """Those about what somebody has a reminder of."""
    ids = list({event.subject_id for event in events})
    known = {row.id for row in await context.database.single.fetch(_TARGETS, {"ids": ids})}
    return [event for event in events if event.subject_id in known]


@consumer(_NAME, _wants, _reminded)
async def follow_tasks(_tools: WorkerContext, work: Work, events: Sequence[Any]) -> None:
    """Move reminders along with the due and start times that they depend on, and turn off those of
    what their owners can no longer see.
    """
    lost = {event.subject_id for event in events if _is_loss(event)}
    changed = {event.subject_id: event.at for event in events if not _is_loss(event)}
    if lost:
        await reminding.turn_off_lost(work, lost)
    if changed:
        await reminding.follow_tasks(work, changed)


async def run_forever(
    context: WorkerContext, stop: asyncio.Event, *, every: dt.timedelta = EVERY
) -> None:
    """Look now, and again whenever `every` has passed, until `stop` is set."""
    while not stop.is_set():
        for part in (remind, notify_of_due):
            try:
                await part(context)
            except Exception:
                log.exception("%s failed", part.__name__)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every.total_seconds()):
                await stop.wait()


async def remind(context: WorkerContext) -> int:
    """Run all due reminders; returns how many there were.

    If a chunk fails, its reminders are run one by one; one that fails again is left for the next
    time, so that it blocks no other.
    """
    size, count = reminding.CHUNK_SIZE, 0
    broken: set[UUID] = set()
    while True:
        claimed: list[UUID] = []
        try:
            await _chunk(context, size, broken, claimed)
        except Exception as error:
            if not claimed or _is_outage(error):
                raise
            if len(claimed) == 1:
                log.exception("the reminder %s cannot be run", claimed[0])
                broken.update(claimed)
            size = 1
            continue
        count += len(claimed)
        if len(claimed) < size:
            return count


async def _chunk(context: WorkerContext, size: int, broken: set[UUID], claimed: list[UUID]) -> None:
    """One transaction. `claimed` collects what was begun, however it ends."""

    async def act(work: Work) -> None:
        found = await reminding.claim(work, limit=size, without=broken)
        claimed[:] = [reminder.id for reminder, _ in found]
        if found:
            await reminding.run(work, found, mail_delay=_mail_delay(context))

    await context.do(_NAME, act)


def _is_outage(error: Exception) -> bool:
    """Whether the database failed, and not the reminder."""
    return database_fault(error) in OUTAGES


async def notify_of_due(context: WorkerContext) -> int:
    """Notify users of tasks due within a day, once for each; the number of tasks."""

    async def act(work: Work) -> int:
        return await reminding.notify_of_due(work, mail_delay=_mail_delay(context))

    count = 0
    while notified := await context.do(_NAME, act):
        count += notified
    return count


def _mail_delay(context: WorkerContext) -> dt.timedelta:
    return dt.timedelta(seconds=context.settings.mail.delay_seconds)
