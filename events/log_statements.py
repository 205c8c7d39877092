"""The statements that read the event log (`events.log`): places, the horizon, and who sees what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
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

from db.models import Event, LogEpoch
from db.models.event import Xid8
from db.statements import Plan, Statement
from events.epoch import ROW
from events.months import first_position

Access = Callable[[ColumnElement[UUID], Any], ColumnElement[bool]]
"""`access(viewer_id, entity)`: whether the user can read a row of the entity."""

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


def events_after(access: Access | None) -> Select[Any]:
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


def events_before(access: Access) -> Select[Any]:
    """Events before a place and after another, newest first. At least one row, as above."""
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


def allowed_pairs(access: Access) -> Select[Any]:
    """Those pairs of a position and a user of which the user can see the event."""
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


def readable_pairs(access: Access, model: Any) -> Select[Any]:
    """Those pairs of an ID and a user of which the user can see the row."""
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


AT = Statement(_at(), Event, plan=Plan.ONCE)
HEAD = Statement(_head(), plan=Plan.ONCE)
NEXT = Statement(_next(), plan=Plan.ONCE)
FIRST = Statement(_first(), plan=Plan.ONCE)
