"""Which events a stream, a poll or a webhook gets of those that its viewer can see.

All conditions that the events themselves decide are decided on them (`events.filter`); the rest is
asked of the database, for the events that may match. So is what an API key may read of them, since
the log knows only users.

A task that does not match now may have matched before the event. Then the event is delivered as
well, as a `Stopped` row. The task's former state is derived from what this event and all later ones
changed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any
from typing import cast as typing_cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Uuid,
    any_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer, ViewerColumn, ViewerShape, placeholder_viewer
from db import models
from db.base import Ordered
from db.read import Fetching
from db.statements import Statement
from domain import rules
from errors import NotFound
from events.filter import Ask, LogFilter, Pair
from events.kinds import EventKind
from graph.core.context import Context
from graph.core.sharing import ORDINARY
from graph.engine.sql_json import KEY_ONLY
from graph.kit.filter_values import Binds, Values
from graph.kit.loading import read_by_keys
from graph.kit.predicates import build_filter, filter_shape
from graph.types.events.event_filter import (
    FORMER,
    EventFilter,
    Then,
    asks_state,
    decision,
    named,
    names_in,
    names_project,
    task_of,
)

LOSS = EventKind.ACCESS_LOST.value
# A task leaves every list with these events.
GONE = frozenset({LOSS, EventKind.TASK_DELETED.value})
# Filter fields about what belongs to a task, by the subject type of its events. The earlier state
# of these is not known, so each of their events may have ended a match.
_HANGING = {
    "Comment": {"comments"},
    "Attachment": {"attachments"},
    "TimeEntry": {"time_entries", "tracked"},
    "TaskShare": {"shares"},
}
_COLUMNS = {column.key: column for column in models.Task.__table__.columns}
# Filter fields whose answer to an event depends on who asks (`decision`).
_NAMING_VIEWER = frozenset({"actor", "is_me"})
_EVERYTHING = LogFilter(work_only=True)


@lru_cache(maxsize=500)
def _matching(shape: Hashable, viewer_shape: ViewerShape) -> Statement:
    event = aliased(models.Event)
    keys = bindparam("keys", type_=ARRAY(Uuid()), required=False)
    matches = build_filter(shape, event, placeholder_viewer(viewer_shape), Binds())
    return Statement(select(event.id).where(event.id == any_(keys), matches))


# Text on purpose, as in `events.log`.
_PERSON: Any = literal_column("person.id", Uuid())


@lru_cache(maxsize=500)
def _matching_for(shape: Hashable) -> Statement | None:
    """For which of many ordinary viewers an event matches; None if the filter depends on more of
    them than their rights.
    """
    event = aliased(models.Event)
    person = (
        func.unnest(bindparam("people", type_=ARRAY(Uuid()), required=False))
        .table_valued(column("id", Uuid()))
        .render_derived(name="person")
    )
    try:
        matches = build_filter(shape, event, typing_cast("Viewer", ViewerColumn(_PERSON)), Binds())
    except AttributeError:
        return None
    keys = bindparam("keys", type_=ARRAY(Uuid()), required=False)
    rows = select(person.c.id, event.id.label("event_id"))
    return Statement(rows.select_from(person.join(event, event.id == any_(keys))).where(matches))


@lru_cache(maxsize=500)
def _matched(shape: Hashable, viewer_shape: ViewerShape) -> Statement:
    """Whether an event matched when some of its task's columns had other values: `former_…` if
    `has_…`.
    """
    viewer = placeholder_viewer(viewer_shape)
    row = aliased(models.Task)
    former = select(
        *(
            case(
                (
                    bindparam(f"has_{name}", type_=Boolean()),
                    cast(bindparam(f"former_{name}", type_=column.type), column.type),
                ),
                else_=getattr(row, name),
            ).label(name)
            for name, column in _COLUMNS.items()
        )
    ).where(row.id == bindparam("key", type_=Uuid()), access.read(viewer, row, trashed=None))
    task: Any = aliased(models.Task, former.subquery(FORMER), adapt_on_names=True)
    event = aliased(models.Event)
    matches = build_filter(shape, Then(event, task), viewer, Binds())
    return Statement(select(event.id).where(event.id == bindparam("event", type_=Uuid()), matches))


_LATER = Statement(
    select(models.Event.subject_id, models.Event.position, models.Event.changes)
    .where(
        models.Event.subject_id == any_(bindparam("keys", type_=ARRAY(Uuid()))),
        models.Event.position > bindparam("position", type_=BigInteger()),
    )
    .order_by(models.Event.position)
)


def _former(changes: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """The columns that these events changed, with their values before the first of them."""
    found: dict[str, Any] = {}
    for change in (change for of_event in changes for change in of_event):
        shown = change["field"]
        name = shown if shown in _COLUMNS else f"{shown}_id"
        if name in _COLUMNS and name not in found:
            found[name] = _stored(_COLUMNS[name].type, change["from"])
            if name == "tags":
                found["tag_keys"] = [rules.tag_key(tag) for tag in found[name] or ()]
    return found


def _stored(type_: Any, value: Any) -> Any:
    """Convert a value of the log to the type of its column."""
    if value is None or not isinstance(value, str):
        return value
    if isinstance(type_, Ordered):
        return type_.enum[value]
    if isinstance(type_, DateTime):
        return dt.datetime.fromisoformat(value)
    if isinstance(type_, Date):
        return dt.date.fromisoformat(value)
    return UUID(value) if isinstance(type_, Uuid) else value


class Stopped:
    """An event with which its task stopped matching; wraps its row, a record of the driver."""

    __slots__ = ("_row",)
    model = models.Event
    matches = False

    def __init__(self, row: Any) -> None:
        self._row = row

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, name)


@lru_cache(maxsize=8)
def _readable(viewer_shape: ViewerShape) -> Statement:
    event = aliased(models.Event)
    keys = bindparam("keys", type_=ARRAY(Uuid()), required=False)
    readable = access.read(placeholder_viewer(viewer_shape), event)
    return Statement(select(event.id).where(event.id == any_(keys), readable))


class _SharedFilter:
    """What ordinary viewers with the same filter share: one object for its shape and values."""

    def __init__(self, reader: Fetching, shape: Hashable, values: Mapping[str, Any]) -> None:
        self._reader = reader
        self._shape = shape
        self._values = values
        # Of a filter that does not name the viewer.
        self.events: LogFilter | None = None

    @cached_property
    def ask(self) -> Ask | None:
        """Asks for many viewers; None if the filter depends on more of them than their rights."""
        statement = _matching_for(self._shape)
        if statement is None:
            return None

        async def ask(events: Collection[UUID], users: Collection[UUID]) -> set[Pair]:
            values = {**self._values, "keys": list(events), "people": list(users)}
            return {(row.id, row.event_id) for row in await self._reader.fetch(statement, values)}

        return ask


@dataclass(frozen=True, slots=True)
class Wanted:
    """A validated filter and its viewer."""

    events: LogFilter
    _reader: Fetching
    viewer: Viewer
    shape: Hashable = None
    params: Mapping[str, Any] | None = None
    # The names of all fields that the filter gives.
    _names: frozenset[str] = frozenset()
    # Whether it depends on the state of tasks, so that a task can stop matching.
    by_state: bool = False
    # Whether it names the events' projects, so that a task can leave them.
    by_project: bool = False

    async def select(self, rows: Sequence[Any], *, stopped: bool = True) -> list[Any]:
        """Those of these events that match and that an API key may read, in their order.

        `stopped`: include events with which a task stopped matching.
        """
        found = [(row, self.events.matches(row)) for row in rows]
        found = [(row, sure) for row, sure in found if sure is not False]
        return await self.decided(found, stopped=stopped)

    async def decided(
        self, found: Sequence[tuple[Any, bool | None]], *, stopped: bool = True
    ) -> list[Any]:
        """The same of events of which it is known whether they match, as far as the events alone
        tell, or as was asked for many viewers.
        """
        if found and self.viewer.scoped:
            readable = await self._readable([row for row, _ in found])
            found = [(row, sure) for row, sure in found if row.id in readable]
        unsure = [row.id for row, sure in found if sure is None]
        matching = await self._matching(unsure) if unsure else ()
        ended: Collection[UUID] = ()
        if self.by_state and stopped:
            rest = [row for row, sure in found if not sure and row.id not in matching]
            ended = await self._ended(rest)
        wanted = []
        for row, sure in found:
            if sure or row.id in matching:
                wanted.append(Stopped(row) if self._has_left(row) else row)
            elif row.id in ended:
                wanted.append(Stopped(row))
        return wanted

    def _has_left(self, row: Any) -> bool:
        """Whether the event of a project says that a task left it."""
        return self.by_project and task_of(row) != row.task_id

    async def _matching(self, keys: Sequence[UUID]) -> Collection[UUID]:
        statement = _matching(self.shape, self.viewer.shape)
        rows = await self._reader.fetch(statement, {**(self.params or {}), "keys": list(keys)})
        return [row.id for row in rows]

    async def _ended(self, rows: Sequence[Any]) -> set[UUID]:
        """Those of these events that do not match now and did before they happened."""
        ended = set()
        changed = []
        for row in rows:
            if row.subject_type == models.Task.__name__:
                changed += [row] if row.changes else []
            elif _HANGING.get(row.subject_type, set()) & self._names:
                ended.add(row.id)
        if not changed:
            return ended
        keys = list({row.subject_id for row in changed})
        since = min(row.position for row in changed)
        later: dict[UUID, list[Any]] = {}
        for event in await self._reader.fetch(_LATER, {"keys": keys, "position": since}):
            later.setdefault(event.subject_id, []).append(event)
        for row in changed:
            after = later.get(row.subject_id, ())
            former = _former(
                [row.changes, *(each.changes for each in after if each.position > row.position)]
            )
            if await self._matched(row, former):
                ended.add(row.id)
        return ended

    async def _matched(self, row: Any, former: Mapping[str, Any]) -> bool:
        bound: dict[str, Any] = {f"has_{name}": name in former for name in _COLUMNS}
        bound |= {f"former_{name}": former.get(name) for name in _COLUMNS}
        params = {"key": row.subject_id, "event": row.id}
        statement = _matched(self.shape, self.viewer.shape)
        return bool(await self._reader.fetch(statement, {**(self.params or {}), **params, **bound}))

    async def _readable(self, rows: Sequence[Any]) -> set[UUID]:
        """The IDs of those that the scopes of an API key allow to read."""
        events = await self._reader.fetch(
            _readable(self.viewer.shape), {**self.viewer.params, "keys": [row.id for row in rows]}
        )
        return {event.id for event in events}


def wanted_of(context: Context, given: EventFilter | None) -> Wanted:
    """Validate a filter. Raises `BadInput` with a path under `filter`."""
    # One statement may ask for many users.
    reader, viewer = context.services.database.all_rows, context.viewer
    within = None if viewer.projects is None else frozenset(viewer.projects)
    bound = Values()
    shape = None if given is None else filter_shape(given, bound, ("filter",))
    if given is None or shape is None:
        everything = _EVERYTHING if within is None else LogFilter(work_only=True, within=within)
        return Wanted(everything, reader, viewer)
    names = frozenset(names_in(given))
    shared = None
    if viewer.shape == ORDINARY:
        filters, key = context.services.filters, (shape, repr(bound.list))
        shared = filters.get(key)
        if shared is None:
            shared = filters[key] = _SharedFilter(reader, shape, bound.params())
    events = None if shared is None else shared.events
    if events is None:
        events = LogFilter(
            work_only=True,
            within=within,
            projects=named(given, "project"),
            tasks=named(given, "task"),
            decide=decision(given, viewer),
            ask=None if shared is None else shared.ask,
        )
        if shared is not None and _NAMING_VIEWER.isdisjoint(names):
            shared.events = events
    return Wanted(
        events,
        reader,
        viewer,
        shape,
        {**viewer.params, **bound.params()},
        names,
        by_state=asks_state(given),
        by_project=names_project(given),
    )


async def demand_within(context: Context, wanted: Wanted) -> None:
    """Raise `NotFound` if restricted credentials see nothing that the filter names.

    Without a restriction, live delivery checks this itself, at the beginning and from then on.
    """
    own = context.viewer.projects
    if own is None:
        return
    projects, tasks = wanted.events.projects, wanted.events.tasks
    if projects is not None and projects.isdisjoint(own):
        raise NotFound("project or task", path=("filter",))
    if tasks is not None and not await read_by_keys(context, models.Task, KEY_ONLY, tasks):
        raise NotFound("project or task", path=("filter",))
