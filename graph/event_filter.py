"""Which events a client asks for: `TaskEventFilter`, as the event log and SQL understand it.

All but `task` is decided on the event alone (`events.filter`); what `task` says of the task is
asked of the database for those events that passed everything else. So is what an API key may read
of them, since the log knows people only.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import ARRAY, Uuid, any_, bindparam, select
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer
from db import models
from db.base import Base
from db.read import Reader, Statement
from errors import BadInput, NotFound
from events.filter import EventFilter
from graph import ids
from graph.context import Context
from graph.enums import EventKind
from graph.filtering import Binds, Values, build_filter, filter_shape, given_fields
from graph.inputs import optional
from graph.loading import Shape, read_by_keys, viewer_of
from graph.sql_json import KEY_ONLY
from graph.task_inputs import TaskFilter

MAX_IDS = 100
_LOSS = EventKind.ACCESS_LOST.value


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
        "Only events of tasks that match this filter when the event is delivered."
    )


@lru_cache(maxsize=500)
def _matching(shape: Hashable, viewer_shape: Shape) -> Statement:
    viewer = viewer_of(viewer_shape)
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


@lru_cache(maxsize=8)
def _readable(viewer_shape: Shape) -> Statement:
    event = aliased(models.Event)
    keys = bindparam("keys", type_=ARRAY(Uuid()), required=False)
    readable = access.read(viewer_of(viewer_shape), event)
    return Statement(select(event.id).where(event.id == any_(keys), readable))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checked filter, and who asks."""

    events: EventFilter
    _reader: Reader
    _viewer: Viewer
    _statement: Statement | None = None
    _params: Mapping[str, Any] | None = None

    @property
    def asks_database(self) -> bool:
        """Whether the database is to be asked about events."""
        return self._statement is not None or self._viewer.scoped

    async def select(self, rows: Sequence[Any]) -> list[Any]:
        """Those of these events that are wanted and that an API key may read, in order."""
        found = [row for row in rows if self.events.matches(row)]
        if found and self._viewer.scoped:
            found = await self._readable(found)
        if self._statement is None or not found:
            return found
        keys = {row.task_id for row in found if row.task_id is not None}
        tasks = await self._reader.fetch(
            self._statement, {**(self._params or {}), "keys": list(keys)}
        )
        matching = {task.id for task in tasks}
        return [row for row in found if row.kind == _LOSS or row.task_id in matching]

    async def _readable(self, rows: Sequence[Any]) -> list[Any]:
        events = await self._reader.fetch(
            _readable(self._viewer.shape),
            {**self._viewer.params, "keys": [row.id for row in rows]},
        )
        readable = {event.id for event in events}
        return [row for row in rows if row.id in readable]


def wanted_of(context: Context, given: TaskEventFilter | None) -> Wanted:
    """Check a filter. Raises `BadInput` at its place under `filter`."""
    reader = context.services.database.reader
    own = context.viewer.projects
    values: dict[str, Any] = {} if own is None else {"within": frozenset(own)}
    if given is None:
        return Wanted(EventFilter(work_only=True, **values), reader, context.viewer)
    statement, params = None, None
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
            if shape is not None:
                statement = _matching(shape, context.viewer.shape)
                params = {**context.viewer.params, **bound.params()}
    events = EventFilter(work_only=True, **values)
    return Wanted(events, reader, context.viewer, statement, params)


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
