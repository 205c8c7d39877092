"""Who reads an event: whoever sees its subject now, and those it is addressed to."""

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
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from auth.access.parts import member_projects
from auth.access.people import of_managed_project
from auth.access.rule import RULES, Rule
from auth.access.tasks import in_projects, is_manager, task_read
from auth.access.ways import Who
from db import models

_UNREADABLE_KIND = "ACCESS_LOST"
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
    return or_(
        viewer.sql_id == any_(event.audience),
        and_(
            event.kind != _UNREADABLE_KIND,
            case(
                (event.kind == any_(_TIME_KINDS), of_managed_project(viewer, event)),
                else_=or_(
                    and_(event.task_id.is_(None), event.project_id.in_(member_projects(viewer))),
                    and_(event.task_id.is_not(None), func.coalesce(visible_task, False)),
                ),
            ),
        ),
    )


RULES[models.Event] = Rule(read=_event_read, within=in_projects, noun="event")
