"""Time reports in the schema; `domain.time.report` computes them."""

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
from db.read import Fetching
from db.statements import Statement
from domain import rules
from domain.time import report as domain
from domain.time.report import MAX_GROUPS, Group, GroupBy
from errors import BadInput, ErrorCode, Failure, Problems, collecting, refuse, refuse_all
from graph.core.fields import BatchInfo, arg, batch, derived, root
from graph.core.inputs import given, optional
from graph.core.node import described_enum
from graph.core.scalars import Seconds, TimeZone
from graph.kit.filter_values import Binds, Values
from graph.kit.loading import load_objects
from graph.kit.predicates import build_filter, filter_shape
from graph.types.accounts.user import User
from graph.types.projects.project import Project
from graph.types.tasks.task import Task
from graph.types.time.report_entries import MAX_GROUPS as MAX_GROUPS_WITH_ENTRIES
from graph.types.time.report_entries import demand_few, entries_field
from graph.types.time.time_entry import TimeEntryConnection
from graph.types.time.time_inputs import TimeEntryFilter

described_enum(
    GroupBy,
    "What the entries of a report are grouped by.",
    {
        GroupBy.PROJECT: (
            "By project. Entries without a project and those in projects that you cannot see "
            "form one group."
        ),
        GroupBy.TASK: (
            "By task. Entries without a task and those on tasks that you cannot see form one group."
        ),
        GroupBy.USER: "By user.",
        GroupBy.TAG: (
            "By tag; case is ignored. An entry with two tags counts in both groups, so the "
            "totals of TAG groups can exceed the total of the group they are in."
        ),
        GroupBy.DAY: "By day in the report's time zone. Entries that span midnight are split.",
        GroupBy.WEEK: "By week, identified by its first day.",
        GroupBy.MONTH: "By month, identified by its first day.",
        GroupBy.BILLABLE: "By whether the time is billable.",
    },
    name="TimeReportGroupBy",
)


@strawberry.input(description="Filter for time reports.")
class TimeReportFilter:
    """Filter by days and by conditions on entries."""

    first_day: dt.date | None = optional(
        "The first day, in the report's time zone. Of an entry that started earlier, only the "
        "time after midnight of that day counts."
    )
    last_day: dt.date | None = optional(
        "The last day, in the report's time zone. Of an entry that ends later, only the time up "
        "to the end of that day counts."
    )
    entries: TimeEntryFilter | None = optional("Includes only entries that match this filter.")


# --- requests ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """A validated report request: which groups of which entries."""

    shape: domain.Shape
    timezone: str
    week_start: WeekDay
    first: dt.date | None
    last: dt.date | None
    filter_shape: Hashable
    filter_params: Mapping[str, Any]

    async def rows(self, reader: Fetching, viewer: Viewer, limit: int = MAX_GROUPS) -> list[Any]:
        """The innermost groups, computed from the entries that the viewer can read. Raises
        `LIMIT_EXCEEDED` if there are more than `limit`.
        """
        statement = _statement(self.shape, self.filter_shape, viewer.shape)
        rows: list[Any] = await reader.fetch(statement, self.params(viewer, limit))
        if len(rows) > limit:
            raise Failure(
                f"The report has more than {limit:,} groups. Choose fewer days or fewer values "
                "in groupBy.",
                path=("group_by",),
                code=ErrorCode.LIMIT_EXCEEDED,
                limit=limit,
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
        """The report. Projects and tasks that the viewer cannot see are merged with the group of
        none.
        """
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

        return domain.add_up(rows, self.shape, shown, self)


@lru_cache(maxsize=500)
def _statement(
    shape: domain.Shape, filter_shaped: Hashable, viewer_shape: ViewerShape
) -> Statement:
    return Statement(domain.statement(shape, predicates(filter_shaped, viewer_shape)))


def predicates(filter_shaped: Hashable, viewer_shape: ViewerShape) -> Any:
    """The predicates of a filter's shape, as a function of the entity."""
    viewer = placeholder_viewer(viewer_shape)

    def where(entity: Any) -> list[Any]:
        found = [access.read(viewer, entity)]
        if filter_shaped is not None:
            found.append(build_filter(filter_shaped, entity, viewer, Binds()))
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
    """The names of those objects that the viewer can see."""
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
    """Check the arguments of a report. Raises `BadInput` with the path of each invalid argument."""
    first = last = None
    values = Values()
    shaped: Hashable = None
    if filter_ is not None:
        first, last = given(filter_.first_day), given(filter_.last_day)
        for name, day in (("first_day", first), ("last_day", last)):
            if day is not None:
                rules.end_of_day(day, "UTC", ("filter", name))
        if first is not None and last is not None and last < first:
            refuse(BadInput("lastDay must not be before firstDay.", path=("filter", "last_day")))
        path = ("filter", "entries")
        if filter_.entries is None:
            refuse(BadInput("entries must not be null; omit it instead.", path=path))
        elif filter_.entries is not strawberry.UNSET:
            problems = Problems()
            with problems.collect():
                shaped = filter_shape(filter_.entries, values, path)
            refuse_all(problems)
    keys = tuple(group_by or ())
    for index, by in enumerate(keys):
        if by in keys[:index]:
            refuse(BadInput(f"groupBy contains {by.name} twice.", path=("group_by", index)))
    zone = rules.timezone(viewer.timezone if timezone is None else timezone, ("timezone",))
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
    return derived((), lambda group: group.seconds, "The tracked time.")


def _billable() -> Any:
    return derived((), lambda group: group.billable_seconds, "The billable time.")


def _count() -> Any:
    return derived(
        (), lambda group: group.count, "The number of entries with time in this group or period."
    )


_WHOLE = (
    "An entry that is also on other days is returned whole, while the group has only its time on "
    "the group's days."
)


@strawberry.type(description="The time of one group, and its subgroups.")
class TimeReportGroup:
    """Reads from `domain.time.report.Group`."""

    by: GroupBy = derived((), lambda group: group.by, "The criterion of this group.")
    project: Project | None = _object(
        GroupBy.PROJECT,
        models.Project,
        "The project of a PROJECT group; null for entries without a visible project.",
    )
    task: Task | None = _object(
        GroupBy.TASK,
        models.Task,
        "The task of a TASK group; null for entries without a visible task.",
    )
    user: User | None = _object(
        GroupBy.USER, models.User, "The user of a USER group; null if the account was deleted."
    )
    tag: str | None = _value(GroupBy.TAG, "The tag of a TAG group; null for entries without tags.")
    day: dt.date | None = _value(GroupBy.DAY, "The day of a DAY group.")
    week: dt.date | None = _value(GroupBy.WEEK, "The first day of a WEEK group.")
    month: dt.date | None = _value(GroupBy.MONTH, "The first day of a MONTH group.")
    is_billable: bool | None = _value(
        GroupBy.BILLABLE, "Whether the time of a BILLABLE group is billable."
    )
    total: Seconds = _seconds()
    billable: Seconds = _billable()
    count: int = _count()
    groups: list[TimeReportGroup] = derived(
        (), lambda group: group.groups, "The groups of the next level; empty at the last level."
    )
    time_entries: TimeEntryConnection = entries_field(
        f"The entries that the group counts, newest first by default. {_WHOLE} The entries of at "
        f"most {MAX_GROUPS_WITH_ENTRIES} groups of a level can be read at once."
    )


@strawberry.type(
    description=(
        "A sum of tracked time in groups. The seconds of groups add up exactly to those of "
        "their parent group and to the total, except TAG groups: an entry counts once per tag. "
        "Days, weeks and months are in chronological order; other groups are ordered by time "
        "spent, longest first."
    )
)
class TimeReport:
    """Reads from the `Group` of the whole report."""

    timezone: TimeZone = derived(
        (),
        lambda report: report.request.timezone,
        "The time zone whose midnights separate the days.",
    )
    total: Seconds = _seconds()
    billable: Seconds = _billable()
    count: int = _count()
    groups: list[TimeReportGroup] = derived(
        (), lambda report: report.groups, "The groups of the first level."
    )
    time_entries: TimeEntryConnection = entries_field(
        "The entries that the report counts, newest first by default. An entry that starts before "
        "the first day or ends after the last one is returned whole, while the report has only its "
        "time on its days."
    )


async def _time_report(
    info: BatchInfo,
    filter: Annotated[TimeReportFilter | None, arg("All time by default.")] = None,  # noqa: A002
    group_by: Annotated[
        list[GroupBy] | None,
        arg(
            "How to group, from the outermost to the innermost level. Omit it to get only the "
            "total."
        ),
    ] = None,
    timezone: Annotated[
        TimeZone | None,
        arg("The time zone whose midnights separate the days. Defaults to your own."),
    ] = None,
    week_start: Annotated[
        WeekDay | None, arg("The first day of the week. Defaults to the one in your profile.")
    ] = None,
) -> Group:
    viewer = info.viewer
    viewer.require()
    with collecting():
        wanted = wanted_of(
            viewer, given(filter), given(group_by), given(timezone), given(week_start)
        )
    report = await wanted.read(info.context.services.database.reader, viewer)
    demand_few(report.groups, info.selection)
    return report


@strawberry.type
class TimeReportQuery:
    time_report: TimeReport = root(
        _time_report,
        "Sums tracked time in nested groups, over the entries that you can see: your own, and "
        "everyone's in projects that you own or administer. Running timers count up to now. "
        f"Returns at most {MAX_GROUPS:,} innermost groups.",
    )
