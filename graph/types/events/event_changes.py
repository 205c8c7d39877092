"""The changed fields of an event, with values as the schema shows them and the viewer may see them.

The log stores values as the database has them. They are converted when they are read: ids become
global, names camel case, and a change gets the type of its field: by the model's column, or, for
what is no column (any more), by the values.

Readers of one event can see different things: a user who sees the project that a task left need not
see the project that it went to. So the id of a project, task or comment is shown only to users who
can see it, and a hidden project also hides the task's number, position and parent in it. Users are
not hidden, since every public profile is visible.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID

import strawberry
from sqlalchemy import (
    ARRAY,
    Boolean,
    Date,
    DateTime,
    Integer,
    Numeric,
    Uuid,
    bindparam,
    select,
)
from sqlalchemy import JSON as SqlJSON
from strawberry.scalars import JSON

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db import models
from db.base import Base, Ordered
from db.statements import Plan, Statement
from graph.core import ids
from graph.core.context import InTrash
from graph.core.errors import camel
from graph.core.fields import BatchInfo, batch, derived
from graph.core.node import TYPE_NAMES, Node, is_type_by_class
from graph.kit.loading import load_objects
from graph.request.scopes import may, scopes_of_type

T = TypeVar("T")

# Fields whose values are ids, and their models; `parent` has the type of the subject.
_PEOPLE = frozenset({"owner", "assignee", "user", "author", "mentions"})
_GUARDED: Mapping[str, type[Base]] = {"project": models.Project, "task": models.Task}
# A task's position in its project, hidden together with the project.
_PLACE = frozenset({"number", "position", "parent"})

_Side = str  # "from" or "to"
_Known = Mapping[type[Base], frozenset[UUID]]


@dataclass(slots=True)
class Changed:
    """One change, of which the types below show what is theirs."""

    field: str
    old: Any
    new: Any


class _Text(Changed):
    __slots__ = ()


class _Number(Changed):
    __slots__ = ()


class _Boolean(Changed):
    __slots__ = ()


class _Date(Changed):
    __slots__ = ()


class _DateTime(Changed):
    __slots__ = ()


class _List(Changed):
    __slots__ = ()


class _JSON(Changed):
    __slots__ = ()


@dataclass(slots=True)
class _Node(Changed):
    """`old` and `new` are keys."""

    model: type[Base]


def _field() -> Any:
    return derived((), attrgetter("field"), "The field's name in the schema.")


def _old(description: str) -> Any:
    return derived((), attrgetter("old"), f"{description} before the change. {_MAY_BE_HIDDEN}")


def _new(description: str) -> Any:
    return derived((), attrgetter("new"), f"{description} after the change. {_MAY_BE_HIDDEN}")


_MAY_BE_HIDDEN = "Null if there was none or you cannot see it."


@strawberry.interface(description="The change of one field. Its type is that of the field.")
class FieldChange:
    field: str = strawberry.field(description="The field's name in the schema.")


# The types of changes, which the schema has though no field names them.
CHANGE_TYPES: list[type[Any]] = []


def _change_type(of: type[Changed], description: str) -> Callable[[type[T]], type[T]]:
    def declare(cls: type[T]) -> type[T]:
        is_type_by_class(cls, lambda kind: kind is of)
        declared: type[T] = strawberry.type(cls, description=description)
        CHANGE_TYPES.append(declared)
        return declared

    return declare


@_change_type(_Text, "The change of a text or of the name of an enum value.")
class TextChange(FieldChange):
    field: str = _field()
    old_text: str | None = _old("The text")
    new_text: str | None = _new("The text")


@_change_type(_Number, "The change of a number.")
class NumberChange(FieldChange):
    field: str = _field()
    old_number: float | None = _old("The number")
    new_number: float | None = _new("The number")


@_change_type(_Boolean, "The change of something that is true or false.")
class BooleanChange(FieldChange):
    field: str = _field()
    was_true: bool | None = _old("The value")
    is_true: bool | None = _new("The value")


@_change_type(_Date, "The change of a date.")
class DateChange(FieldChange):
    field: str = _field()
    old_date: dt.date | None = _old("The date")
    new_date: dt.date | None = _new("The date")


@_change_type(_DateTime, "The change of a time.")
class DateTimeChange(FieldChange):
    field: str = _field()
    old_time: dt.datetime | None = _old("The time, in UTC,")
    new_time: dt.datetime | None = _new("The time, in UTC,")


@_change_type(_List, "The change of a list whose order has no meaning.")
class ListChange(FieldChange):
    field: str = _field()
    added: list[str] = derived(
        (), lambda change: _without(change.new, change.old), "What was added; objects by their IDs."
    )
    removed: list[str] = derived(
        (), lambda change: _without(change.old, change.new), "What was removed."
    )


@_change_type(_JSON, "The change of a value with parts, such as the rule of a reminder.")
class JSONChange(FieldChange):
    field: str = _field()
    old_value: JSON | None = _old("The value")
    new_value: JSON | None = _new("The value")


def _id_of(side: str) -> Callable[[Any], strawberry.ID | None]:
    def encoded(change: _Node) -> strawberry.ID | None:
        key = getattr(change, side)
        return None if key is None else ids.encode(change.model, key)

    return encoded


def _nodes(side: str) -> Any:
    async def nodes(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
        found: list[Any] = [None] * len(parents)
        for model in {change.model for change in parents}:
            if not may_show(info.viewer, model):
                continue
            places = [i for i, change in enumerate(parents) if change.model is model]
            keys = [getattr(parents[i], side) for i in places]
            rows = await load_objects(info, model, keys)
            for place, row in zip(places, rows, strict=True):
                found[place] = row
        return found

    return nodes


@_change_type(_Node, "The change of a reference to another object, such as a task's assignee.")
class NodeChange(FieldChange):
    field: str = _field()
    old_id: strawberry.ID | None = derived(
        (), _id_of("old"), f"The object's ID before the change. {_MAY_BE_HIDDEN}"
    )
    new_id: strawberry.ID | None = derived(
        (), _id_of("new"), f"The object's ID after the change. {_MAY_BE_HIDDEN}"
    )
    old_node: Node | None = batch(
        _nodes("old"),
        "The object before the change, in its current state; null if it is gone.",
        objects=True,
    )
    new_node: Node | None = batch(
        _nodes("new"),
        "The object after the change, in its current state; null if it is gone.",
        objects=True,
    )


def _without(values: Any, others: Any) -> list[str]:
    absent = others or ()
    return [str(value) for value in values or () if value not in absent]


def may_show(viewer: Viewer, model: type[Base]) -> bool:
    """Whether an API key may read objects of this type. Public profiles are for every key."""
    return model is models.User or may(viewer, *(scopes_of_type(TYPE_NAMES[model]) or ()))


def model_named(name: str) -> type[Base] | None:
    """The model of a subject's type, if the schema has ids for it."""
    return next((model for model in ids.PREFIXES if model.__name__ == name), None)


def field_changes() -> Any:
    """The field `Event.changes`."""
    return batch(
        _changes,
        "The fields that changed. Empty for a newly created object.",
        requires=("changes", "subject_type", "subject_id"),
        noted=True,
    )


async def _changes(parents: Sequence[Any], info: BatchInfo) -> list[list[Changed]]:
    named: dict[type[Base], set[UUID]] = {}
    for event in parents:
        for model, key in _named(event):
            named.setdefault(model, set()).add(key)
    seen = {model: await _seen(info, model, keys) for model, keys in named.items()}
    gone = await deleted_users(
        info,
        [event.subject_id for event in parents if event.subject_type == models.User.__name__],
    )
    return [[] if event.subject_id in gone else _shown(event, seen) for event in parents]


async def deleted_users(info: BatchInfo, ids_: Sequence[UUID]) -> set[UUID]:
    """Those of these users whose accounts are deleted, for administrators, who alone read of
    others: the log is cleared of them some time later (`domain.accounts.erasure`).
    """
    if not info.viewer.is_admin:
        return set()
    rows = await load_objects(info, models.User, ids_)
    return {key for key, row in zip(ids_, rows, strict=True) if row is None}


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
    found = frozenset(row.id for row in rows)
    seen = (info.context.common or info.context).seen
    if seen is not None:
        noted = {key: key if key in found else None for key in keys}
        seen[InTrash(model)] = {**seen.get(InTrash(model), {}), **noted}
    return found


@lru_cache(maxsize=20)
def _seen_statement(model: type[Base], shape: ViewerShape) -> Statement:
    keys = bindparam("keys", None, ARRAY(Uuid()))
    identity: Any = model.id  # type: ignore[attr-defined]
    # The log also names what is in the trash, to users who could see it.
    visible = access.read(placeholder_viewer(shape), model, trashed=None)
    return Statement(select(identity).where(identity == keys.any_(), visible), plan=Plan.ONCE)


def _shown(event: Any, seen: _Known) -> list[Changed]:
    unplaced = {side for side in ("from", "to") if _project_is_hidden(event, side, seen)}

    def value(change: Mapping[str, Any], side: _Side) -> Any:
        if side in unplaced and change["field"] in _PLACE:
            return None
        return _value(event, change["field"], change[side], seen)

    return [
        _typed(event, change["field"], value(change, "from"), value(change, "to"))
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
        return UUID(value)
    model = _guarded(event, field)
    if model is None:
        return value
    key = UUID(value)
    return key if key in seen[model] else None


# --- the types of changes ------------------------------------------------------------------------


def _typed(event: Any, field: str, old: Any, new: Any) -> Changed:
    name = camel(field)
    model = models.User if field in _PEOPLE else _guarded(event, field)
    if model is not None and not isinstance(old, list) and not isinstance(new, list):
        return _Node(name, old, new, model)
    kind = _kind_of_column(event.subject_type, field)
    try:
        if kind is _DateTime:
            return _DateTime(name, _parsed(dt.datetime, old), _parsed(dt.datetime, new))
        if kind is _Date:
            return _Date(name, _parsed(dt.date, old), _parsed(dt.date, new))
    except ValueError:
        kind = None
    present = [value for value in (old, new) if value is not None]
    # What was written before the column had its type keeps the type of its values.
    if kind is None or not all(isinstance(value, _PYTHON[kind]) for value in present):
        kind = _kind_of_values(present)
    if kind is _Text:
        old, new = (None if value is None else str(value) for value in (old, new))
    return kind(name, old, new)


def _parsed(type_: Any, value: Any) -> Any:
    return None if value is None else type_.fromisoformat(value)


_PYTHON: Mapping[type[Changed], Any] = {
    _Text: str,
    _Number: (int, float),
    _Boolean: bool,
    _List: list,
    _JSON: (dict, list, str, int, float, bool),
}


@lru_cache(maxsize=500)
def _kind_of_column(subject_type: str, field: str) -> type[Changed] | None:
    model = model_named(subject_type)
    found = None if model is None else model.__table__.columns.get(field)
    if found is None:
        return None
    type_ = found.type
    if isinstance(type_, Ordered):
        return _Text
    for kind, types in (
        (_DateTime, DateTime),
        (_Date, Date),
        (_Boolean, Boolean),
        (_Number, (Integer, Numeric)),
        (_List, ARRAY),
        (_JSON, SqlJSON),
    ):
        if isinstance(type_, types):
            return kind
    return _Text


def _kind_of_values(values: Sequence[Any]) -> type[Changed]:
    for value in values:
        if isinstance(value, bool):
            return _Boolean
        if isinstance(value, int | float):
            return _Number
        if isinstance(value, dict):
            return _JSON
        if isinstance(value, list):
            return _List if all(isinstance(one, str) for one in value) else _JSON
    return _Text
