"""The filter of events, `EventFilter`, as the event log and SQL understand it.

All conditions except `task` are decided on the event alone (`events.filter`). The `task` condition
is checked in the database, for the events that passed all others. So is what an API key may read of
them, since the log knows only users.

A task that does not match now may have matched before the event. Then the event is delivered as
well, as a `Stopped` row. The task's former state is derived from what this event and all later ones
changed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import ARRAY, BigInteger, Date, DateTime, Uuid, any_, bindparam, select
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db import models
from db.base import Base, Ordered
from db.read import Reader, Statement
from domain import rules
from errors import BadInput, NotFound
from events.filter import LogFilter
from graph.core import ids
from graph.core.context import Context
from graph.core.enums import EventKind
from graph.core.inputs import optional
from graph.engine.sql_json import KEY_ONLY
from graph.kit.filtering import Binds, Values, build_filter, filter_shape, given_fields
from graph.kit.loading import read_by_keys
from graph.types.tasks.task_inputs import TaskFilter

MAX_IDS = 100
_LOSS = EventKind.ACCESS_LOST.value
# A task leaves every list with these events.
GONE = frozenset({_LOSS, EventKind.TASK_DELETED.value})
# Filter fields about what belongs to a task, by the subject type of its events. The earlier state
# of these is not known, so each of their events may have ended a match.
_HANGING = {
    "Comment": {"comments"},
    "Attachment": {"attachments"},
    "TimeEntry": {"time_entries", "tracked_seconds"},
    "TaskShare": {"shares", "shared_with_me"},
}
_COLUMNS = {column.key: column for column in models.Task.__table__.columns}


@strawberry.input(
    description="Filter for events. All conditions that you set must hold. `ACCESS_LOST` events "
    "are always delivered, regardless of `kinds`, `actors` and `task`."
)
class EventFilter:
    projects: list[strawberry.ID] | None = optional(
        f"Returns only events of these projects and their tasks, at most {MAX_IDS}. A "
        "subscription ends with `NOT_FOUND` when you can no longer see any of them."
    )
    tasks: list[strawberry.ID] | None = optional(
        f"Returns only events of these tasks, at most {MAX_IDS}. A subscription ends with "
        "`NOT_FOUND` when you can no longer see any of them."
    )
    kinds: list[EventKind] | None = optional("Returns only events of these kinds.")
    actors: list[strawberry.ID] | None = optional(
        f"Returns only events caused by these users, at most {MAX_IDS}."
    )
    exclude_own: bool | None = optional(
        "If true, excludes events that you caused yourself, on any device."
    )
    task: TaskFilter | None = optional(
        "Returns only events of tasks that match this filter at delivery, and events with which "
        "a task stops matching it (`matches: false`)."
    )


@lru_cache(maxsize=500)
def _matching(shape: Hashable, viewer_shape: ViewerShape) -> Statement:
    viewer = placeholder_viewer(viewer_shape)
    task = aliased(models.Task)
    keys = bindparam("keys", type_=ARRAY(Uuid()), required=False)
    return Statement(
        select(task.id).where(
            task.id == any_(keys),
            # Includes tasks in the trash: their deletion has to be delivered.
            access.read(viewer, task, trashed=None),
            build_filter(shape, task, viewer, Binds()),
        )
    )


@lru_cache(maxsize=500)
def _matched(shape: Hashable, viewer_shape: ViewerShape, changed: frozenset[str]) -> Statement:
    """Whether a task matched when these of its columns had other values."""
    viewer = placeholder_viewer(viewer_shape)
    row = aliased(models.Task)
    former = select(
        *(
            (
                bindparam(f"former_{name}", type_=column.type) if name in changed else row_column
            ).label(name)
            for name, column in _COLUMNS.items()
            for row_column in [getattr(row, name)]
        )
    ).where(row.id == bindparam("key", type_=Uuid()), access.read(viewer, row, trashed=None))
    task: Any = aliased(models.Task, former.subquery("former"), adapt_on_names=True)
    return Statement(select(task.id).where(build_filter(shape, task, viewer, Binds())))


_LATER = Statement(
    select(models.Event.changes)
    .where(
        models.Event.subject_id == bindparam("key", type_=Uuid()),
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


def _names_in(shape: Any) -> set[str]:
    if isinstance(shape, str):
        return {shape}
    return set().union(*map(_names_in, shape)) if isinstance(shape, tuple) else set()


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


@dataclass(frozen=True, slots=True)
class Wanted:
    """A validated filter and its viewer."""

    events: LogFilter
    _reader: Reader
    _viewer: Viewer
    _shape: Hashable = None
    _params: Mapping[str, Any] | None = None

    @property
    def asks_database(self) -> bool:
        """Whether matching needs more than the events themselves."""
        named = self.events.projects is not None
        return named or self._shape is not None or self._viewer.scoped

    async def select(self, rows: Sequence[Any], *, stopped: bool = True) -> list[Any]:
        """Those of these events that match and that an API key may read, in order.

        `stopped`: include events with which a task stopped matching.
        """
        found = [row for row in rows if self.events.matches(row)]
        if found and self._viewer.scoped:
            found = await self._readable(found)
        if self.events.projects is not None:
            # If a task left a project, the project's own event says so.
            found = [Stopped(row) if _task_of(row) != row.task_id else row for row in found]
        if self._shape is None or not found:
            return found
        keys = {key for row in found if (key := _task_of(row)) is not None}
        tasks = await self._reader.fetch(
            _matching(self._shape, self._viewer.shape), {**(self._params or {}), "keys": list(keys)}
        )
        matching = {task.id for task in tasks}
        wanted = []
        for row in found:
            if row.kind == _LOSS or _task_of(row) in matching or isinstance(row, Stopped):
                wanted.append(row)
            elif stopped and await self._ended_match(row):
                wanted.append(Stopped(row))
        return wanted

    async def _ended_match(self, row: Any) -> bool:
        """Whether a task that does not match now did before this event."""
        if row.subject_type != models.Task.__name__:
            return bool(_HANGING.get(row.subject_type, set()) & _names_in(self._shape))
        if not row.changes:
            return False
        params = {"key": row.subject_id, "position": row.position}
        later = await self._reader.fetch(_LATER, params)
        former = _former([row.changes, *(event.changes for event in later)])
        statement = _matched(self._shape, self._viewer.shape, frozenset(former))
        bound = {f"former_{name}": value for name, value in former.items()}
        return bool(
            await self._reader.fetch(statement, {**(self._params or {}), **params, **bound})
        )

    async def _readable(self, rows: Sequence[Any]) -> list[Any]:
        events = await self._reader.fetch(
            _readable(self._viewer.shape),
            {**self._viewer.params, "keys": [row.id for row in rows]},
        )
        readable = {event.id for event in events}
        return [row for row in rows if row.id in readable]


def _task_of(row: Any) -> UUID | None:
    """The task that an event concerns, whatever project the event belongs to."""
    key: UUID | None = row.subject_id if row.subject_type == models.Task.__name__ else row.task_id
    return key


def wanted_of(context: Context, given: EventFilter | None) -> Wanted:
    """Validate a filter. Raises `BadInput` with a path under `filter`."""
    reader = context.services.database.reader
    own = context.viewer.projects
    values: dict[str, Any] = {} if own is None else {"within": frozenset(own)}
    if given is None:
        return Wanted(LogFilter(work_only=True, **values), reader, context.viewer)
    shape: Hashable = None
    params = None
    for name, value in given_fields(given, ("filter",)):
        path = ("filter", name)
        if name == "projects":
            values[name] = _ids(models.Project, value, path)
        elif name == "tasks":
            values[name] = _ids(models.Task, value, path)
        elif name == "actors":
            values[name] = _ids(models.User, value, path)
        elif name == "kinds":
            _demand_some(value, path)
            values[name] = frozenset(kind.value for kind in value)
        elif name == "exclude_own":
            values["not_by"] = context.viewer.user_id if value else None
        else:
            bound = Values()
            shape = filter_shape(value, bound, path)
            params = {**context.viewer.params, **bound.params()}
    events = LogFilter(work_only=True, **values)
    return Wanted(events, reader, context.viewer, shape, params)


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


def _ids(model: type[Base], texts: Sequence[str], path: tuple[str, str]) -> frozenset[UUID]:
    _demand_some(texts, path)
    if len(texts) > MAX_IDS:
        raise BadInput(
            f"{path[-1]} must have at most {MAX_IDS} items; it has {len(texts)}.",
            path=path,
            limit=MAX_IDS,
            actual=len(texts),
        )
    return frozenset(ids.decode_only(model, text, (*path, i)) for i, text in enumerate(texts))


def _demand_some(values: Sequence[Any], path: tuple[str, str]) -> None:
    if not values:
        raise BadInput(f"{path[-1]} must not be empty.", path=path)
