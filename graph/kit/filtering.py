"""Filters, as they are declared.

A filter type declares its criteria as fields (`by`, `by_relation`, `by_condition`, `by_elements`,
`by_search`); `and`, `or` and `not` are added to each. A criterion that is also a sort key says so
(`order`), and `ordering.order_input` takes it from there: a filter and an ordering of one name
cannot mean two things. `graph.kit.criteria` has what fields compare, `graph.kit.predicates` what
becomes of an input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import strawberry
from sqlalchemy import (
    ColumnElement,
)
from sqlalchemy.orm import InstrumentedAttribute

from auth.viewer import Viewer
from db.base import Base
from graph.core.inputs import optional
from graph.kit import ordering
from graph.kit.criteria import (
    Absence,
    Compare,
    CompareText,
    Condition,
    Criterion,
    Expressed,
    InTrash,
    Me,
    OneOf,
    OwnId,
    Positive,
    Search,
    column_on,
    in_pieces,
)
from graph.kit.predicates import (
    Elements,
    Related,
    RelatedMany,
)

T = TypeVar("T")


def declared(
    criterion: Criterion, description: str, order: str | None = None, source: Any = None
) -> Any:
    """A field of a filter."""
    metadata: dict[str, Any] = {"criterion": criterion}
    if order is not None:
        metadata["order"] = ordering.key(source, f"Sorts by {order}.")
    return optional(description, metadata=metadata)


def by(attribute: InstrumentedAttribute[Any], description: str, *, order: str | None = None) -> Any:
    """Compare a column. `order`: what the ordering sorts by then, such as "due time"."""
    return declared(
        CompareText(attribute)
        if in_pieces(attribute)
        else Compare(lambda entity: column_on(entity, attribute), attribute.type),
        description,
        order,
        ordering.sortable(attribute),
    )


def by_name(
    attribute: InstrumentedAttribute[Any], description: str, *, order: str | None = None
) -> Any:
    """Compare a name or a key, without regard to case."""
    return declared(
        CompareText(attribute, any_case=True)
        if in_pieces(attribute)
        else Compare(lambda entity: column_on(entity, attribute), attribute.type, any_case=True),
        f"{description} Case-insensitive.",
        order,
        ordering.sortable(attribute),
    )


def by_id(attribute: InstrumentedAttribute[Any], model: type[Base], description: str) -> Any:
    """Compare the id of the row. Those of other objects are compared through `by_relation`."""
    if attribute.class_ is not model or attribute.key != "id":
        raise TypeError(f"{attribute} is not the id of {model.__name__}.")
    return declared(OwnId(lambda row: row.id, attribute.type, model=model), description)


def by_absence(noun: str) -> Any:
    """Whether there is no object at the end of the relation that this filter is about."""
    return declared(
        Absence(),
        f"True: there is no {noun}, or none that you can see. False: there is one. Other "
        f"conditions only match {noun}s that there are.",
    )


def by_me() -> Any:
    """Whether a user is the viewer."""
    return declared(
        Me(), "Whether the user is you. In a stored filter, whether it is the filter's owner."
    )


def by_expression(
    sql: Callable[[Viewer, Any], Any],
    type_: Any,
    description: str,
    *,
    order: str | None = None,
    mark: str = "",
    nullable: bool = False,
    positive: Callable[[Viewer], Any] | None = None,
) -> Any:
    """Compare an SQL expression over the row, `sql(viewer, entity)`; `mark` names it in cursors.

    `positive`: see `ordering.Source`.
    """
    source = ordering.Source(mark, sql, type_, nullable, positive=positive)
    criterion = Expressed(sql, type_) if positive is None else Positive(positive, type_)
    return declared(criterion, description, order, source)


def by_condition(sql: Callable[[Viewer, Any], ColumnElement[bool]], description: str) -> Any:
    """Test a boolean condition: `sql(viewer, entity)`."""
    return declared(Condition(sql), description)


def by_flag(
    attribute: InstrumentedAttribute[Any], description: str, *, order: str | None = None
) -> Any:
    """Test a boolean column."""
    return declared(
        Condition(lambda _, entity: column_on(entity, attribute)),
        description,
        order,
        ordering.sortable(attribute),
    )


def by_list(
    attribute: InstrumentedAttribute[Any],
    description: str,
    convert: Callable[[Any], Any] = lambda value: value.value,
) -> Any:
    """Test whether a column has one of the values of a list; `convert`: to the stored form."""
    return declared(OneOf(attribute, convert), description)


def by_search(columns: Sequence[InstrumentedAttribute[Any]], description: str) -> Any:
    """Search for words in columns."""
    return declared(Search(columns), description)


def by_elements(
    keys: InstrumentedAttribute[Any], convert: Callable[[str], str], description: str
) -> Any:
    """Compare the elements of a text array by `some`, `none`, `every`."""
    return declared(Elements(keys, convert), description)


def by_relation(
    relationship: InstrumentedAttribute[Any],
    description: str,
    *,
    model: type[Base] | None = None,
    audited: bool = False,
    known: bool = False,
) -> Any:
    """Compare the object at the end of a to-one relation, or of a column of ids of a `model`.

    `audited` and `known`: see `Related`.
    """
    if model is not None:
        criterion = Related(relationship, model, audited=audited, known=known)
        return declared(criterion, description)
    ((local, _),) = relationship.property.local_remote_pairs
    column = getattr(relationship.class_, local.key)
    model = relationship.property.mapper.class_
    return declared(Related(column, model, audited=audited), description)


def by_relations(relationship: InstrumentedAttribute[Any], description: str) -> Any:
    """Compare the objects of a to-many relation by `some`, `none`, `every`."""
    return declared(RelatedMany(relationship), description)


def by_trash(noun: str) -> Any:
    """Whether the row is in the trash; see `InTrash`."""
    return declared(
        InTrash(),
        f"True: only {noun}s in the trash that you may restore. False, and in a filter without "
        f"this field: only {noun}s that are not in the trash.",
    )


def list_filter(description: str, *, noun: str) -> Callable[[type[T]], type[T]]:
    """Declare a filter of a list, `some`, `none` and `every`, by the filter `of` its items:

    @list_filter("Filter for a task's comments.", noun="comment")
    class CommentListFilter:
        of: CommentFilter
    """

    def declare(cls: type[T]) -> type[T]:
        of = f"{cls.__annotations__['of']} | None"
        texts = {
            "some": f"At least one {noun} matches.",
            "none": f"No {noun} matches.",
            "every": f"Every {noun} matches.",
        }
        cls.__annotations__ = dict.fromkeys(texts, of)
        for name, text in texts.items():
            setattr(cls, name, optional(text))
        return strawberry.input(cls, description=description)

    return declare


def filter_input(description: str) -> Callable[[type[T]], type[T]]:
    """Declare a filter type; adds `and`, `or` and `not`."""

    def declare(cls: type[T]) -> type[T]:
        own = dict(cls.__annotations__)
        name = cls.__name__
        combined = {
            "and_": (f"list[{name}] | None", "and", "All of these filters match."),
            "or_": (f"list[{name}] | None", "or", "At least one of these filters matches."),
            "not_": (f"{name} | None", "not", "This filter does not match."),
        }
        cls.__annotations__ = {key: value[0] for key, value in combined.items()} | own
        for key, (_, shown, text) in combined.items():
            setattr(cls, key, optional(text, name=shown))
        return strawberry.input(cls, description=description)

    return declare
