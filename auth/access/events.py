"""Who can read an event: users who can see its subject now, and its audience.

Of these events, an API key reads those that its scopes allow and, if it is restricted to projects,
those of what is in the projects *now*: when a task leaves a project, its history leaves too.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    ScalarSelect,
    Text,
    and_,
    any_,
    case,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.orm import aliased

from auth.access.grants import Who
from auth.access.parts import member_projects
from auth.access.people import of_managed_project
from auth.access.rule import RULES, Rule
from auth.access.tasks import in_projects, is_manager, task_read
from auth.scopes import LOSS
from auth.viewer import Viewer
from db import models

# Events of a task's shares are for users who manage the shares, not for all who can see the task.
# An array instead of IN: SQLAlchemy expands IN when it compiles and then requires the values of all
# other parameters too, which are known only at execution.
_MANAGERS_KINDS = literal(
    ["TASK_SHARE_CREATED", "TASK_SHARE_UPDATED", "TASK_SHARE_DELETED"], ARRAY(Text)
)
# A user's time is visible to that user and to the managers of the project only.
_TIME_KINDS = literal(
    [
        "TIME_ENTRY_CREATED",
        "TIME_ENTRY_UPDATED",
        "TIME_ENTRY_DELETED",
        "TIMER_STARTED",
        "TIMER_STOPPED",
    ],
    ARRAY(Text),
)


def _event_read(viewer: Who, event: Any) -> ColumnElement[bool]:
    """Visible to users who can see the event's subject now, and to its audience."""
    task = aliased(models.Task)
    visible_task: ScalarSelect[bool] = (
        select(
            case(
                (event.kind == any_(_MANAGERS_KINDS), is_manager(viewer, task)),
                else_=task_read(viewer, task),
            )
        )
        .where(task.id == event.task_id)
        .scalar_subquery()
    )
    visible = or_(
        viewer.sql_id == any_(event.audience),
        and_(
            event.kind != LOSS,
            case(
                (event.kind == any_(_TIME_KINDS), of_managed_project(viewer, event)),
                else_=or_(
                    and_(event.task_id.is_(None), event.project_id.in_(member_projects(viewer))),
                    and_(event.task_id.is_not(None), func.coalesce(visible_task, False)),
                ),
            ),
        ),
    )
    return and_(_in_scope(viewer, event), visible)


def _in_scope(viewer: Who, event: Any) -> ColumnElement[bool]:
    """Whether a key's scopes allow the event's subject."""
    if not viewer.scoped:
        return true()
    assert isinstance(viewer, Viewer)
    readable = viewer.sql_events
    return or_(
        event.kind == any_(readable),
        and_(event.kind == LOSS, event.subject_type == any_(readable)),
    )


def _within(viewer: Who, event: Any) -> ColumnElement[bool]:
    """Whether an event, and its task or time entry, is in the key's projects."""
    task, entry = aliased(models.Task), aliased(models.TimeEntry)
    stayed = select(task.id).where(task.id == event.task_id, in_projects(viewer, task)).exists()
    # A deleted entry has left only its events.
    left = (
        select(entry.id)
        .where(
            event.subject_type == models.TimeEntry.__name__,
            entry.id == event.subject_id,
            not_(func.coalesce(in_projects(viewer, entry), False)),
        )
        .exists()
    )
    return and_(
        in_projects(viewer, event),
        or_(event.task_id.is_(None), stayed),
        not_(left),
    )


def audit(viewer: Who, entity: Any) -> ColumnElement[bool]:
    """Every row of the log for administrators; none for others."""
    return _in_scope(viewer, entity) if viewer.is_admin else false()


RULES[models.Event] = Rule(read=_event_read, within=_within, noun="event")
