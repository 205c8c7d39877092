"""Reading the event log without gaps and without duplicates.

Transactions commit in a different order than they start, so a reader that remembers the highest
number it saw skips events that commit later with a lower number. So each event carries its
transaction, and readers read in the order of `(xid, position)`, and only below the *horizon*: the
oldest transaction on the server that is still open (`pg_snapshot_xmin`). All transactions below it
have ended, so what is read there is complete, and a place in that order is a cursor. In a test with
24 writers, reading by number alone lost 2,213 of 4,858 events and this order none, at the same
speed.

The price: an open writing transaction anywhere on the server holds back new events until it ends.
So session timeouts keep transactions short, and `lag` tells how far readers are behind.

The log has a partition for each month (`events.months`). A statement that reads from a cursor adds
a lower bound of positions (`is_from`), so that PostgreSQL leaves the partitions before it alone.

The horizon only moves forward, and it is a cursor itself: `(horizon, 0)` is the place before
everything that can still appear (`head`).

Access is checked by `access(viewer_id, entity)`, a predicate that is passed in, since this package
does not depend on `auth`. `viewer_id` is an SQL expression, so that one statement can check many
users.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    Uuid,
    and_,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import aliased

from db.base import Base
from db.models import Event, LogEpoch
from db.models.event import Xid8
from db.read import AllRows, Plan, Reader, Statement
from db.replica import leave_replica
from errors import CursorExpired, Unavailable
from events.cursor import Cursor, Place
from events.epoch import ROW
from events.months import first_position

Access = Callable[[ColumnElement[UUID], Any], ColumnElement[bool]]
"""`access(viewer_id, entity)`: whether the user can read a row of the entity."""

PAGE = 500
"""The number of events per page of a replay."""

# The number of log rows that a viewer's page searches at most, so that a user who can see nothing
# on a busy server costs little. The page then ends early, with a cursor to continue from.
_WINDOW = 5_000

# Everything that the fields of an event need; `graph.types.events.event` hides address and session
# from others.
COLUMNS = (
    Event.xid,
    Event.position,
    Event.id,
    Event.at,
    Event.kind,
    Event.actor_id,
    Event.ip,
    Event.session_id,
    Event.api_key_id,
    Event.integration_id,
    Event.request_id,
    Event.trace,
    Event.subject_type,
    Event.subject_id,
    Event.task_id,
    Event.project_id,
    Event.changes,
)

_EXPIRED = (
    "This event cursor has expired: {why}. Reload your data together with a new `eventCursor`, "
    "and continue from there."
)


class EventPage(NamedTuple):
    """Events in order, and where to continue."""

    rows: list[Any]
    cursor: Cursor
    # Whether more can be read now; False at the horizon.
    more: bool
    # Whether committed events wait behind the horizon.
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The current end of what can be read."""

    cursor: Cursor
    # The seconds that the oldest event behind the horizon has waited; 0 if there is none.
    lag: float
    # Whether there is one. Its time is of another clock than the database's, so `lag` can be 0.
    waiting: bool


class EventLog:
    """The log for readers; one per process. `replay` is the maximum age of a resumed event."""

    def __init__(self, reader: Reader, access: Access, *, replay: dt.timedelta) -> None:
        # As the server (`db.row_security`): a page is bounded by how many events it reads, and not
        # only by those that the user can see, or it could go through the whole log.
        self._reader = AllRows(reader)
        self._replay = replay
        # The statements contain the predicates of `access`, and are compiled once. They are planned
        # once, too: with these predicates that takes five times as long as reading a page.
        self._raw = Statement(_after(None), Event, plan=Plan.ONCE)
        self._visible = Statement(_after(access), Event, plan=Plan.ONCE)
        self._visible_before = Statement(_before(access), Event, plan=Plan.ONCE)
        self._allowed = Statement(_allowed(access), plan=Plan.ONCE)
        self._readable = lru_cache(
            lambda model: Statement(_readable_pairs(access, model), plan=Plan.ONCE)
        )

    # --- places ----------------------------------------------------------------------------------

    async def head(self) -> Head:
        """A cursor before everything that is not complete yet.

        Everything before it is visible to reads *after* this call. So read first the cursor, then
        the state, then the events after the cursor, and nothing is missed.
        """
        row = await self._one(_HEAD, {})
        return Head(Cursor(row.epoch, row.horizon, 0), float(row.lag), row.waiting)

    async def resume(
        self, text: str, now: dt.datetime, path: Sequence[str | int] = ("after",)
    ) -> Cursor:
        """The cursor that a client sent, if the log can be read from it without a gap. Empty text
        means the start of what is kept for replay.

        Raises `BadInput` if the text is not a cursor, and `CursorExpired` if it belongs to another
        epoch, or if the event after it is older than what is kept for replay.
        """
        if not text:
            return await self.first(now)
        cursor, following = await self._known(text, path)
        too_old = following.at is not None and following.at < now - self._replay
        if too_old or following.gap:
            why = f"events are kept for {self._replay.days} days"
            raise CursorExpired(_EXPIRED.format(why=why), path=path)
        return cursor

    async def first(self, now: dt.datetime) -> Cursor:
        """The start of what is kept for replay."""
        row = await self._one(_FIRST, {"since": now - self._replay})
        return Cursor(row.epoch, row.xid, row.position)

    async def place(self, text: str, path: Sequence[str | int]) -> Cursor:
        """The cursor that a client sent, however old: for lists that are read in either direction.

        Raises `BadInput`, and `CursorExpired` for another epoch.
        """
        return (await self._known(text, path))[0]

    async def _known(self, text: str, path: Sequence[str | int]) -> tuple[Cursor, Any]:
        """A cursor of this epoch; `at`: the time of the event after it, if there is one; `gap`:
        whether events after it were deleted.
        """
        cursor = Cursor.parse(text, path)
        place = {"xid": cursor.xid, "position": cursor.position}
        row = await self._one(_NEXT, place)
        if _is_elsewhere(cursor, row) and leave_replica():
            # A cursor that came with an event may be ahead of the replica.
            row = await self._one(_NEXT, place)
        if _is_elsewhere(cursor, row):
            raise CursorExpired(
                _EXPIRED.format(why="the database was restored after it was issued"), path=path
            )
        return cursor, row

    # --- events ----------------------------------------------------------------------------------

    async def read_after(self, place: Place, *, limit: int = PAGE) -> EventPage:
        """All events after a place, without access checks."""
        return await self._page(self._raw, place, limit, {})

    async def read_at(self, position: int) -> Any | None:
        """The event at this position, or None if it was deleted."""
        rows = await self._reader.fetch(_AT, {"position": position})
        return rows[0] if rows else None

    async def read_visible(self, viewer_id: UUID, place: Place, *, limit: int = PAGE) -> EventPage:
        """The events after a place that this user can see now.

        A page can have fewer than `limit` events, even none, although there are more.
        """
        return await self._page(self._visible, place, limit, {"viewer_id": viewer_id})

    async def read_visible_before(
        self, viewer_id: UUID, place: Place, first: Place, *, limit: int = PAGE
    ) -> EventPage:
        """The events between two places (both excluded) that this user can see now, newest first.

        `cursor` is how far it read; a page can have fewer than `limit` events, even none, although
        there are more.
        """
        (xid, position), (first_xid, first_position) = place, first
        rows: list[Any] = await self._reader.fetch(
            self._visible_before,
            {
                "xid": xid,
                "position": position,
                "first_xid": first_xid,
                "first_position": first_position,
                "limit": limit,
                "viewer_id": viewer_id,
            },
        )
        if not rows:
            raise _no_epoch()
        found = [] if rows[0].id is None else rows
        if len(found) >= limit:
            end = (found[-1].xid, found[-1].position)
        elif rows[0].end_xid is not None:
            end = (rows[0].end_xid, rows[0].end_position)
        else:
            return EventPage(found, Cursor(rows[0].epoch, *first), more=False)
        return EventPage(found, Cursor(rows[0].epoch, *end), more=True)

    async def allowed(self, pairs: Collection[tuple[int, UUID]]) -> set[tuple[int, UUID]]:
        """Those pairs of an event's position and a user for which the user can see the event."""
        return await self._pairs(self._allowed, pairs) if pairs else set()

    async def readable(
        self, model: type[Base], pairs: Collection[tuple[UUID, UUID]]
    ) -> set[tuple[UUID, UUID]]:
        """Those pairs of a row's ID and a user for which the user can see the row."""
        # The statement takes 20 ms to make, and most readers name nothing.
        return await self._pairs(self._readable(model), pairs) if pairs else set()

    # --- internals -------------------------------------------------------------------------------

    async def _page(
        self, statement: Statement, place: Place, limit: int, params: dict[str, Any]
    ) -> EventPage:
        xid, position = place
        rows: list[Any] = await self._reader.fetch(
            statement, {"xid": xid, "position": position, "limit": limit, **params}
        )
        if not rows:
            raise _no_epoch()
        first = rows[0]
        found = [] if first.id is None else rows
        if len(found) >= limit:
            end = (found[-1].xid, found[-1].position)
        elif first.end_xid is not None:
            end = (first.end_xid, first.end_position)
        else:
            # Never backwards, in case the place is beyond the horizon.
            end = max(place, (first.horizon, 0))
            return EventPage(found, Cursor(first.epoch, *end), more=False, waiting=first.waiting)
        return EventPage(found, Cursor(first.epoch, *end), more=True)

    async def _pairs(self, statement: Statement, pairs: Collection[Any]) -> set[Any]:
        things, viewers = zip(*pairs, strict=True)
        rows = await self._reader.fetch(
            statement, {"things": list(things), "viewers": list(viewers)}
        )
        return {tuple(row) for row in rows}

    async def _one(self, statement: Statement, params: dict[str, Any]) -> Any:
        rows = await self._reader.fetch(statement, params)
        if not rows:
            raise _no_epoch()
        return rows[0]


def cursor_of(row: Any) -> str:
    """An event's own cursor as text: reading after it returns the following events."""
    return str(Cursor(row.epoch, row.xid, row.position))


def _is_elsewhere(cursor: Cursor, row: Any) -> bool:
    """Whether a cursor is of another epoch, or beyond what can be read."""
    return bool(row.epoch != cursor.epoch or cursor.xid > row.horizon)


def _no_epoch() -> Unavailable:
    return Unavailable("The event log is not ready: `ensure_epoch` did not run at start.")


# --- statements ----------------------------------------------------------------------------------

_HORIZON = func.pg_snapshot_xmin(func.pg_current_snapshot(), type_=Xid8())


def place_of(event: Any) -> Any:
    """An event's place, in SQL."""
    return tuple_(event.xid, event.position)


def is_complete(event: Any) -> ColumnElement[bool]:
    """Whether an event is before the horizon, so that nothing can still appear before it."""
    before: ColumnElement[bool] = event.xid < _HORIZON
    return before


def _bind(name: str, type_: Any) -> ColumnElement[Any]:
    # Not "required": the value is passed at each execution, and compiling must not need it.
    return bindparam(name, type_=type_, required=False)


def _given(prefix: str = "") -> Any:
    """The place that is passed to a statement."""
    return tuple_(
        cast(_bind(f"{prefix}xid", Xid8()), Xid8()), _bind(f"{prefix}position", BigInteger())
    )


def is_from(event: Any, xid: ColumnElement[Any]) -> ColumnElement[bool]:
    """True for all events of a transaction and later ones; excludes partitions before them."""
    from_: ColumnElement[bool] = event.position >= first_position(xid)
    return from_


def _beyond(event: Any) -> ColumnElement[bool]:
    xid = cast(_bind("xid", Xid8()), Xid8())
    return and_(place_of(event) > _given(), is_from(event, xid))


def _present() -> Any:
    """The epoch and the horizon, in the snapshot of the statement."""
    return (
        select(LogEpoch.epoch, _HORIZON.label("horizon")).where(LogEpoch.id == ROW).subquery("now")
    )


def _after(access: Access | None) -> Select[Any]:
    """Events after a place. At least one row, with the epoch and the horizon."""
    now = _present()
    event = aliased(Event, name="event")
    rows = select(*(getattr(event, mapped.key).label(mapped.key) for mapped in COLUMNS)).where(
        _beyond(event), event.xid < now.c.horizon
    )
    order = (event.xid, event.position)
    limit = _bind("limit", Integer())
    # Whether anything is committed behind the horizon; uses an index.
    late = aliased(Event, name="late")
    behind = (late.xid >= now.c.horizon, is_from(late, _HORIZON))
    waiting = select(late.position).where(*behind).correlate(now).exists()
    if access is None:
        found = rows.order_by(*order).limit(limit).lateral("found")
        return (
            select(
                now.c.epoch,
                now.c.horizon,
                literal_column("NULL", Xid8()).label("end_xid"),
                literal_column("NULL", BigInteger()).label("end_position"),
                waiting.label("waiting"),
                *found.c,
            )
            .select_from(now.join(found, true(), isouter=True))
            .order_by(found.c.xid, found.c.position)
        )
    last = aliased(Event, name="last")
    end = (
        select(last.xid.label("end_xid"), last.position.label("end_position"))
        .where(_beyond(last), last.xid < now.c.horizon)
        .order_by(last.xid, last.position)
        .offset(_WINDOW - 1)
        .limit(1)
        .lateral("window")
    )
    viewer_id: ColumnElement[UUID] = _bind("viewer_id", Uuid())
    found = (
        rows.where(
            # One range of the index: with an OR, PostgreSQL would go through the rest of the log.
            place_of(event)
            <= tuple_(
                func.coalesce(end.c.end_xid, now.c.horizon, type_=Xid8()),
                func.coalesce(end.c.end_position, 0, type_=BigInteger()),
            ),
            access(viewer_id, event),
        )
        .order_by(*order)
        .limit(limit)
        .lateral("found")
    )
    return (
        select(
            now.c.epoch,
            now.c.horizon,
            end.c.end_xid,
            end.c.end_position,
            waiting.label("waiting"),
            *found.c,
        )
        .select_from(now.join(end, true(), isouter=True).join(found, true(), isouter=True))
        .order_by(found.c.xid, found.c.position)
    )


def _before(access: Access) -> Select[Any]:
    """Events before a place and after another, newest first. At least one row, as for `_after`."""
    now = _present()
    event = aliased(Event, name="event")
    last = aliased(Event, name="last")
    order = (event.xid.desc(), event.position.desc())

    def between(one: Any) -> tuple[ColumnElement[bool], ...]:
        return (
            place_of(one) < _given(),
            place_of(one) > _given("first_"),
            is_from(one, cast(_bind("first_xid", Xid8()), Xid8())),
            one.xid < now.c.horizon,
        )

    end = (
        select(last.xid.label("end_xid"), last.position.label("end_position"))
        .where(*between(last))
        .order_by(last.xid.desc(), last.position.desc())
        .offset(_WINDOW - 1)
        .limit(1)
        .lateral("window")
    )
    viewer_id: ColumnElement[UUID] = _bind("viewer_id", Uuid())
    found = (
        select(*(getattr(event, mapped.key).label(mapped.key) for mapped in COLUMNS))
        .where(
            *between(event),
            place_of(event)
            >= tuple_(
                func.coalesce(
                    end.c.end_xid, cast(_bind("first_xid", Xid8()), Xid8()), type_=Xid8()
                ),
                func.coalesce(end.c.end_position, 0, type_=BigInteger()),
            ),
            access(viewer_id, event),
        )
        .order_by(*order)
        .limit(_bind("limit", Integer()))
        .lateral("found")
    )
    return (
        select(now.c.epoch, now.c.horizon, end.c.end_xid, end.c.end_position, *found.c)
        .select_from(now.join(end, true(), isouter=True).join(found, true(), isouter=True))
        .order_by(found.c.xid.desc(), found.c.position.desc())
    )


def _pairs_of(type_: Any) -> Any:
    """The two lists of pairs as a table of things and viewers."""
    return (
        func.unnest(_bind("things", ARRAY(type_)), _bind("viewers", ARRAY(Uuid())))
        .table_valued(column("thing", type_), column("viewer_id", Uuid()))
        .render_derived(name="pair")
    )


# Written as text on purpose. As a column of `pair`, SQLAlchemy would add the table again to
# subqueries of the access rule that are two levels down (it correlates with the next level only),
# and each of these would then check whether *any* user of the list has the permission.
_PERSON: ColumnElement[UUID] = literal_column("pair.viewer_id", Uuid())


def _allowed(access: Access) -> Select[Any]:
    event = aliased(Event, name="event")
    pair = _pairs_of(BigInteger())
    return (
        select(pair.c.thing, pair.c.viewer_id)
        .select_from(pair.join(event, event.position == pair.c.thing))
        # The positions are of one month, or two.
        .where(event.position.between(_extreme(func.min), _extreme(func.max)))
        .where(access(_PERSON, event))
    )


def _extreme(function: Any) -> Any:
    """The first or last position of the pairs."""
    things = func.unnest(_bind("things", ARRAY(BigInteger))).column_valued("thing")
    return select(function(things)).scalar_subquery()


def _readable_pairs(access: Access, model: Any) -> Select[Any]:
    row = aliased(model, name="watched")
    pair = _pairs_of(Uuid())
    return (
        select(pair.c.thing, pair.c.viewer_id)
        .select_from(pair.join(row, row.id == pair.c.thing))
        .where(access(_PERSON, row))
    )


def _head() -> Select[Any]:
    now = _present()
    late = aliased(Event, name="late")
    behind = (late.xid >= now.c.horizon, is_from(late, _HORIZON))
    # In the order of the index on places. By that on times, which PostgreSQL would choose for a
    # minimum, it could go through the whole log.
    order = (late.xid, late.position)
    first = select(late.at).where(*behind).order_by(*order).limit(_WINDOW).subquery("behind")
    oldest = select(func.min(first.c.at)).scalar_subquery()
    lag = func.coalesce(func.extract("epoch", func.clock_timestamp() - oldest), 0)
    return select(
        now.c.epoch,
        now.c.horizon,
        func.greatest(lag, 0).label("lag"),
        oldest.is_not(None).label("waiting"),
    )


def _next() -> Select[Any]:
    now = _present()
    event = aliased(Event, name="event")
    following = (
        select(event.at)
        .where(_beyond(event), event.xid < now.c.horizon)
        .order_by(event.xid, event.position)
        .limit(1)
        .scalar_subquery()
    )
    pruned = tuple_(LogEpoch.pruned_xid, LogEpoch.pruned_position)
    gap = select(_given() < pruned).where(LogEpoch.id == ROW).scalar_subquery()
    return select(now.c.epoch, now.c.horizon, following.label("at"), gap.label("gap"))


def _first() -> Select[Any]:
    """The place before the oldest event since a time; if there is none, before all future
    events.
    """
    now = _present()
    event = aliased(Event, name="event")
    oldest = (
        select(event.xid, event.position)
        .where(event.at >= _bind("since", DateTime(timezone=True)), event.xid < now.c.horizon)
        .order_by(event.at, event.xid, event.position)
        .limit(1)
        .lateral("oldest")
    )
    return select(
        now.c.epoch,
        func.coalesce(oldest.c.xid, now.c.horizon, type_=Xid8()).label("xid"),
        func.coalesce(oldest.c.position - 1, 0).label("position"),
    ).select_from(now.join(oldest, true(), isouter=True))


def _at() -> Select[Any]:
    event = aliased(Event, name="event")
    columns = (getattr(event, mapped.key).label(mapped.key) for mapped in COLUMNS)
    return select(LogEpoch.epoch, *columns).where(
        event.position == _bind("position", BigInteger()), LogEpoch.id == ROW
    )


_AT = Statement(_at(), Event, plan=Plan.ONCE)
_HEAD = Statement(_head(), plan=Plan.ONCE)
_NEXT = Statement(_next(), plan=Plan.ONCE)
_FIRST = Statement(_first(), plan=Plan.ONCE)

__all__ = [
    "PAGE",
    "Access",
    "EventLog",
    "EventPage",
    "Head",
    "cursor_of",
    "is_complete",
    "is_from",
    "place_of",
]
