"""Lists of events: one connection for feeds, the audit log and `events`.

All of them are in the order of the log, by event cursors: a cursor of one is valid in every other
one, and in `taskEvents`. They end at the log's horizon (`events.log`), where nothing can still
appear before what is already there; usually that is a few milliseconds behind the present.

A feed is read like any list, in one statement (`event_feed`). `events` shows what a subscription
delivers, in which losses of access and events with which a task stopped matching are included
(`event_list`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import BigInteger, ColumnElement, bindparam, cast, tuple_
from strawberry.types.arguments import StrawberryArgument

from db.models.event import Xid8
from errors import BadInput
from events.cursor import Cursor
from events.log import cursor_of
from graph.core.context import Context
from graph.core.fields import argument, derived
from graph.kit import counting, ordering, paging
from graph.kit.ordering import SortOrder
from graph.kit.paging import Page, PageInfo, Window
from graph.types.events.event_filter import EventFilter

if TYPE_CHECKING:
    from graph.types.events.event import Event

_Event = Annotated["Event", strawberry.lazy("graph.types.events.event")]


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


class EventPage(Page):
    """A page whose cursors are those of events."""

    def cursor(self, row: Any) -> str:
        return cursor_of(row)


@dataclass(slots=True)
class LogPage(EventPage):
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
class Asked:
    """The checked arguments of one list."""

    window: Window
    descending: bool
    after: Cursor | None
    before: Cursor | None


async def asked_of(
    context: Context,
    default: SortOrder,
    *,
    follows: bool,
    order_by: Sequence[EventOrder] | None = None,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> Asked:
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
    return Asked(window, descending, places["after"], places["before"])


def bound_xid(name: str) -> ColumnElement[Any]:
    """The transaction of the place that is passed under this name, as for `Window.params`."""
    return cast(bindparam(f"{name}_0", type_=Xid8()), Xid8())


def bound_place(name: str) -> Any:
    """That place, in SQL."""
    return tuple_(bound_xid(name), bindparam(f"{name}_1", type_=BigInteger()))
