"""Filters: from an input to a predicate, in two steps.

First the input is traversed into its *shape* (which criteria and comparators are where) and its
*values*. The shape is hashable and has no values in it; the predicate is built from the shape
alone, with a bind parameter for each value. An input without a condition (`{}`, or `{eq: $x}`
without `$x`) has no shape. So a statement is compiled once per shape, however many search words and
dates pass through it, and nothing of a filter ever becomes SQL text.

A filter type declares its criteria as fields (`by`, `by_relation`, `by_condition`, `by_list`,
`by_search`); `and`, `or` and `not` are added to each. Related objects are searched among those that
the viewer can see, so that a filter cannot be used to guess at hidden ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import strawberry
from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    func,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import InstrumentedAttribute, aliased

import texts
from auth import access
from auth.viewer import Viewer
from db.base import Base
from domain.folding import fold
from errors import BadInput, Problems, check, collecting, refuse, refuse_all
from graph.core import ids
from graph.core.inputs import optional
from graph.kit.comparators import LISTS, OPERATORS, array_of, contradiction, folded_contains

T = TypeVar("T")
Path = tuple[str | int, ...]

MAX_CRITERIA = 100
MAX_LIST = 1_000
# Characters of one text to compare with: twice the longest that a filter compares.
MAX_TEXT = 1_000


class Values:
    """Collects the values of a filter in the order in which its shape is built."""

    def __init__(self) -> None:
        self.list: list[Any] = []
        self.criteria = 0

    def add(self, value: Any) -> None:
        """Add a value."""
        self.list.append(value)

    def count(self, path: Path) -> None:
        """Count one more criterion; rejects filters larger than anyone needs."""
        self.criteria += 1
        if self.criteria > MAX_CRITERIA:
            raise BadInput(
                f"A filter must have at most {MAX_CRITERIA} conditions.",
                path=path,
                limit=MAX_CRITERIA,
            )

    def params(self) -> dict[str, Any]:
        """The values by the names of their bind parameters."""
        return {f"filter_{index}": value for index, value in enumerate(self.list)}


class Binds:
    """Hands out the bind parameters in the same order."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, type_: Any) -> Any:
        name = f"filter_{self._next}"
        self._next += 1
        return bindparam(name, type_=type_)


class Criterion(ABC):
    """What one field of a filter compares."""

    @abstractmethod
    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        """Check the value, collect its parts, and return its shape: None if it is no condition."""

    @abstractmethod
    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """The predicate over `entity` (a model or alias) for this shape."""


@check("")
def _text(value: str, path: Path) -> str:
    """A text to compare with, in the form in which texts are stored."""
    if len(value) > MAX_TEXT:
        raise BadInput(
            f"A text in a filter must have at most {MAX_TEXT:,} characters; it has {len(value):,}.",
            path=path,
            limit=MAX_TEXT,
            actual=len(value),
        )
    if "\0" in value:
        raise BadInput("A text in a filter must not contain the character U+0000.", path=path)
    return texts.normalized(value)


def _column_on(entity: Any, attribute: InstrumentedAttribute[Any]) -> Any:
    return getattr(entity, attribute.key)


class Compare(Criterion):
    """Compares a column by a comparator input. `model`: the column holds ids of that model."""

    def __init__(
        self,
        column: Callable[[Any], Any],
        type_: Any,
        *,
        model: type[Base] | None = None,
        convert: Callable[[Any], Any] | None = None,
    ) -> None:
        self.column = column
        self.type = type_
        self.model = model
        self.convert = convert

    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        """The comparators that were given, `isNull` with its value."""
        found: list[Hashable] = []
        operands: dict[str, Any] = {}
        problems = Problems()
        with problems.collect():
            for name, operand in given_fields(value, path):
                values.count(path)
                place = (*path, name)
                if name == "is_null":
                    operands[name] = bool(operand)
                    found.append((name, bool(operand)))
                    continue
                if name in LISTS:
                    if len(operand) > MAX_LIST:
                        raise BadInput(
                            f"A list in a filter must have at most {MAX_LIST:,} "
                            f"values; it has {len(operand):,}.",
                            path=place,
                            limit=MAX_LIST,
                            actual=len(operand),
                        )
                    operands[name] = [
                        self._value(one, (*place, i)) for i, one in enumerate(operand)
                    ]
                else:
                    operands[name] = self._value(operand, place)
                values.add(operands[name])
                found.append((name,))
        if problems:
            refuse_all(problems)
        elif len(operands) > 1 and (why := contradiction(operands)) is not None:
            refuse(BadInput(why, path=path))
        return tuple(found) or None

    def _value(self, value: Any, path: Path) -> Any:
        if self.model is not None:
            return ids.decode_only(self.model, value, path)
        if isinstance(value, str):
            value = _text(value, path)
        if self.convert is not None:
            return self.convert(value)
        return value.value if isinstance(value, Enum) else value

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """All comparators, combined with AND."""
        column = self.column(entity)
        parts = []
        for name, *rest in shape:
            if name == "is_null":
                parts.append(column.is_(None) if rest[0] else column.is_not(None))
            else:
                type_ = Text() if name in {"contains", "starts_with"} else self.type
                parameter = bind(array_of(type_) if name in LISTS else type_)
                parts.append(OPERATORS[name](column, parameter))
        return and_(true(), *parts)


class CompareEnd(Compare):
    """Compares the id of another object by a comparator input. An object that the viewer cannot see
    counts as null, which is how it is shown.
    """

    def __init__(
        self, column: Callable[[Any], Any], type_: Any, *, model: Any, audited: bool
    ) -> None:
        super().__init__(column, type_, model=model)
        self.end = model
        self.audited = audited

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """All comparators, combined with AND, each over the ids that the viewer can see."""
        if self.audited and viewer.is_admin:
            return super().build(shape, entity, viewer, bind)
        column = self.column(entity)
        parts = []
        for name, *rest in shape:
            end = aliased(self.end)
            if name in {"eq", "in_"}:
                # Visibility of these few ids is checked once, not for each row.
                parameter = bind(array_of(self.type) if name in LISTS else self.type)
                among = select(end.id).where(
                    OPERATORS[name](end.id, parameter), access.read(viewer, end)
                )
                parts += [
                    OPERATORS[name](column, parameter),
                    column == any_(func.array(among.scalar_subquery())),
                ]
                continue
            seen = and_(
                column.is_not(None),
                select(end.id).where(end.id == column, access.read(viewer, end)).exists(),
            )
            if name == "is_null":
                parts.append(not_(seen) if rest[0] else seen)
            else:
                parameter = bind(array_of(self.type) if name in LISTS else self.type)
                parts.append(and_(OPERATORS[name](column, parameter), seen))
        return and_(true(), *parts)


class Expressed(Compare):
    """Compares the value of an SQL expression for a viewer by a comparator input."""

    def __init__(self, sql: Callable[[Viewer, Any], Any], type_: Any) -> None:
        super().__init__(lambda expression: expression, type_)
        self.sql = sql

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """All comparators, combined with AND."""
        return super().build(shape, self.sql(viewer, entity), viewer, bind)


class Condition(Criterion):
    """A boolean condition in SQL."""

    def __init__(self, sql: Callable[[Viewer, Any], ColumnElement[bool]]) -> None:
        self.sql = sql

    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        """The wanted answer."""
        values.count(path)
        return bool(value)

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """The condition, or its opposite; unknown counts as false."""
        answer = func.coalesce(self.sql(viewer, entity), False, type_=Boolean())
        return answer if shape else not_(answer)


class Search(Criterion):
    """Words that must all occur in any of some columns, ignoring case and accents."""

    def __init__(self, columns: Sequence[InstrumentedAttribute[Any]]) -> None:
        self.columns = columns

    @check(1)
    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        """The number of words."""
        words = _text(value, path).split()
        if not words:
            raise BadInput("The search text must contain at least one word.", path=path)
        if len(words) > 10:
            raise BadInput(
                f"The search text must have at most 10 words; it has {len(words)}.",
                path=path,
                limit=10,
                actual=len(words),
            )
        for word in words:
            values.count(path)
            values.add(fold(word))
        return len(words)

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """Each word in one of the columns."""
        parts = []
        for _ in range(shape):
            word = bind(Text())
            parts.append(
                or_(*(folded_contains(_column_on(entity, column), word) for column in self.columns))
            )
        return and_(*parts)


class Elements(Criterion):
    """`some`, `none`, `every` over an array of text, by its casefolded copy."""

    def __init__(self, keys: InstrumentedAttribute[Any], convert: Callable[[str], str]) -> None:
        self.keys = keys
        self.compare = Compare(lambda element: element, Text(), convert=convert)

    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        """Each quantifier with the shape of its comparator."""
        return _quantified(value, self.compare.shape, values, path)

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """`every` means that no element fails to match."""
        parts = []
        keys = _column_on(entity, self.keys)
        for quantifier, inner in shape:
            if quantifier == "some" and inner == (("eq",),):
                # The GIN index serves this form.
                parts.append(keys.contains(cast(array([bind(Text())]), ARRAY(Text()))))
                continue
            elements = func.unnest(keys).table_valued("element").render_derived()
            matches = self.compare.build(inner, elements.c.element, viewer, bind)
            wanted = not_(func.coalesce(matches, False)) if quantifier == "every" else matches
            exists = select(1).select_from(elements).where(wanted).exists()
            parts.append(exists if quantifier == "some" else not_(exists))
        return and_(true(), *parts)


class Related(Criterion):
    """The object at the end of a relation; only objects that the viewer can see are considered."""

    def __init__(self, relationship: InstrumentedAttribute[Any]) -> None:
        self.relationship = relationship

    def _columns(self) -> tuple[str, str]:
        ((local, remote),) = self.relationship.property.local_remote_pairs
        return local.key, remote.key

    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        """The shape of the inner filter."""
        return _shape(value, values, path)

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """EXISTS, through the access rule of the related model."""
        local, remote = self._columns()
        model = self.relationship.property.mapper.class_
        related = aliased(model)
        return (
            select(1)
            .where(
                getattr(related, remote) == getattr(entity, local),
                access.read(viewer, related),
                build_filter(shape, related, viewer, bind),
            )
            .exists()
        )


class RelatedMany(Related):
    """`some`, `none`, `every` over the objects of a to-many relation."""

    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        """Each quantifier with the shape of its inner filter."""
        return _quantified(value, _shape, values, path)

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """`every` means that no object fails to match."""
        local, remote = self._columns()
        model = self.relationship.property.mapper.class_
        parts = []
        for quantifier, inner in shape:
            related = aliased(model)
            matches = build_filter(inner, related, viewer, bind)
            wanted = not_(func.coalesce(matches, False)) if quantifier == "every" else matches
            exists = (
                select(1)
                .where(
                    getattr(related, remote) == getattr(entity, local),
                    access.read(viewer, related),
                    wanted,
                )
                .exists()
            )
            parts.append(exists if quantifier == "some" else not_(exists))
        return and_(true(), *parts)


# --- declaring -----------------------------------------------------------------------------------


def _criterion(criterion: Criterion, description: str) -> Any:
    return optional(description, metadata={"criterion": criterion})


def by(attribute: InstrumentedAttribute[Any], description: str) -> Any:
    """Compare a column."""
    return _criterion(
        Compare(lambda entity: _column_on(entity, attribute), attribute.type), description
    )


def by_id(
    attribute: InstrumentedAttribute[Any],
    model: type[Base],
    description: str,
    *,
    seen_with_row: bool = False,
    audited: bool = False,
) -> Any:
    """Compare a column of ids of a model: the row's own id, or that of another object, which does
    not match if the viewer cannot see it. `seen_with_row`: every viewer of the row can see the
    object. `audited`: administrators, who read the whole log, compare with all ids.
    """

    def column(entity: Any) -> Any:
        return _column_on(entity, attribute)

    criterion: Criterion
    if seen_with_row or (attribute.key == "id" and attribute.class_ is model):
        criterion = Compare(column, attribute.type, model=model)
    else:
        criterion = CompareEnd(column, attribute.type, model=model, audited=audited)
    return _criterion(criterion, description)


def by_expression(sql: Callable[[Viewer, Any], Any], type_: Any, description: str) -> Any:
    """Compare an SQL expression over the row: `sql(viewer, entity)`."""
    return _criterion(Expressed(sql, type_), description)


def by_condition(sql: Callable[[Viewer, Any], ColumnElement[bool]], description: str) -> Any:
    """Test a boolean condition: `sql(viewer, entity)`."""
    return _criterion(Condition(sql), description)


def by_search(columns: Sequence[InstrumentedAttribute[Any]], description: str) -> Any:
    """Search for words in columns."""
    return _criterion(Search(columns), description)


def by_elements(
    keys: InstrumentedAttribute[Any], convert: Callable[[str], str], description: str
) -> Any:
    """Compare the elements of a text array by `some`, `none`, `every`."""
    return _criterion(Elements(keys, convert), description)


def by_relation(relationship: InstrumentedAttribute[Any], description: str) -> Any:
    """Compare the object at the end of a to-one relation."""
    return _criterion(Related(relationship), description)


def by_relations(relationship: InstrumentedAttribute[Any], description: str) -> Any:
    """Compare the objects of a to-many relation by `some`, `none`, `every`."""
    return _criterion(RelatedMany(relationship), description)


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


# --- from an input to a predicate ----------------------------------------------------------------


def given_fields(value: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """The fields of an input that were given; a null one is an error."""
    for field in value.__strawberry_definition__.fields:
        given = getattr(value, field.python_name)
        if given is strawberry.UNSET:
            continue
        if given is None:
            refuse(
                BadInput(
                    "A filter must not be null. Omit it, or use isNull to find objects without a "
                    "value.",
                    path=(*path, field.python_name),
                )
            )
            continue
        yield field.python_name, given


def filter_shape(value: Any, values: Values, path: Path) -> Hashable:
    """The shape of a filter input; its values are added to `values`. None if it has no condition.

    Raises all its failures together.
    """
    with collecting():
        return _shape(value, values, path)


def _quantified(
    value: Any, shape: Callable[[Any, Values, Path], Hashable], values: Values, path: Path
) -> Hashable:
    """The shapes of `some`, `none` and `every` that have a condition."""
    shapes = [
        (name, shape(inner, values, (*path, name))) for name, inner in given_fields(value, path)
    ]
    return tuple((name, inner) for name, inner in shapes if inner is not None) or None


@cache
def _criteria(filter_type: Any) -> dict[str, Criterion]:
    """What the fields of a filter type compare, without `and`, `or` and `not`."""
    return {
        field.python_name: field.metadata["criterion"]
        for field in filter_type.__strawberry_definition__.fields
        if "criterion" in field.metadata
    }


def _shape(value: Any, values: Values, path: Path) -> Hashable:
    """Pairs of a criterion (or `and_`, `or_`, `not_`) and what it looks like."""
    criteria = _criteria(type(value))  # type: ignore[arg-type]  # classes are hashable
    found: list[Hashable] = []
    values.count(path)
    for name, inner in given_fields(value, path):
        place = (*path, name)
        if name in {"and_", "or_"}:
            if not inner:
                refuse(
                    BadInput("This list must not be empty. Omit it or add a filter.", path=place)
                )
            shapes = [_shape(item, values, (*place, index)) for index, item in enumerate(inner)]
            shape: Hashable = tuple(one for one in shapes if one is not None) or None
        elif name == "not_":
            shape = _shape(inner, values, place)
        else:
            shape = criteria[name].shape(inner, values, place)
        if shape is not None:
            found.append((criteria.get(name, name), shape))
    return tuple(found) or None


def build_filter(shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
    """The predicate of a shape over a model or alias."""
    parts: list[ColumnElement[bool]] = []
    for criterion, inner in shape:
        if criterion == "and_":
            parts.extend(build_filter(item, entity, viewer, bind) for item in inner)
        elif criterion == "or_":
            parts.append(or_(*(build_filter(item, entity, viewer, bind) for item in inner)))
        elif criterion == "not_":
            matches = build_filter(inner, entity, viewer, bind)
            parts.append(not_(func.coalesce(matches, False)))
        else:
            parts.append(criterion.build(inner, entity, viewer, bind))
    return and_(true(), *parts)
