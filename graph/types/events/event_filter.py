"""Which events a client asks for: `TaskEventFilter`, as the event log and SQL understand it.

All but `task` is decided on the event alone (`events.filter`); what `task` says of the task is
asked of the database for those events that passed everything else. So is what an API key may read
of them, since the log knows people only.

A task that does not match now may have matched before the event. Then the event is given too, as a
`Stopped` row. What the task was is put together from what this event and all later ones changed.
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
from events.filter import EventFilter
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
# With these a task leaves every list.
GONE = frozenset({_LOSS, EventKind.TASK_DELETED.value})
# What a filter may say of things that hang on a task, by what events of them are about. What they
# were before is not known, so each of their events may have ended a match.
_HANGING = {
    "Comment": {"comments"},
    "Attachment": {"attachments"},
    "TimeEntry": {"time_entries", "tracked_seconds"},
    "TaskShare": {"shares", "shared_with_me"},
}
_COLUMNS = {column.key: column for column in models.Task.__table__.columns}


@strawberry.input(
    description="Which events to give; all conditions that are given must hold. A loss of access "
    "is told whatever kinds, actors and task are asked for."
)
class TaskEventFilter:
    """See the module."""

    projects: list[strawberry.ID] | None = optional(
        f"Only events of these projects and their tasks, at most {MAX_IDS}. A subscription ends "
        "with `NOT_FOUND` when you may see none of them any more."
    )
    tasks: list[strawberry.ID] | None = optional(
        f"Only events of these tasks, at most {MAX_IDS}. A subscription ends with `NOT_FOUND` "
        "when you may see none of them any more."
    )
    kinds: list[EventKind] | None = optional("Only these kinds.")
    actors: list[strawberry.ID] | None = optional(f"Only what these people did, at most {MAX_IDS}.")
    exclude_own: bool | None = optional("True: leave out what you did yourself, on any device.")
    task: TaskFilter | None = optional(
        "Only events of tasks that match this filter when the event is delivered, and those by "
        "which a task stopped to match it (`matches: false`)."
    )


@lru_cache(maxsize=500)
def _matching(shape: Hashable, viewer_shape: ViewerShape) -> Statement:
    viewer = placeholder_viewer(viewer_shape)
    task = aliased(models.Task)
    keys = bindparam("keys", type_=ARRAY(Uuid()), required=False)
    return Statement(
        select(task.id).where(
            task.id == any_(keys),
            # In the trash as well: that a task was deleted has to be told.
            access.read(viewer, task, trashed=None),
            build_filter(TaskFilter, shape, task, viewer, Binds()),
        )
    )


@lru_cache(maxsize=500)
def _matched(shape: Hashable, viewer_shape: ViewerShape, changed: frozenset[str]) -> Statement:
    """Whether a task matched when these columns of it had other values."""
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
    return Statement(select(task.id).where(build_filter(TaskFilter, shape, task, viewer, Binds())))


_LATER = Statement(
    select(models.Event.changes)
    .where(
        models.Event.subject_id == bindparam("key", type_=Uuid()),
        models.Event.position > bindparam("position", type_=BigInteger()),
    )
    .order_by(models.Event.position)
)


def _former(changes: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """The columns of a task before the first of these events, where they were others."""
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
    """A value of the log as its column has it."""
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
    """An event by which its task stopped to match: its row, which is a record of the driver's."""

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
    """A checked filter, and who asks."""

    events: EventFilter
    _reader: Reader
    _viewer: Viewer
    _shape: Hashable = None
    _params: Mapping[str, Any] | None = None

    @property
    def asks_database(self) -> bool:
        """Whether more is to be asked about events than what they say themselves."""
        named = self.events.projects is not None
        return named or self._shape is not None or self._viewer.scoped

    async def select(self, rows: Sequence[Any], *, stopped: bool = True) -> list[Any]:
        """Those of these events that are wanted and that an API key may read, in order.

        `stopped`: also those by which a task stopped to match.
        """
        found = [row for row in rows if self.events.matches(row)]
        if found and self._viewer.scoped:
            found = await self._readable(found)
        if self.events.projects is not None:
            # Of a task that left a project that project's own event tells.
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
    """The task that an event concerns, whatever project it belongs to."""
    key: UUID | None = row.subject_id if row.subject_type == models.Task.__name__ else row.task_id
    return key


def wanted_of(context: Context, given: TaskEventFilter | None) -> Wanted:
    """Check a filter. Raises `BadInput` at its place under `filter`."""
    reader = context.services.database.reader
    own = context.viewer.projects
    values: dict[str, Any] = {} if own is None else {"within": frozenset(own)}
    if given is None:
        return Wanted(EventFilter(work_only=True, **values), reader, context.viewer)
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
    events = EventFilter(work_only=True, **values)
    return Wanted(events, reader, context.viewer, shape, params)


async def demand_within(context: Context, wanted: Wanted) -> None:
    """Raise `NotFound` where restricted credentials see nothing of what the filter names.

    Without a restriction the live delivery asks this itself, at the beginning and ever after.
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
        raise BadInput(f"At most {MAX_IDS} ids; there are {len(texts)}.", path=path)
    return frozenset(ids.decode(model, text, (*path, i)) for i, text in enumerate(texts))


def _demand_some(values: Sequence[Any], path: tuple[str, str]) -> None:
    if not values:
        raise BadInput("This list must not be empty.", path=path)
