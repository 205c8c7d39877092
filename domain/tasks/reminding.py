"""Run reminders, and notify users of due dates that are near.

A run is one transaction: it locks the reminder, notifies its owner, and writes the next run. So
each run happens once, with any number of workers that may stop at any moment. Runs missed while no
worker ran are replaced by one late run, since the next run is computed from the present.

The next run of a reminder that depends on a task's times is computed again when these change
(`follow_tasks`, from the event log). Until then the old time is stored; so a run checks the task
again. Its owner sees when it runs next, and so the task's times. So it follows them only while its
owner sees the task, and is turned off when they lose sight of it (`turn_off_lost`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Uuid,
    bindparam,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from auth import access
from auth.viewer import ViewerColumn
from db.models import (
    Channel,
    DueNotice,
    NotificationKind,
    Project,
    Reminder,
    ReminderChannel,
    Task,
    TaskStatus,
    User,
)
from domain.notifications.notification import MAIL_DELAY, Notice, notify
from domain.tasks import schedule, visibility
from domain.tasks.reminder import anchor_of, record, rule_of
from domain.tasks.schedule import Relative
from domain.work import Work
from events.kinds import EventKind

CHUNK_SIZE = 50
DUE_SOON = dt.timedelta(hours=24)
"""How long before a task is due users are notified."""

LOST = "The task or project of this reminder was deleted, or you can no longer see it."
_CHANNELS_BY_NAME = {
    ReminderChannel.IN_APP.value: Channel.IN_APP,
    ReminderChannel.EMAIL.value: Channel.EMAIL,
    ReminderChannel.PUSH.value: Channel.PUSH,
}
_NAME = 80


def _visible(model: Any, key: Any, *, trashed: bool | None = False) -> Select[Any]:
    """Targets of some reminders that their owners can see."""
    # A literal column, so that subqueries of the rule do not add the table again; see events.log.
    owner = ViewerColumn(literal_column("reminders.user_id", Uuid()))
    return (
        select(Reminder.id, model)
        .join(model, model.id == key)
        .where(Reminder.id == bindparam("ids", type_=ARRAY(Uuid())).any_())
        .where(access.read(owner, model, trashed=trashed))
        .execution_options(populate_existing=True)
    )


# Built once: building the rule takes longer than running it.
_TASKS = _visible(Task, Reminder.task_id)
_PROJECTS = _visible(Project, Reminder.project_id)
# The same with those in the trash, which are not lost yet.
_TASKS_KEPT = _visible(Task, Reminder.task_id, trashed=None)
_PROJECTS_KEPT = _visible(Project, Reminder.project_id, trashed=None)
# Reminders of archived projects, or of tasks in them: read-only projects send no reminders.
_ARCHIVED = (
    select(Reminder.id)
    .outerjoin(Task, Task.id == Reminder.task_id)
    .join(Project, Project.id == func.coalesce(Reminder.project_id, Task.project_id))
    .where(
        Reminder.id == bindparam("ids", type_=ARRAY(Uuid())).any_(),
        Project.archived_at.is_not(None),
    )
)


# --- runs ----------------------------------------------------------------------------------------


async def claim(
    work: Work, *, limit: int = CHUNK_SIZE, without: Collection[UUID] = ()
) -> list[tuple[Reminder, bool]]:
    """Due reminders, locked, each with whether its owner's account is active.

    Those that another worker is processing are left to it.
    """
    rows = await work.session.execute(
        select(Reminder, User.is_active)
        .join(User, User.id == Reminder.user_id)
        .where(Reminder.next_run_at <= work.now, Reminder.id.not_in(without))
        .order_by(Reminder.next_run_at, Reminder.id)
        .limit(limit)
        .with_for_update(of=Reminder, skip_locked=True)
    )
    return [(reminder, active) for reminder, active in rows]


async def run(
    work: Work,
    claimed: Sequence[tuple[Reminder, bool]],
    *,
    mail_delay: dt.timedelta = MAIL_DELAY,
) -> None:
    """Run claimed reminders: notify their owners, and write when each runs next."""
    ids = {"ids": [reminder.id for reminder, _ in claimed]}
    tasks = {id_: task for id_, task in await work.session.execute(_TASKS, ids)}  # noqa: C416 - rows are no pairs
    projects = {id_: one for id_, one in await work.session.execute(_PROJECTS, ids)}  # noqa: C416 - as above
    archived = set(await work.session.scalars(_ARCHIVED, ids))
    notices = []
    for reminder, active in claimed:
        task, project = tasks.get(reminder.id), projects.get(reminder.id)
        if (reminder.task_id and task is None) or (reminder.project_id and project is None):
            _turn_off(work, reminder)
            continue
        quiet = not active or reminder.id in archived
        if _comes_true(work, reminder, task) and not quiet:
            notices.extend(_notices(work, reminder, project))
            reminder.last_run_at = work.now
        rule = rule_of(reminder)
        reminder.next_run_at = schedule.next_run(rule, work.now, anchor_of(rule, task))
    await work.session.flush()
    await notify(work, notices, mail_delay=mail_delay)


def _comes_true(work: Work, reminder: Reminder, task: Task | None) -> bool:
    """Whether the reminder applies now."""
    if task is None:
        return True
    rule = rule_of(reminder)
    if isinstance(rule, Relative):
        # The task's time may have been moved a moment ago.
        moment = schedule.moved(anchor_of(rule, task), rule)
        if moment is None or moment > work.now:
            return False
    return task.status.is_open


def _notices(work: Work, reminder: Reminder, project: Project | None) -> list[Notice]:
    """The owner's notifications. The event is for webhooks, if the reminder has that channel."""
    event_id = None
    if ReminderChannel.WEBHOOK.value in reminder.channels:
        event_id = record(work, EventKind.REMINDER_DUE, reminder)
    ways = frozenset(
        _CHANNELS_BY_NAME[name] for name in reminder.channels if name in _CHANNELS_BY_NAME
    )
    if not ways:
        return []
    message = reminder.message
    if message is None and project is not None:
        message = f"Reminder: “{project.name[:_NAME]}”."
    return [
        Notice(
            recipient_id=reminder.user_id,
            kind=NotificationKind.REMINDER,
            event_id=event_id,
            task_id=reminder.task_id,
            subject=reminder,
            message=message,
            channels=ways,
        )
    ]


def _turn_off(work: Work, reminder: Reminder) -> None:
    values = {"is_enabled": False, "disabled_reason": LOST, "next_run_at": None}
    changed = work.apply(reminder, values, ignore=("next_run_at",))
    record(work, EventKind.REMINDER_UPDATED, reminder, changed)


# --- tasks whose times change, and targets that are lost -----------------------------------------


async def follow_tasks(work: Work, changed: Mapping[UUID, dt.datetime]) -> None:
    """Compute the next runs of reminders that depend on the times of these tasks.

    The moment is that of the change: a run that was due between then and now was missed, and is
    made up. One that was already past when the task was changed does not come back.
    """
    anchored = Reminder.kind.in_(list(schedule.Anchor))
    reminders = await _locked(work, Reminder.task_id.in_(changed), anchored)
    if not reminders:
        return
    # Read after the locks: a later change of a task finds the reminder by a later event.
    ids = {"ids": [reminder.id for reminder in reminders]}
    tasks = {id_: task for id_, task in await work.session.execute(_TASKS_KEPT, ids)}  # noqa: C416 - rows are no pairs
    for reminder in reminders:
        assert reminder.task_id is not None, "selected by task"
        if reminder.id not in tasks:
            continue
        since = changed[reminder.task_id]
        if reminder.last_run_at is not None:
            since = max(since, reminder.last_run_at)
        rule = rule_of(reminder)
        reminder.next_run_at = schedule.next_run(rule, since, anchor_of(rule, tasks[reminder.id]))
    await work.session.flush()


async def _locked(work: Work, *which: ColumnElement[bool]) -> list[Reminder]:
    """Enabled reminders, locked in one order."""
    found = await work.session.scalars(
        select(Reminder).where(*which, Reminder.is_enabled).order_by(Reminder.id).with_for_update()
    )
    return list(found)


async def turn_off_lost(work: Work, targets: Collection[UUID]) -> None:
    """Turn off the reminders of these tasks and projects whose owners can no longer see them."""
    of_targets = or_(Reminder.task_id.in_(targets), Reminder.project_id.in_(targets))
    reminders = await _locked(work, of_targets)
    if not reminders:
        return
    ids = {"ids": [reminder.id for reminder in reminders]}
    kept = {
        row[0]
        for visible in (_TASKS_KEPT, _PROJECTS_KEPT)
        for row in await work.session.execute(visible, ids)
    }
    for reminder in reminders:
        if reminder.id not in kept:
            _turn_off(work, reminder)
    await work.session.flush()


# --- due soon ------------------------------------------------------------------------------------


async def notify_of_due(
    work: Work, *, limit: int = CHUNK_SIZE, mail_delay: dt.timedelta = MAIL_DELAY
) -> int:
    """Notify a task's assignee, or otherwise its owner if they see it, that it is due within a day.

    Once per due date: it is noted in the same statement that finds the task, so a second worker
    finds the note. Returns the number of tasks.
    """
    near = (
        select(Task.id, Task.due_at)
        .outerjoin(DueNotice, DueNotice.task_id == Task.id)
        .outerjoin(Project, Project.id == Task.project_id)
        .where(
            Project.archived_at.is_(None),
            Task.due_at > work.now,
            Task.due_at <= work.now + DUE_SOON,
            Task.status < TaskStatus.COMPLETED,
            Task.deleted_at.is_(None),
            DueNotice.due_at.is_distinct_from(Task.due_at),
        )
        # In one order everywhere, so that two workers never wait for each other in a circle.
        .order_by(Task.id)
        .limit(limit)
    )
    noted = insert(DueNotice).from_select(["task_id", "due_at"], near)
    noted = noted.on_conflict_do_update(
        index_elements=[DueNotice.task_id],
        set_={"due_at": noted.excluded.due_at},
        where=DueNotice.due_at.is_distinct_from(noted.excluded.due_at),
    )
    told = list(await work.session.scalars(noted.returning(DueNotice.task_id)))
    tasks = await work.session.execute(
        select(Task.id, Task.owner_id, Task.assignee_id).where(Task.id.in_(told)).order_by(Task.id)
    )
    wanted = [(task.id, task.assignee_id or task.owner_id) for task in tasks]
    # The owner may have left the project.
    seeing = await visibility.seen(work, wanted)
    notices = [
        Notice(recipient_id=person, kind=NotificationKind.TASK_DUE_SOON, task_id=task_id)
        for task_id, person in wanted
        if (task_id, person) in seeing
    ]
    await notify(work, notices, mail_delay=mail_delay)
    return len(told)
