"""The entries of an export, with readable names.

An entry that starts before the first day of the export or ends after its last day is cut there, as
in a report: the lines of an export add up to the report of the same days.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Select,
    String,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer
from db.models import Project, Task, TimeEntry, User
from db.models.time_entry import ends
from domain import timezones
from domain.timezones import Zone


@dataclass(frozen=True, slots=True)
class Line:
    """One entry, cut to the days of the export. Times are in the export's zone; what its reader
    cannot see is None.
    """

    id: UUID
    starts: dt.datetime
    # None if the entry is running; it counts up to the time of the export.
    ends: dt.datetime | None
    # The entry's original start and end if it was cut; otherwise None.
    whole_starts: dt.datetime | None
    whole_ends: dt.datetime | None
    day: dt.date | None
    seconds: int
    is_billable: bool
    tags: list[str]
    description: str | None
    # None if the account was deleted.
    user: str | None
    project_key: str | None
    project: str | None
    # `KEY-42`, or the task's ID if it is not in the entry's project, or that cannot be seen.
    task_key: str | UUID | None
    task: str | None


@dataclass(frozen=True, slots=True)
class Days:
    """The first and last day of an export in its zone; None for no limit."""

    first: dt.date | None
    last: dt.date | None
    zone: Zone

    @property
    def start(self) -> dt.datetime | None:
        """When the first day starts."""
        return None if self.first is None else timezones.start_of_day(self.first, self.zone)

    @property
    def end(self) -> dt.datetime | None:
        """When the last day ends."""
        if self.last is None:
            return None
        return timezones.start_of_day(self.last + dt.timedelta(days=1), self.zone)

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the statement, which selects entries with time on any of the days."""
        return {
            "from_day": self.first,
            "to_day": self.last,
            "from_moment": self.start,
            "to_moment": self.end,
        }

    def line(self, row: Any) -> Line:
        """Cut a row of the statement to the days."""
        starts, until = row.started_at, row.until
        if row.day is None:
            starts = max(starts, self.start or starts)
            until = min(until, self.end or until)
        is_cut = (starts, until) != (row.started_at, row.until)
        is_running = row.ended_at is None
        return Line(
            id=row.id,
            starts=starts.astimezone(self.zone),
            ends=None if is_running and until == row.until else until.astimezone(self.zone),
            whole_starts=row.started_at.astimezone(self.zone) if is_cut else None,
            whole_ends=row.ended_at.astimezone(self.zone) if is_cut and not is_running else None,
            day=row.day,
            seconds=int((until - starts).total_seconds()),
            is_billable=row.is_billable,
            tags=row.tags,
            description=row.description,
            user=row.username,
            project_key=row.project_key,
            project=row.project_name,
            task_key=row.task_key or row.task_id,
            task=row.task_title,
        )


_ENTRY, _USER = aliased(TimeEntry, name="entry"), aliased(User, name="owner")
_PROJECT, _TASK = aliased(Project, name="place"), aliased(Task, name="work")


def statement(
    viewer: Viewer,
    where: Callable[[Any], Sequence[ColumnElement[bool]]],
    *,
    has_first: bool,
    has_last: bool,
) -> Select[*tuple[Any, ...]]:
    """The entries that match `where(entity)`, oldest first; see `Days.params`."""
    columns = (
        _ENTRY.id,
        _ENTRY.started_at,
        _ENTRY.ended_at,
        _ENTRY.day,
        func.greatest(ends(_ENTRY), _ENTRY.started_at, type_=DateTime(True)).label("until"),
        _ENTRY.is_billable,
        _ENTRY.tags,
        _ENTRY.description,
        case((_USER.deleted_at.is_(None), _USER.username)).label("username"),
        _PROJECT.key.label("project_key"),
        _PROJECT.name.label("project_name"),
        _TASK.id.label("task_id"),
        case(
            (_TASK.project_id == _PROJECT.id, _PROJECT.key + "-" + cast(_TASK.number, String))
        ).label("task_key"),
        _TASK.title.label("task_title"),
    )
    query = _of_entries(columns, viewer, where(_ENTRY), has_first, has_last)
    return query.order_by(_ENTRY.started_at, _ENTRY.id)


def rights(
    viewer: Viewer,
    where: Callable[[Any], Sequence[ColumnElement[bool]]],
    *,
    has_first: bool,
    has_last: bool,
) -> Select[*tuple[Any, ...]]:
    """One row: the permissions that the result of `statement` depends on, as arrays of IDs.

    - `managed_project_ids`: projects of other users' entries.
    - `seen_project_ids`: projects whose names are shown.
    - `seen_task_ids`: tasks whose titles are shown, except tasks in such a project and the viewer's
      own personal tasks.

    The viewer's own entries need no permission.
    """
    others = _ENTRY.user_id != viewer.sql_id
    seen_anyway = or_(
        _TASK.project_id == _PROJECT.id,
        and_(_TASK.project_id.is_(None), _TASK.owner_id == viewer.sql_id),
    )
    columns = (
        _ids(_ENTRY.project_id, others).label("managed_project_ids"),
        _ids(_PROJECT.id, _PROJECT.id.is_not(None)).label("seen_project_ids"),
        _ids(_TASK.id, and_(_TASK.id.is_not(None), seen_anyway.is_not(true()))).label(
            "seen_task_ids"
        ),
    )
    return _of_entries(columns, viewer, where(_ENTRY), has_first, has_last)


def _ids(key: Any, where: ColumnElement[bool]) -> ColumnElement[list[UUID]]:
    found = func.array_agg(key.distinct(), type_=ARRAY(Uuid())).filter(where)
    return func.coalesce(found, cast([], ARRAY(Uuid())))


def _of_entries(
    columns: Sequence[Any],
    viewer: Viewer,
    where: Sequence[ColumnElement[bool]],
    has_first: bool,
    has_last: bool,
) -> Select[*tuple[Any, ...]]:
    entry, project, task = _ENTRY, _PROJECT, _TASK
    query = (
        select(*columns)
        .select_from(entry)
        .join(_USER, _USER.id == entry.user_id)
        .outerjoin(project, and_(project.id == entry.project_id, access.read(viewer, project)))
        .outerjoin(task, and_(task.id == entry.task_id, access.read(viewer, task)))
        .where(*where)
    )
    return query.where(*on_days(entry, has_first=has_first, has_last=has_last))


def on_days(entry: Any, *, has_first: bool, has_last: bool) -> list[ColumnElement[bool]]:
    """The conditions for entries with time on any of the days; see `Days.params`."""
    found = []
    if has_first:
        moment = bindparam("from_moment", type_=TIMESTAMP(timezone=True))
        found.append(
            or_(
                and_(entry.day.is_(None), or_(ends(entry) > moment, entry.started_at >= moment)),
                entry.day >= bindparam("from_day", type_=TimeEntry.day.type),
            )
        )
    if has_last:
        moment = bindparam("to_moment", type_=TIMESTAMP(timezone=True))
        found.append(
            or_(
                and_(entry.day.is_(None), entry.started_at < moment),
                entry.day <= bindparam("to_day", type_=TimeEntry.day.type),
            )
        )
    return found
