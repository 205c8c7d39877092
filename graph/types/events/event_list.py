"""`events`: the log as a subscription delivers it, and the number of events that match a filter.

It is read in stretches, and each event is tested as a subscription does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    ARRAY,
    DateTime,
    Uuid,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import ViewerShape, placeholder_viewer
from db import models
from db.statements import Statement, select_from
from errors import ErrorCode, Failure
from events.cursor import Cursor, Place
from events.log import PAGE, cursor_of
from events.log_statements import is_complete, is_from, place_of
from graph.core.context import Context
from graph.core.fields import BatchInfo
from graph.core.inputs import given
from graph.kit import counting
from graph.kit.filter_values import Binds
from graph.kit.ordering import SortOrder
from graph.kit.paging import Page, count
from graph.kit.predicates import build_filter
from graph.types.events.event_connection import Asked, LogPage, asked_of, bound_place, bound_xid
from graph.types.events.event_filter import EventFilter
from graph.types.events.wanted import LOSS, Wanted, wanted_of

# Parts of the log that one answer reads before it returns a cursor to continue from, and that a
# count reads.
_STRETCHES = 4
_COUNTED = 40


async def read_events(
    info: BatchInfo,
    *,
    filter: EventFilter | None = None,  # noqa: A002 - the argument's name in the schema
    **options: Any,
) -> Page:
    """The page of `events`: what `taskEvents` with this filter delivers, from what is kept for
    replay.
    """
    context = info.context
    context.viewer.require()
    wanted = wanted_of(context, given(filter))
    asked = await asked_of(context, SortOrder.ASC, follows=True, **options)
    first = await context.services.live.log.first(context.now)
    page = await _read_log(context, wanted, asked, first)
    if info.selection.child("totalCount") is not None:

        async def total() -> Mapping[Any, int]:
            return {None: await _count_log(context, wanted, first)}

        await count({None: page}, total())
    return page


async def _read_log(context: Context, wanted: Wanted, asked: Asked, first: Cursor) -> LogPage:
    window = asked.window
    low, high = asked.after, asked.before
    if asked.descending:
        low, high = high, low
    start = first if low is None or low.place < first.place else low
    if asked.descending != window.backward:
        stop = high or (await context.services.live.log.head()).cursor
        rows, end, more = await _downward(context, wanted, stop, start.place, window.limit)
    else:
        rows, end, more = await _upward(context, wanted, start, high, window.limit)
    page = LogPage(rows)
    if window.backward:
        page.rows.reverse()
        page.has_previous, page.has_next = more, asked.before is not None
        page.start = str(end)
        other = asked.before or (await context.services.live.log.head()).cursor
        page.end = cursor_of(page.rows[-1]) if page.rows else str(other)
    else:
        page.has_previous, page.has_next = asked.after is not None, more
        page.start = cursor_of(rows[0]) if rows else None
        page.end = str(end)
    return page


_Read = tuple[list[Any], Cursor, bool]


async def _upward(
    context: Context, wanted: Wanted, start: Cursor, high: Cursor | None, limit: int
) -> _Read:
    """The events after a place, how far the log was read, and whether there may be more."""
    log, user_id = context.services.live.log, context.viewer.require()
    rows: list[Any] = []
    end = start
    for _ in range(_STRETCHES):
        page = await log.read_visible(user_id, end.place, limit=PAGE)
        found = page.rows
        if high is not None:
            found = [row for row in found if (row.xid, row.position) < high.place]
        for row in await wanted.select(found):
            if len(rows) == limit:
                return rows, _cursor(rows[-1]) if rows else start, True
            rows.append(row)
        if high is not None and (len(found) < len(page.rows) or page.cursor.place >= high.place):
            # Just before the place, so that the event there follows.
            last = Cursor(high.epoch, high.xid, max(high.position - 1, 0))
            return rows, max(last, start, key=attrgetter("place")), False
        end = page.cursor
        if not page.more:
            return rows, end, False
    return rows, end, True


async def _downward(
    context: Context, wanted: Wanted, high: Cursor, first: Place, limit: int
) -> _Read:
    """The events before a place, newest first; otherwise as `_upward`."""
    log, user_id = context.services.live.log, context.viewer.require()
    rows: list[Any] = []
    end = high
    for _ in range(_STRETCHES):
        page = await log.read_visible_before(user_id, end.place, first, limit=PAGE)
        for row in await wanted.select(page.rows):
            if len(rows) == limit:
                return rows, _cursor(rows[-1]) if rows else high, True
            rows.append(row)
        end = page.cursor
        if not page.more:
            return rows, end, False
    return rows, end, True


def _cursor(row: Any) -> Cursor:
    return Cursor(row.epoch, row.xid, row.position)


async def _count_log(context: Context, wanted: Wanted, first: Cursor) -> int:
    if not wanted.by_state:
        return await _total(context, wanted, {"after_0": first.xid, "after_1": first.position})
    # Whether a task stopped matching is known for one event at a time only.
    total, end = 0, first
    for _ in range(_COUNTED):
        page = await context.services.live.log.read_visible(context.viewer.require(), end.place)
        total += len(await wanted.select(page.rows))
        end = page.cursor
        if not page.more or total > counting.EXACT_UP_TO:
            return counting.bounded(total)
    raise Failure(
        "There are too many events to test each by the state of its task. Ask for totalCount "
        "with a filter that names no more of a task than its ID.",
        path=("total_count",),
        code=ErrorCode.LIMIT_EXCEEDED,
    )


async def count_of_period(
    context: Context, wanted: Wanted, start: dt.datetime, end: dt.datetime
) -> int:
    """The number of events of a period that match, without those with which a task stopped
    matching; `end` is not included.
    """
    return await _total(context, wanted, {"start": start, "end": end})


async def _total(context: Context, wanted: Wanted, bounds: Mapping[str, Any]) -> int:
    params = {
        **wanted.viewer.params,
        **(wanted.params or {}),
        **bounds,
        "tasks": list(wanted.events.tasks or ()),
        "projects": list(wanted.events.projects or ()),
    }
    statement = _log_count(
        wanted.shape,
        wanted.viewer.shape,
        by_tasks=wanted.events.tasks is not None,
        by_projects=wanted.events.projects is not None,
        of_period="end" in bounds,
    )
    (row,) = await context.services.database.reader.fetch(statement, params)
    return int(row.total)


@lru_cache(maxsize=200)
def _log_count(
    shape: Hashable,
    viewer_shape: ViewerShape,
    *,
    by_tasks: bool,
    by_projects: bool,
    of_period: bool,
) -> Statement:
    """The number of events that `events.filter.LogFilter` passes."""
    viewer = placeholder_viewer(viewer_shape)
    event = aliased(models.Event, name="event")
    loss = event.kind == LOSS
    named: list[Any] = []
    if by_projects:
        named.append(event.project_id == bindparam("projects", type_=ARRAY(Uuid())).any_())
    if by_tasks:
        tasks = event.task_id == bindparam("tasks", type_=ARRAY(Uuid())).any_()
        named = [or_(event.task_id.is_(None), and_(tasks, *named))]
    about_work = or_(
        event.task_id.is_not(None), event.project_id.is_not(None), event.kind == "REMINDER_DUE"
    )
    matches = true() if shape is None else build_filter(shape, event, viewer, Binds())
    wanted = or_(and_(loss, *named), and_(~loss, about_work, matches))
    if of_period:
        start, end = (bindparam(name, type_=DateTime(timezone=True)) for name in ("start", "end"))
        bounds = [event.at >= start, event.at < end]
    else:
        from_ = is_from(event, bound_xid("after"))
        bounds = [place_of(event) > bound_place("after"), from_, is_complete(event)]
    query: Any = select_from(event, literal_column("1").label("one"))
    query = query.where(*bounds, access.read(viewer, event), wanted)
    if of_period:
        return Statement(select(func.count().label("total")).select_from(query.subquery()))
    return Statement(counting.number_of(query))
