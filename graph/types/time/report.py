"""Reports on time in the schema; what they are is told in `domain.time.report`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import ARRAY, Uuid, bindparam, func, select

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db import models
from db.base import Base
from db.models import WeekDay
from db.read import Fetching, Statement
from domain import rules
from domain.time import report as domain
from domain.time.report import MAX_GROUPS, Group, GroupBy
from errors import BadInput, ErrorCode, Failure, refuse
from graph.core.fields import BatchInfo, arg, batch, derived, root
from graph.core.inputs import given, optional
from graph.core.node import described_enum
from graph.kit.filtering import Binds, Values, build_filter, filter_shape
from graph.kit.loading import load_objects
from graph.types.accounts.user import User
from graph.types.projects.project import Project
from graph.types.tasks.task import Task
from graph.types.time.time_inputs import TimeEntryFilter

described_enum(
    GroupBy,
    "What the entries of a report are grouped by.",
    {
        GroupBy.PROJECT: "The project; those that you do not see, and none, are one group.",
        GroupBy.TASK: "The task; those that you do not see, and none, are one group.",
        GroupBy.USER: "The person.",
        GroupBy.TAG: "The tag, without regard to case. An entry with two tags stands in both "
        "groups, so these groups alone may add up to more than the group that they are in.",
        GroupBy.DAY: "The day in the report's time zone; entries over midnight are split.",
        GroupBy.WEEK: "The week, by its first day.",
        GroupBy.MONTH: "The month, by its first day.",
        GroupBy.BILLABLE: "Whether the time can be billed.",
    },
    name="TimeReportGroupBy",
)


@strawberry.input(description="Which time a report is about.")
class TimeReportFilter:
    """Days and entries."""

    from_: dt.date | None = optional(
        "The first day, in the report's time zone. Of an entry that began before, only the time "
        "since the day's midnight counts.",
        name="from",
    )
    to: dt.date | None = optional(
        "The last day. Of an entry that goes on after it, only the time up to its end counts."
    )
    entries: TimeEntryFilter | None = optional(
        "Only entries that match: projects, people, tasks, tags, billable, and all else."
    )


# --- asking for one ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checked report: which groups of which entries."""

    shape: domain.Shape
    timezone: str
    week_start: WeekDay
    first: dt.date | None
    last: dt.date | None
    filter_shape: Hashable
    filter_params: Mapping[str, Any]

    async def rows(self, reader: Fetching, viewer: Viewer, limit: int = MAX_GROUPS) -> list[Any]:
        """The innermost groups, as far as the viewer may read the entries. `LIMIT_EXCEEDED` where
        there are more than `limit`.
        """
        statement = _statement(self.shape, self.filter_shape, viewer.shape)
        rows: list[Any] = await reader.fetch(statement, self.params(viewer, limit))
        if len(rows) > limit:
            raise Failure(
                f"The report has more than {limit:,} groups; take fewer days or groups.",
                path=("group_by",),
                code=ErrorCode.LIMIT_EXCEEDED,
            )
        return rows

    def params(self, viewer: Viewer, limit: int = MAX_GROUPS) -> dict[str, Any]:
        """The values of the statement's parameters."""
        return {
            **viewer.params,
            **self.filter_params,
            **domain.parameters(self.timezone, self.week_start, self.first, self.last, limit),
        }

    async def read(self, reader: Fetching, viewer: Viewer, limit: int = MAX_GROUPS) -> Group:
        """The report. Projects and tasks that the viewer may not see are one group with none."""
        rows = await self.rows(reader, viewer, limit)
        visible: dict[GroupBy, Mapping[UUID, str]] = {}
        for by, model, key in (
            (GroupBy.PROJECT, models.Project, "project_id"),
            (GroupBy.TASK, models.Task, "task_id"),
        ):
            if by in self.shape.group_by:
                keys = {getattr(row, key) for row in rows}
                visible[by] = await names(reader, viewer, model, keys)

        def shown(by: GroupBy, key: Any) -> Any:
            return key if by not in visible or key in visible[by] else None

        return domain.add_up(rows, self.shape, shown)


@lru_cache(maxsize=500)
def _statement(
    shape: domain.Shape, filter_shaped: Hashable, viewer_shape: ViewerShape
) -> Statement:
    return Statement(domain.statement(shape, predicates(filter_shaped, viewer_shape)))


def predicates(filter_shaped: Hashable, viewer_shape: ViewerShape) -> Any:
    """Which entries a filter's shape leaves, as a function of the entity."""
    viewer = placeholder_viewer(viewer_shape)

    def where(entity: Any) -> list[Any]:
        found = [access.read(viewer, entity)]
        if filter_shaped is not None:
            found.append(build_filter(TimeEntryFilter, filter_shaped, entity, viewer, Binds()))
        return found

    return where


_NAMES: dict[type[Base], Any] = {
    models.Project: lambda project: project.name,
    models.Task: lambda task: task.title,
    models.User: lambda user: func.coalesce(user.full_name, user.username),
}


@lru_cache(maxsize=16)
def _names_statement(model: type[Base], viewer_shape: ViewerShape) -> Statement:
    keys = bindparam("keys", type_=ARRAY(Uuid()))
    entity: Any = model
    return Statement(
        select(entity.id, _NAMES[model](entity).label("name")).where(
            entity.id == keys.any_(), access.read(placeholder_viewer(viewer_shape), entity)
        )
    )


async def names(
    reader: Fetching, viewer: Viewer, model: type[Base], keys: Iterable[UUID | None]
) -> dict[UUID, str]:
    """The names of those that the viewer may see among these."""
    wanted = [key for key in keys if key is not None]
    if not wanted:
        return {}
    rows: list[Any] = await reader.fetch(
        _names_statement(model, viewer.shape), {**viewer.params, "keys": wanted}
    )
    return {row.id: row.name for row in rows}


def wanted_of(
    viewer: Viewer,
    filter_: TimeReportFilter | None,
    group_by: Sequence[GroupBy] | None,
    timezone: str | None,
    week_start: WeekDay | None,
) -> Wanted:
    """Check the arguments of a report. Raises `BadInput` at their places."""
    zone = rules.timezone(viewer.timezone if timezone is None else timezone, ("timezone",))
    keys = tuple(group_by or ())
    for index, by in enumerate(keys):
        if by in keys[:index]:
            refuse(BadInput(f"Grouped by {by.name} twice.", path=("group_by", index)))
    first = last = None
    values = Values()
    shaped: Hashable = None
    if filter_ is not None:
        first, last = given(filter_.from_), given(filter_.to)
        for name, day in (("from", first), ("to", last)):
            if day is not None:
                rules.end_of_day(day, "UTC", ("filter", name))
        if first is not None and last is not None and last < first:
            refuse(BadInput("The last day is before the first.", path=("filter", "to")))
        if filter_.entries is None:
            raise BadInput("A filter must not be null; leave it out.", path=("filter", "entries"))
        if filter_.entries is not strawberry.UNSET:
            shaped = filter_shape(filter_.entries, values, ("filter", "entries"))
    return Wanted(
        shape=domain.Shape(keys, first is not None, last is not None),
        timezone=zone,
        week_start=week_start or viewer.week_start,
        first=first,
        last=last,
        filter_shape=shaped,
        filter_params=values.params(),
    )


# --- types ---------------------------------------------------------------------------------------


def _object(by: GroupBy, model: type[Base], description: str) -> Any:
    async def rows(parents: Sequence[Group], info: BatchInfo) -> Sequence[Any]:
        keys = [parent.value if parent.by is by else None for parent in parents]
        return await load_objects(info, model, keys)

    return batch(rows, description)


def _value(by: GroupBy, description: str) -> Any:
    return derived((), lambda group: group.value if group.by is by else None, description)


def _seconds() -> Any:
    return derived((), lambda group: float(group.seconds), "Whole seconds in all.")


def _billable() -> Any:
    return derived(
        (), lambda group: float(group.billable_seconds), "Whole seconds that can be billed."
    )


def _count() -> Any:
    return derived((), lambda group: group.count, "Entries that have time here.")


@strawberry.type(description="The time of one group, and the groups in it.")
class TimeReportGroup:
    """Reads from `domain.time.report.Group`."""

    by: GroupBy = derived((), lambda group: group.by, "What it is a group by.")
    project: Project | None = _object(
        GroupBy.PROJECT, models.Project, "The project of a group by PROJECT; null for none."
    )
    task: Task | None = _object(
        GroupBy.TASK, models.Task, "The task of a group by TASK; null for none."
    )
    user: User | None = _object(
        GroupBy.USER, models.User, "The person of a group by USER; null for a deleted account."
    )
    tag: str | None = _value(GroupBy.TAG, "The tag of a group by TAG; null for entries without.")
    day: dt.date | None = _value(GroupBy.DAY, "The day of a group by DAY.")
    week: dt.date | None = _value(GroupBy.WEEK, "The first day of the week of a group by WEEK.")
    month: dt.date | None = _value(GroupBy.MONTH, "The first day of the month of a group by MONTH.")
    billable: bool | None = _value(
        GroupBy.BILLABLE, "Whether the time of a group by BILLABLE can be billed."
    )
    seconds: float = _seconds()
    billable_seconds: float = _billable()
    count: int = _count()
    groups: list[TimeReportGroup] = derived(
        (), lambda group: group.groups, "The groups of the next level; none at the last."
    )


@dataclass(frozen=True, slots=True)
class _Report:
    wanted: Wanted
    total: Group

    @property
    def seconds(self) -> int:
        return self.total.seconds

    @property
    def billable_seconds(self) -> int:
        return self.total.billable_seconds

    @property
    def count(self) -> int:
        return self.total.count


@strawberry.type(
    description="Time summed up. Seconds of groups add up to those of the group that they are in, "
    "and to the total, to the second; save groups by TAG, in which an entry stands once for each "
    "tag. Times are ordered as they pass, other groups by time spent, the most first."
)
class TimeReport:
    """Reads from a `_Report`."""

    timezone: str = derived(
        (), lambda report: report.wanted.timezone, "The zone whose midnights divide the days."
    )
    seconds: float = _seconds()
    billable_seconds: float = _billable()
    count: int = _count()
    groups: list[TimeReportGroup] = derived(
        (), lambda report: report.total.groups, "The groups of the first level."
    )


async def _time_report(
    info: BatchInfo,
    filter: Annotated[TimeReportFilter | None, arg("Which time; all where left out.")] = None,  # noqa: A002
    group_by: Annotated[
        list[GroupBy] | None, arg("How to group, from the outside in; the total alone if left out.")
    ] = None,
    timezone: Annotated[
        str | None,
        arg("The IANA zone whose midnights divide the days, such as Europe/Zurich; yours if not."),
    ] = None,
    week_start: Annotated[
        WeekDay | None, arg("The day on which weeks begin; that of your profile if left out.")
    ] = None,
) -> _Report:
    viewer = info.viewer
    viewer.require()
    wanted = wanted_of(viewer, given(filter), given(group_by), given(timezone), given(week_start))
    return _Report(wanted, await wanted.read(info.context.services.database.reader, viewer))


@strawberry.type
class TimeReportQuery:
    """Root fields."""

    time_report: TimeReport = root(
        _time_report,
        "Time summed up in nested groups, over the entries that you may see: your own, and "
        "everybody's in projects that you own or administrate. Running timers count up to now. At "
        f"most {MAX_GROUPS:,} innermost groups.",
    )
