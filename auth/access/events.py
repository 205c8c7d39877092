"""Who reads an event: whoever sees its subject now, and those it is addressed to.

An API key reads of these the events of the nouns that its scopes open and, where it is restricted
to projects, of what is in them *now*: the history of a task leaves a project with the task.
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

# What happens to a task's shares is for those who manage them, not for all who see the task.
# An array and not an IN: SQLAlchemy expands an IN when it compiles, and then asks for the values of
# all other parameters of the statement as well, which come only when it is run.
_MANAGERS_KINDS = literal(["SHARE_CREATED", "SHARE_UPDATED", "SHARE_DELETED"], ARRAY(Text))
# How somebody spends their time is theirs, and for those who answer for the project.
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
    """An event is seen by whoever sees its subject now, and by those it is addressed to."""
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
    """Whether the scopes of a key open the noun that an event is about."""
    if not viewer.scoped:
        return true()
    assert isinstance(viewer, Viewer)
    readable = viewer.sql_events
    return or_(
        event.kind == any_(readable),
        and_(event.kind == LOSS, event.subject_type == any_(readable)),
    )


def _within(viewer: Who, event: Any) -> ColumnElement[bool]:
    """Whether an event, and the task or time entry that it is about, is in the key's projects."""
    task, entry = aliased(models.Task), aliased(models.TimeEntry)
    stayed = select(task.id).where(task.id == event.task_id, in_projects(viewer, task)).exists()
    # An entry that was deleted left nothing but its events.
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
    """Every row of the log, for administrators; nothing for anybody else."""
    return _in_scope(viewer, entity) if viewer.is_admin else false()


RULES[models.Event] = Rule(read=_event_read, within=_within, noun="event")
