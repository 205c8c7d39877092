"""Types that show rows: the `Node` interface, and the model of each type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import EnumMeta
from typing import Any, TypeVar

import strawberry
from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import InstrumentedAttribute
from strawberry.types.enum import StrawberryEnumDefinition

from auth.viewer import Viewer
from db.base import Base
from graph.core import ids
from graph.core.fields import ColumnField, Expression, column
from graph.core.selection import SAME_ROWS

T = TypeVar("T")

# The GraphQL type's name of each model, and SQL expressions that types added to models.
TYPE_NAMES: dict[type[Base], str] = {}
# The types that are declared by `node_type`.
NODE_TYPES: list[type[Any]] = []
EXPRESSIONS: dict[tuple[type[Base], str], Expression] = {}


def model_of(type_name: str) -> type[Base] | None:
    """The model that a type shows, if it shows one."""
    return next((model for model, name in TYPE_NAMES.items() if name == type_name), None)


def foreign_key_of(relationship: InstrumentedAttribute[Any]) -> str:
    """The column of a to-one relation."""
    (foreign_key,) = (column.key for column in relationship.property.local_columns)
    return str(foreign_key)


def node_id(model: type[Base]) -> Any:
    """The `id` field of a type."""
    return column("id", "The object's global ID. Opaque.", convert=ids.Encoder(model))


@strawberry.interface(description="An object with a global ID.")
class Node:
    id: strawberry.ID = strawberry.field(description="The object's global ID. Opaque.")


def is_type_by_class(cls: type, fits: Callable[[type], bool]) -> None:
    """Let a type recognize its objects by their Python class alone.

    It can then be asked once for all objects of a class, see `graph.engine.run`.
    """

    def is_type_of(_: type, value: Any, _info: Any = None) -> bool:
        return fits(type(value))

    is_type_of.by_class = fits  # type: ignore[attr-defined]
    cls.is_type_of = classmethod(is_type_of)  # type: ignore[attr-defined]


def node_type(model: type[Base], description: str) -> Callable[[type[T]], type[T]]:
    """Declare an object type that shows rows of a model."""

    def declare(cls: type[T]) -> type[T]:
        declared = _showing_rows(cls, model, description)
        TYPE_NAMES[model] = cls.__name__
        NODE_TYPES.append(declared)
        return declared

    return declare


def second_type(model: type[Base], description: str) -> Callable[[type[T]], type[T]]:
    """Declare another object type that shows rows of a model, beside its `node_type`. It is no
    `Node`, and has ids of its own, so that clients keep the two apart.
    """

    def declare(cls: type[T]) -> type[T]:
        declared = _showing_rows(cls, model, description)
        SAME_ROWS[cls.__name__] = TYPE_NAMES[model]
        return declared

    return declare


def _showing_rows(cls: type[T], model: type[Base], description: str) -> type[T]:
    is_type_by_class(cls, lambda kind: getattr(kind, "model", None) is model)
    for name, field in vars(cls).items():
        if isinstance(field, ColumnField) and not (field.label or field.whole_row):
            field.read(getattr(model, name).key)
    declared: type[T] = strawberry.type(cls, description=description)
    return declared


def expression(
    model: type[Base],
    label: str,
    sql: Expression,
    description: str,
    *,
    convert: Callable[[Any], Any] | None = None,
) -> Any:
    """A field that is an SQL expression over the row: `sql(viewer, entity)`."""
    EXPRESSIONS[model, label] = sql
    return column(label, description, convert=convert)


def permission_field(
    model: type[Base],
    label: str,
    allows: Callable[[Viewer, Any], ColumnElement[bool]],
    description: str,
) -> Any:
    """A field that says whether the viewer has a right on the row, such as `auth.access.edit`.

    A rule that compares with an empty column yields NULL, which means no.
    """
    return expression(
        model,
        label,
        lambda viewer, entity: func.coalesce(allows(viewer, entity), False),
        description,
    )


def described_enum(
    enum: EnumMeta, description: str, values: Mapping[Any, str], *, name: str | None = None
) -> None:
    """Show a Python enum in the schema, with a description of every member.

    Raises `TypeError`, which names the members that have none.
    """
    bare = [member.name for member in enum if member not in values]  # type: ignore[var-annotated]
    if bare:
        raise TypeError(f"{enum.__name__} has no description of {', '.join(bare)}.")
    strawberry.enum(enum, description=description, name=name)
    definition: StrawberryEnumDefinition = enum.__strawberry_definition__  # type: ignore[attr-defined]
    texts = {member.name: text for member, text in values.items()}
    for value in definition.values:
        value.description = texts[value.name]
