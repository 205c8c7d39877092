"""The entries of a report and of its groups, as pages.

A group's entries are those that it counts: entries that the viewer can see, that match the report's
filter and have time on the group's days, with the keys of the group and of the groups around it.
The groups of one level are read by one statement for each combination of keys that are none.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    Text,
    Uuid,
    and_,
    bindparam,
    cast,
    func,
    not_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer
from db import models
from db.base import Base
from domain import timezones
from domain.time.export_rows import Days, on_days
from domain.time.report import TIMES, Group, GroupBy
from errors import ErrorCode, Failure
from graph.core.fields import BatchInfo, batch
from graph.core.selection import Selection
from graph.engine.state import EngineState
from graph.kit import paging
from graph.kit.filter_values import Binds
from graph.kit.loading import below
from graph.kit.predicates import build_filter
from graph.types.time.time_entry import NEWEST_FIRST
from graph.types.time.time_inputs import TimeEntryOrder

if TYPE_CHECKING:
    from graph.types.time.report import Wanted

# Of how many groups one field returns the entries.
MAX_GROUPS = 200
_WEEK = dt.timedelta(days=6)


@dataclass(frozen=True, slots=True)
class _Counted:
    """Whether a group counts an entry: the condition of its list, without the values.

    `keys` are those of the group and of the groups around it, each with whether it is none.
    """

    filter_shape: Hashable
    has_first: bool
    has_last: bool
    keys: tuple[tuple[GroupBy, bool], ...]

    def __call__(self, viewer: Viewer, entry: Any) -> Any:
        found = [true(), *on_days(entry, has_first=self.has_first, has_last=self.has_last)]
        if self.filter_shape is not None:
            found.append(build_filter(self.filter_shape, entry, viewer, Binds()))
        found += [_has_key(by, entry, viewer, is_none=is_none) for by, is_none in self.keys]
        return and_(*found)


def _has_key(by: GroupBy, entry: Any, viewer: Viewer, *, is_none: bool) -> Any:
    key = f"group_{by.value}"
    if by is GroupBy.BILLABLE:
        return entry.is_billable == bindparam(key, type_=Boolean())
    if by is GroupBy.TAG:
        if is_none:
            return func.cardinality(entry.tag_keys) == 0
        return entry.tag_keys.contains(cast(array([bindparam(key, type_=Text())]), ARRAY(Text())))
    column = {
        GroupBy.PROJECT: entry.project_id,
        GroupBy.TASK: entry.task_id,
        GroupBy.USER: entry.user_id,
    }[by]
    if not is_none:
        return column == bindparam(key, type_=Uuid())
    # What the viewer cannot see is in the group of none.
    models_of: Mapping[GroupBy, type[Base]] = {
        GroupBy.PROJECT: models.Project,
        GroupBy.TASK: models.Task,
        GroupBy.USER: models.User,
    }
    seen: Any = aliased(models_of[by])
    return not_(select(1).where(seen.id == column, access.read(viewer, seen)).exists())


def _days_of(wanted: Wanted, keys: Mapping[GroupBy, Any]) -> Days:
    """The days of a group: those of the report that are in its day, week and month."""
    days = Days(wanted.first, wanted.last, timezones.zone(wanted.timezone))
    for by in TIMES & keys.keys():
        first: dt.date = keys[by]
        last = first
        if by is GroupBy.WEEK:
            last = first + _WEEK
        elif by is GroupBy.MONTH:
            last = (first.replace(day=28) + dt.timedelta(days=4)).replace(day=1)
            last -= dt.timedelta(days=1)
        days = replace(
            days, first=max(first, days.first or first), last=min(last, days.last or last)
        )
    return days


async def _entries(
    parents: Sequence[Any], info: BatchInfo, **arguments: Any
) -> list[paging.Page | Exception]:
    """A page for each report or group."""
    engine = info.context.of(EngineState)
    with engine.branching(len(parents)) if engine.branches else nullcontext():
        # Of one shape, they become one statement.
        return list(await asyncio.gather(*(_page(parent, info, arguments) for parent in parents)))


async def _page(group: Group, info: BatchInfo, arguments: Mapping[str, Any]) -> paging.Page:
    wanted: Wanted = group.request
    keys = dict(zip(wanted.shape.group_by, group.path, strict=False))
    days = _days_of(wanted, keys)
    values = {by: key for by, key in keys.items() if by not in TIMES}
    counted = _Counted(
        wanted.filter_shape,
        days.first is not None,
        days.last is not None,
        tuple((by, key is None) for by, key in values.items()),
    )
    pages = await paging.read_pages(
        info,
        models.TimeEntry,
        default_order=NEWEST_FIRST,
        where=counted,
        params={
            **wanted.filter_params,
            **days.params,
            **{f"group_{by.value}": key for by, key in values.items()},
        },
        total=group.count,
        **arguments,
    )
    return pages[None]


def demand_few(groups: Sequence[Group], selection: Selection | None) -> None:
    """Raise `LIMIT_EXCEEDED` if the entries of too many groups are selected below `groups`."""
    level = groups
    while level:
        selection = below(selection, "groups")
        if selection is None:
            return
        if len(level) > MAX_GROUPS and below(selection, "timeEntries") is not None:
            raise Failure(
                f"The entries of at most {MAX_GROUPS} groups can be read at once; the report has "
                f"{len(level):,}. Choose fewer days or a narrower filter.",
                path=("group_by",),
                code=ErrorCode.LIMIT_EXCEEDED,
                limit=MAX_GROUPS,
                actual=len(level),
            )
        level = [inner for group in level for inner in group.groups]


def entries_field(description: str) -> Any:
    """`timeEntries` of a type whose rows are groups."""
    return batch(
        _entries, description, arguments=paging.paging_arguments(order_type=TimeEntryOrder)
    )
