"""Lists of events: one connection for feeds, the audit log and `events`.

All of them are in the order of the log, by event cursors: a cursor of one is valid in every other
one, and in `taskEvents`. They end at the log's horizon (`events.log`), where nothing can still
appear before what is already there; usually that is a few milliseconds behind the present.

A feed is read like any list, in one statement. `events` shows what a subscription delivers, in
which losses of access and events with which a task stopped matching are included: it reads the log
in stretches, and tests each event as a subscription does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Uuid,
    and_,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import aliased
from strawberry.types.arguments import StrawberryArgument

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db import models
from db.models import LogEpoch
from db.models.event import Xid8
from db.read import Plan, Statement, select_from
from errors import BadInput, ErrorCode, Failure
from events.cursor import Cursor, Place
from events.epoch import ROW
from events.log import COLUMNS, PAGE, cursor_of, is_complete, is_from, place_of
from graph.core.context import Context
from graph.core.fields import BatchInfo, argument, derived
from graph.core.inputs import given
from graph.kit import counting, ordering, paging
from graph.kit.filter_values import Binds, Values
from graph.kit.ordering import SortOrder
from graph.kit.paging import Page, PageInfo, Window, count, cut
from graph.kit.predicates import build_filter, filter_shape
from graph.types.events.event_filter import EventFilter
from graph.types.events.wanted import LOSS, Wanted, wanted_of

if TYPE_CHECKING:
    from graph.types.events.event import Event

_Event = Annotated["Event", strawberry.lazy("graph.types.events.event")]

# Parts of the log that one answer reads before it returns a cursor to continue from, and that a
# count reads.
_STRETCHES = 4
_COUNTED = 40


# --- types ---------------------------------------------------------------------------------------


@ordering.order_input("Sort key for events. Provide exactly one field.", of=EventFilter)
class EventOrder:
    """The time alone."""


@strawberry.type(description="An event in a list, with its cursor.")
class EventEdge:
    """The edge is the row itself."""

    cursor: str = derived(
        ("epoch", "xid", "position"),
        cursor_of,
        "The event's cursor, valid in every list of events and in `taskEvents`.",
    )
    node: _Event = derived((), lambda row: row, "The event.")


@strawberry.type(
    description="A page of events, in the order in which they became visible. In `events`, a page "
    "can have fewer events than requested, or none, and still have a next page; its "
    "`pageInfo.endCursor` is never null. Continue from it: immediately if `pageInfo.hasNextPage` "
    "is true, otherwise with your next request."
)
class EventConnection:
    edges: list[EventEdge] = derived(
        (), attrgetter("rows"), "The events of this page with their cursors."
    )
    nodes: list[_Event] = derived((), attrgetter("rows"), "The events of this page.")
    page_info: PageInfo = derived((), lambda page: page, "The position of this page in the list.")
    total_count: int = derived(
        (),
        attrgetter("total"),
        f"The number of events in all pages. {counting.DESCRIPTION} Counted only if you select it.",
        may_fail=True,
    )


class _EventPage(Page):
    """A page whose cursors are those of events."""

    def cursor(self, row: Any) -> str:
        return cursor_of(row)


@dataclass(slots=True)
class _LogPage(_EventPage):
    """A page that also knows how far the log was read for it."""

    start: str | None = None
    end: str = ""

    @property
    def start_cursor(self) -> str | None:
        return self.start

    @property
    def end_cursor(self) -> str:
        """Where to continue, also after a page without events."""
        return self.end


# --- arguments -----------------------------------------------------------------------------------


def event_arguments(default: SortOrder) -> list[StrawberryArgument]:
    """The arguments of a list of events; `default` is its order."""
    made = paging.paging_arguments(EventFilter)
    order = argument(
        "order_by",
        list[EventOrder],
        "The order of the events.",
        default=[{"at": default}],
    )
    return [made[0], order, *made[1:]]


def _descending(order_by: Sequence[Any] | None, default: SortOrder) -> bool:
    if order_by is None or not order_by:
        return default is SortOrder.DESC
    if len(order_by) > 1:
        raise BadInput("orderBy contains at twice. Remove one of them.", path=("order_by", 1))
    if order_by[0].at is None:
        raise BadInput(
            "A key of orderBy must not be null. Omit it or set its direction.",
            path=("order_by", 0, "at"),
        )
    return str(order_by[0].at.name).startswith("DESC")


@dataclass(frozen=True, slots=True)
class _Asked:
    """The checked arguments of one list."""

    window: Window
    descending: bool
    after: Cursor | None
    before: Cursor | None


async def _asked(
    context: Context,
    default: SortOrder,
    *,
    follows: bool,
    order_by: Sequence[EventOrder] | None = None,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> _Asked:
    """`follows`: a forward page in the log's own order may be a client's that follows the log, and
    must not miss what is no longer kept for replay.
    """
    size = paging.window_size(first, last)
    descending = _descending(order_by, default)
    backward = last is not None or (before is not None and first is None)
    log = context.services.live.log
    places: dict[str, Cursor | None] = {"after": None, "before": None}
    for name, text in (("after", after), ("before", before)):
        if not text:
            continue
        if follows and name == "after" and not descending:
            places[name] = await log.resume(text, context.now, (name,))
        else:
            places[name] = await log.place(text, (name,))

    def place(name: str) -> tuple[int, int] | None:
        cursor = places[name]
        return None if cursor is None else cursor.place

    window = Window(size, backward, after=place("after"), before=place("before"))
    return _Asked(window, descending, places["after"], places["before"])


# --- feeds ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Feed:
    """Everything that a feed's statement depends on. `child` is the column of its parent."""

    child: str | None
    where: Callable[[Viewer, Any], Any] | None
    right: Callable[[Viewer, Any], Any]
    filter: Hashable
    viewer: ViewerShape
    descending: bool
    backward: bool
    after: bool
    before: bool
    inclusive: bool

    @property
    def plan(self) -> Plan:
        """When PostgreSQL plans the statement."""
        return Plan.ONCE if self.filter is None else Plan.GUESSED


def _conditions(feed: _Feed, event: Any) -> list[Any]:
    viewer = placeholder_viewer(feed.viewer)
    found = [feed.right(viewer, event), is_complete(event)]
    if feed.where is not None:
        found.append(feed.where(viewer, event))
    if feed.filter is not None:
        found.append(build_filter(feed.filter, event, viewer, Binds()))
    return found


def _bound_xid(name: str) -> ColumnElement[Any]:
    return cast(bindparam(f"{name}_0", type_=Xid8()), Xid8())


def _bound(name: str) -> Any:
    return tuple_(_bound_xid(name), bindparam(f"{name}_1", type_=BigInteger()))


def _on_side(event: Any, name: str, *, above: bool, inclusive: bool) -> ColumnElement[bool]:
    place, bound = place_of(event), _bound(name)
    if inclusive:
        return place >= bound if above else place <= bound  # type: ignore[no-any-return]
    return place > bound if above else place < bound  # type: ignore[no-any-return]


@lru_cache(maxsize=500)
def _feed_statement(feed: _Feed) -> Statement:
    event = aliased(models.Event, name="event")
    columns = [getattr(event, mapped.key).label(mapped.key) for mapped in COLUMNS]
    epoch = select(LogEpoch.epoch).where(LogEpoch.id == ROW).scalar_subquery()
    query = select(*columns, epoch.label("epoch")).where(*_conditions(feed, event))
    for name, given_ in (("after", feed.after), ("before", feed.before)):
        if given_:
            above = (name == "after") != feed.descending
            query = query.where(_on_side(event, name, above=above, inclusive=feed.inclusive))
            if above:
                query = query.where(is_from(event, _bound_xid(name)))
    order: list[Any] = [event.xid, event.position]
    if feed.descending != feed.backward:
        order = [event.xid.desc(), event.position.desc()]
    limit = bindparam("limit", type_=Integer())
    if feed.child is None:
        return Statement(query.order_by(*order).limit(limit), models.Event, plan=feed.plan)
    parents = (
        func.unnest(bindparam("parents", type_=ARRAY(Uuid())))
        .table_valued(column("parent_key", Uuid()), with_ordinality="place", name="parents")
        .render_derived()
    )
    query = query.where(getattr(event, feed.child) == parents.c.parent_key)
    rows = query.order_by(*order).limit(limit).lateral("row")
    found = select(parents.c.parent_key, *rows.c).select_from(parents.join(rows, true()))
    return Statement(found, models.Event, plan=feed.plan)


@lru_cache(maxsize=500)
def _feed_count(feed: _Feed) -> Statement:
    event = aliased(models.Event, name="event")
    query: Any = select_from(event, literal_column("1").label("one"))
    query = query.where(*_conditions(feed, event))
    if feed.child is None:
        return Statement(counting.number_of(query), plan=feed.plan)
    parents = (
        func.unnest(bindparam("parents", type_=ARRAY(Uuid())))
        .table_valued(column("parent_key", Uuid()), name="parents")
        .render_derived()
    )
    own = query.where(getattr(event, feed.child) == parents.c.parent_key)
    rows = own.limit(counting.limit()).correlate(parents).lateral("row")
    counted = (
        select_from(parents, func.count().label("total"), parents.c.parent_key)
        .join(rows, true())
        .group_by(parents.c.parent_key)
    )
    return Statement(counted, plan=feed.plan)


async def read_feed(
    info: BatchInfo,
    *,
    child: str | None = None,
    parents: Sequence[UUID] = (),
    where: Callable[[Viewer, Any], Any] | None = None,
    right: Callable[[Viewer, Any], Any] = access.read,
    filter: EventFilter | None = None,  # noqa: A002 - the argument's name in the schema
    **options: Any,
) -> dict[Any, Page]:
    """The page of each parent key (of None if there is no parent); see `graph.kit.paging`."""
    asked = await _asked(info.context, SortOrder.DESC, follows=False, **options)
    window = asked.window
    values = Values()
    shaped = None if filter is None else filter_shape(filter, values, ("filter",))
    reader = info.context.services.database.reader
    params = {**info.viewer.params, **values.params()}

    def feed(of: Window) -> _Feed:
        return _Feed(
            child,
            where,
            right,
            shaped,
            info.viewer.shape,
            asked.descending,
            of.backward,
            of.after is not None,
            of.before is not None,
            of.inclusive,
        )

    async def rows(of: Window, keys: Sequence[Any]) -> Mapping[Any, list[Any]]:
        read: list[Any] = await reader.fetch(
            _feed_statement(feed(of)), {**params, **of.params, "parents": list(keys)}
        )
        if child is None:
            return {None: read}
        return {key: list(own) for key, own in groupby(read, attrgetter("parent_key"))}

    async def beyond(far: Window, keys: Sequence[Any]) -> list[Any]:
        return [key for key, found in (await rows(far, keys)).items() if found]

    keys: Sequence[Any] = list(dict.fromkeys(parents)) if child is not None else [None]
    pages: dict[Any, Page] = {key: _EventPage([]) for key in keys}
    if any(info.selection.child(name) is not None for name in ("nodes", "edges", "pageInfo")):
        for key, found in (await rows(window, keys)).items():
            pages[key].rows += found
        await cut(pages, window, info.selection, beyond)
    if info.selection.child("totalCount") is not None:

        async def totals() -> Mapping[Any, int]:
            all_ = Window(0, False, None, None)
            found = await reader.fetch(_feed_count(feed(all_)), {**params, "parents": list(keys)})
            return {row.parent_key if child is not None else None: row.total for row in found}

        await count(pages, totals())
    return pages


# --- the log -------------------------------------------------------------------------------------


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
    asked = await _asked(context, SortOrder.ASC, follows=True, **options)
    first = await context.services.live.log.first(context.now)
    page = await _read_log(context, wanted, asked, first)
    if info.selection.child("totalCount") is not None:

        async def total() -> Mapping[Any, int]:
            return {None: await _count_log(context, wanted, first)}

        await count({None: page}, total())
    return page


async def _read_log(context: Context, wanted: Wanted, asked: _Asked, first: Cursor) -> _LogPage:
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
    page = _LogPage(rows)
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
        from_ = is_from(event, _bound_xid("after"))
        bounds = [place_of(event) > _bound("after"), from_, is_complete(event)]
    query: Any = select_from(event, literal_column("1").label("one"))
    query = query.where(*bounds, access.read(viewer, event), wanted)
    if of_period:
        return Statement(select(func.count().label("total")).select_from(query.subquery()))
    return Statement(counting.number_of(query))
