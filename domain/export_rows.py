"""The entries of an export, with the names that a reader knows things by.

An entry that begins before the first day of the export, or ends after its last, is cut there, as a
report cuts it: the lines of an export add up to the report of the same days.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Select,
    String,
    and_,
    bindparam,
    cast,
    func,
    or_,
    select,
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
    """One entry, cut to the days of the export. Moments are in the export's zone; what its reader
    may not see is None.
    """

    id: UUID
    starts: dt.datetime
    # None: it is running, and counts up to the moment of the export.
    ends: dt.datetime | None
    # The entry's own start and end, if it was cut; both None otherwise.
    whole_starts: dt.datetime | None
    whole_ends: dt.datetime | None
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


@dataclass(frozen=True, slots=True)
class Days:
    """The days of an export, each None where it has no such bound, in its zone."""

    first: dt.date | None
    last: dt.date | None
    zone: Zone

    @property
    def start(self) -> dt.datetime | None:
        """The moment at which the first day begins."""
        return None if self.first is None else timezones.start_of_day(self.first, self.zone)

    @property
    def end(self) -> dt.datetime | None:
        """The moment at which the last day is over."""
        if self.last is None:
            return None
        return timezones.start_of_day(self.last + dt.timedelta(days=1), self.zone)

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the statement: it gives entries that have time on any of the days."""
        return {
            "from_day": self.first,
            "to_day": self.last,
            "from_moment": self.start,
            "to_moment": self.end,
        }

    def line(self, row: Any) -> Line:
        """A row of the statement, cut."""
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
            billable=row.billable,
            tags=row.tags,
            description=row.description,
            user=row.username,
            project_key=row.project_key,
            project=row.project_name,
            task_key=row.task_key or row.task_id,
            task=row.task_title,
        )


def statement(
    viewer: Viewer,
    where: Callable[[Any], Sequence[ColumnElement[bool]]],
    *,
    has_first: bool,
    has_last: bool,
) -> Select[*tuple[Any, ...]]:
    """The entries that `where(entity)` leaves, the oldest first; see `Days.params`."""
    entry, user = aliased(TimeEntry, name="entry"), aliased(User, name="owner")
    project, task = aliased(Project, name="place"), aliased(Task, name="work")
    query = (
        select(
            entry.id,
            entry.started_at,
            entry.ended_at,
            entry.day,
            func.greatest(ends(entry), entry.started_at, type_=DateTime(True)).label("until"),
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
