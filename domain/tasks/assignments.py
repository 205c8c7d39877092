"""The end of what is assigned to a user, any number of tasks in one statement."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, update

from db.models import Task
from domain.tasks.task_values import event_of_values
from domain.work import Work
from events.kinds import EventKind


async def end(work: Work, user_id: UUID, *which: ColumnElement[bool]) -> int:
    """End a user's assignments to these tasks, which are locked or of a locked project. Those in
    the trash end too, so that no right comes back with them. Returns how many are not in the trash.
    """
    ended = await work.session.execute(
        update(Task)
        .where(Task.assignee_id == user_id, *which)
        .values(assignee_id=None, version=Task.version + 1, updated_at=work.now)
        .returning(Task.id, Task.project_id, Task.owner_id, Task.assignee_id, Task.deleted_at)
        .execution_options(synchronize_session=False)
    )
    rows = sorted(ended.mappings(), key=lambda row: row["id"])
    work.events += [
        event_of_values(work, EventKind.TASK_ASSIGNED, dict(row), [("assignee_id", user_id, None)])
        for row in rows
    ]
    return sum(row["deleted_at"] is None for row in rows)
