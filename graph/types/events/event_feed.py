"""Feeds of events: what happened to one thing, or what somebody did, read as any list is."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Uuid,
    bindparam,
    column,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db import models
from db.models import LogEpoch
from db.statements import Plan, Statement, select_from
from events.epoch import ROW
from events.log_statements import COLUMNS, is_complete, is_from, place_of
from graph.core.fields import BatchInfo
from graph.kit import counting
from graph.kit.filter_values import Binds, Values
from graph.kit.ordering import SortOrder
from graph.kit.paging import Page, Window, count, cut
from graph.kit.predicates import build_filter, filter_shape
from graph.types.events.event_connection import EventPage, asked_of, bound_place, bound_xid
from graph.types.events.event_filter import EventFilter


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


def _on_side(event: Any, name: str, *, above: bool, inclusive: bool) -> ColumnElement[bool]:
    place, bound = place_of(event), bound_place(name)
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
                query = query.where(is_from(event, bound_xid(name)))
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
    asked = await asked_of(info.context, SortOrder.DESC, follows=False, **options)
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
    pages: dict[Any, Page] = {key: EventPage([]) for key in keys}
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
