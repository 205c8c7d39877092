"""The entries of an export, with the names that a reader knows things by."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, String, and_, bindparam, cast, func, or_, select
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer
from db.models import Project, Task, TimeEntry, User
from db.models.time_entry import ends, seconds


@dataclass(frozen=True, slots=True)
class Line:
    """One entry. Moments are in the export's zone; what its reader may not see is None."""

    id: UUID
    starts: dt.datetime
    ends: dt.datetime | None
    day: dt.date | None
    seconds: int
    billable: bool
    tags: list[str]
    description: str | None
    user: str
    project_key: str | None
    project: str | None
    # `KEY-42`, or the task's id where it is in no project that the reader sees.
    task_key: str | UUID | None
    task: str | None


def line_of(row: Any, zone: ZoneInfo) -> Line:
    """A row of the statement."""
    return Line(
        id=row.id,
        starts=row.started_at.astimezone(zone),
        ends=None if row.ended_at is None else row.ended_at.astimezone(zone),
        day=row.day,
        seconds=row.seconds,
        billable=row.billable,
        tags=row.tags,
        description=row.description,
        user=row.username,
        project_key=row.project_key,
        project=row.project_name,
        task_key=row.task_key or row.task_id,
        task=row.task_title,
    )


def bounds(first: dt.date | None, last: dt.date | None, zone: str) -> dict[str, Any]:
    """The parameters of the statement for the days of an export: whole entries, that have time on
    any of them.
    """
    day = dt.timedelta(days=1)
    return {
        "from_day": first,
        "to_day": last,
        "from_moment": None if first is None else _midnight(first, zone),
        "to_moment": None if last is None else _midnight(last + day, zone),
    }


def _midnight(day: dt.date, zone: str) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), ZoneInfo(zone)).astimezone(dt.UTC)


def statement(
    viewer: Viewer,
    where: Callable[[Any], Sequence[ColumnElement[bool]]],
    *,
    has_first: bool,
    has_last: bool,
) -> Select[*tuple[Any, ...]]:
    """The entries that `where(entity)` leaves, the oldest first; see `bounds`."""
    entry, user = aliased(TimeEntry, name="entry"), aliased(User, name="owner")
    project, task = aliased(Project, name="place"), aliased(Task, name="work")
    query = (
        select(
            entry.id,
            entry.started_at,
            entry.ended_at,
            entry.day,
            seconds(entry).label("seconds"),
            entry.billable,
            entry.tags,
            entry.description,
            func.coalesce(user.full_name, user.username).label("full_name"),
            user.username,
            project.key.label("project_key"),
            project.name.label("project_name"),
            task.id.label("task_id"),
            (project.key + "-" + cast(task.number, String)).label("task_key"),
            task.title.label("task_title"),
        )
        .join(user, user.id == entry.user_id)
        .outerjoin(project, and_(project.id == entry.project_id, access.read(viewer, project)))
        .outerjoin(task, and_(task.id == entry.task_id, access.read(viewer, task)))
        .where(*where(entry))
        .order_by(entry.started_at, entry.id)
    )
    if has_first:
        moment = bindparam("from_moment", type_=TIMESTAMP(timezone=True))
        query = query.where(
            or_(
                and_(entry.day.is_(None), or_(ends(entry) > moment, entry.started_at >= moment)),
                entry.day >= bindparam("from_day", type_=TimeEntry.day.type),
            )
        )
    if has_last:
        moment = bindparam("to_moment", type_=TIMESTAMP(timezone=True))
        query = query.where(
            or_(
                and_(entry.day.is_(None), entry.started_at < moment),
                entry.day <= bindparam("to_day", type_=TimeEntry.day.type),
            )
        )
    return query
