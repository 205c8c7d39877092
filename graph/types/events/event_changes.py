"""The changed fields of an event, with values as the schema shows them and the viewer may see them.

The log stores values as the database has them. They are converted when they are read: ids become
global, names camel case. Readers of one event can see different things: a user who sees the project
that a task left need not see the project that it went to. So the id of a project, task or comment
is shown only to users who can see it, and a hidden project also hides the task's number, position
and parent in it. Users are not hidden, since every public profile is visible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import ARRAY, Uuid, bindparam, select
from strawberry.scalars import JSON

from auth import access
from auth.viewer import ViewerShape, placeholder_viewer
from db import models
from db.base import Base
from db.read import Statement
from graph.core import ids
from graph.core.errors import camel
from graph.core.fields import BatchInfo, attribute, batch
from graph.core.node import TYPE_NAMES
from graph.request.scopes import may, scopes_of_type

# Fields whose values are ids, and their models; `parent` has the type of the subject.
_PEOPLE = frozenset({"owner", "assignee", "user", "author", "mentions"})
_GUARDED: Mapping[str, type[Base]] = {"project": models.Project, "task": models.Task}
# A task's position in its project, hidden together with the project.
_PLACE = frozenset({"number", "position", "parent"})

_Side = str  # "from" or "to"
_Known = Mapping[type[Base], frozenset[UUID]]


@strawberry.type(description="The change of one field.")
class FieldChange:
    """Values are JSON: text, numbers, lists or null; ids are global, enum values are names."""

    field: str = attribute("The field's name in the schema.")
    from_: JSON | None = attribute(
        "The value before the change. Null if there was none or you cannot see it.",
        name="from",
    )
    to: JSON | None = attribute(
        "The value after the change. Null if there is none or you cannot see it."
    )


def model_named(name: str) -> type[Base] | None:
    """The model of a subject's type, if the schema has ids for it."""
    return next((model for model in ids.PREFIXES if model.__name__ == name), None)


def field_changes() -> Any:
    """The field `Event.changes`."""
    return batch(
        _changes,
        "The fields that changed. Empty for a newly created object.",
        requires=("changes", "subject_type"),
    )


async def _changes(parents: Sequence[Any], info: BatchInfo) -> list[list[FieldChange]]:
    named: dict[type[Base], set[UUID]] = {}
    for event in parents:
        for model, key in _named(event):
            named.setdefault(model, set()).add(key)
    seen = {model: await _seen(info, model, keys) for model, keys in named.items()}
    return [_shown(event, seen) for event in parents]


def _named(event: Any) -> Iterator[tuple[type[Base], UUID]]:
    """The rows in an event's changes that not everyone can see."""
    for change in event.changes:
        model = _guarded(event, change["field"])
        if model is not None:
            for side in ("from", "to"):
                if change[side] is not None:
                    yield model, UUID(change[side])


def _guarded(event: Any, field: str) -> type[Base] | None:
    return model_named(event.subject_type) if field == "parent" else _GUARDED.get(field)


async def _seen(info: BatchInfo, model: type[Base], keys: set[UUID]) -> frozenset[UUID]:
    """Those of the keys whose rows the viewer can see; administrators see the whole log."""
    if not may(info.viewer, *(scopes_of_type(TYPE_NAMES[model]) or ())):
        return frozenset()
    if info.viewer.is_admin:
        return frozenset(keys)
    rows = await info.context.services.database.reader.fetch(
        _seen_statement(model, info.viewer.shape), {**info.viewer.params, "keys": list(keys)}
    )
    return frozenset(row.id for row in rows)


@lru_cache(maxsize=20)
def _seen_statement(model: type[Base], shape: ViewerShape) -> Statement:
    keys = bindparam("keys", None, ARRAY(Uuid()))
    identity: Any = model.id  # type: ignore[attr-defined]
    # The log also names what is in the trash, to users who could see it.
    visible = access.read(placeholder_viewer(shape), model, trashed=None)
    return Statement(select(identity).where(identity == keys.any_(), visible), plan_once=True)


def _shown(event: Any, seen: _Known) -> list[FieldChange]:
    unplaced = {side for side in ("from", "to") if _project_is_hidden(event, side, seen)}

    def value(change: Mapping[str, Any], side: _Side) -> Any:
        if side in unplaced and change["field"] in _PLACE:
            return None
        return _value(event, change["field"], change[side], seen)

    return [
        FieldChange(
            field=camel(change["field"]), from_=value(change, "from"), to=value(change, "to")
        )
        for change in event.changes
    ]


def _project_is_hidden(event: Any, side: _Side, seen: _Known) -> bool:
    return any(
        change["field"] == "project"
        and change[side] is not None
        and UUID(change[side]) not in seen[models.Project]
        for change in event.changes
    )


def _value(event: Any, field: str, value: Any, seen: _Known) -> Any:
    if value is None:
        return None
    if field in _PEOPLE:
        if isinstance(value, list):
            return [ids.encode(models.User, UUID(one)) for one in value]
        return ids.encode(models.User, UUID(value))
    model = _guarded(event, field)
    if model is None:
        return value
    key = UUID(value)
    return ids.encode(model, key) if key in seen[model] else None
