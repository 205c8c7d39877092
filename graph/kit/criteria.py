"""Criteria: what one field of a filter compares, as a shape with values, and as a predicate.

The shape of a criterion is hashable and has no values in it; `build` makes the predicate of the
shape alone, with a bind parameter for each value (`graph.kit.predicates` says why).
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    Integer,
    Text,
    Uuid,
    and_,
    any_,
    cast,
    false,
    func,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.orm import InstrumentedAttribute

import texts
from auth.viewer import Viewer
from db.base import Base
from domain.folding import fold, pieces
from errors import BadInput, Problems, check, refuse, refuse_all
from graph.core import ids
from graph.core.scalars import timedelta_of
from graph.kit.comparators import (
    LISTS,
    MAX_WITHIN,
    OPERAND_TYPES,
    OPERATORS,
    array_of,
    contradiction,
    folded_contains,
)
from graph.kit.filter_values import Binds, LookUp, Path, Values, given_fields

MAX_LIST = 1_000
# Characters of one text to compare with: twice the longest that a filter compares.
MAX_TEXT = 1_000


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


def column_on(entity: Any, attribute: InstrumentedAttribute[Any]) -> Any:
    """The column of a model or alias."""
    return getattr(entity, attribute.key)


def in_pieces(attribute: InstrumentedAttribute[Any]) -> bool:
    """Whether an index has the pieces of this column."""
    return attribute.key in attribute.class_.pieces_of


def _is_known(values: Values, look_up: LookUp) -> bool:
    """Whether the rows are known and few; their IDs are then one more value."""
    found = values.look_up(look_up) if look_up.pieces else None
    if found is not None:
        values.add(found)
    return found is not None


# Comparators that compare texts as a whole; the others never regard case.
_WHOLE = frozenset({"eq", "not_eq", "in_", "not_in"})


class Compare(Criterion):
    """Compares a column by a comparator input. `model`: the column holds ids of that model.

    `any_case`: whole texts are compared without regard to case.
    """

    def __init__(
        self,
        column: Callable[[Any], Any],
        type_: Any,
        *,
        model: type[Base] | None = None,
        convert: Callable[[Any], Any] | None = None,
        any_case: bool = False,
    ) -> None:
        self.column = column
        # `Seconds` have more bits than some columns, and are compared with these too.
        self.type = BigInteger() if isinstance(type_, Integer) else type_
        self.model = model
        self.convert = convert
        self.any_case = any_case

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
                elif name == "within":
                    operands[name] = _length(operand, place)
                else:
                    operands[name] = self._value(operand, place)
                values.add(operands[name])
                found.append((name,))
        if problems:
            refuse_all(problems)
        elif len(operands) > 1 and (why := self._contradiction(operands)) is not None:
            refuse(BadInput(why, path=path))
        return tuple(found) or None

    def _contradiction(self, operands: dict[str, Any]) -> str | None:
        if self.any_case:
            operands = {
                name: [one.casefold() for one in operand]
                if name in LISTS
                else operand.casefold()
                if name in _WHOLE
                else operand
                for name, operand in operands.items()
            }
        return contradiction(operands)

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
        column = self.compares(entity, viewer)
        parts = []
        for name, *rest in shape:
            if name == "is_null":
                parts.append(column.is_(None) if rest[0] else column.is_not(None))
                continue
            type_ = OPERAND_TYPES.get(name, self.type)
            operand = bind(array_of(type_) if name in LISTS else type_)
            if name == "within":
                operand = _ends(self.type, operand, viewer)
            parts.append(self.predicate(name, column, operand, entity))
        return and_(true(), *parts)

    def compares(self, entity: Any, viewer: Viewer) -> Any:
        """What is compared."""
        return self.column(entity)

    def predicate(self, name: str, column: Any, operand: Any, entity: Any) -> ColumnElement[bool]:
        """That of one comparator."""
        if self.any_case and name in _WHOLE:
            return OPERATORS[name](func.lower(column), _lowered(name, operand))
        return OPERATORS[name](column, operand)


class CompareText(Compare):
    """Compares a column of a model whose pieces an index has."""

    _PARTS = frozenset({"contains", "starts_with", "ends_with"})

    def __init__(self, attribute: InstrumentedAttribute[Any], *, any_case: bool = False) -> None:
        super().__init__(
            lambda entity: column_on(entity, attribute), attribute.type, any_case=any_case
        )
        self.of: Any = attribute.class_

    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        """The comparators, and whether the rows that satisfy them are known."""
        before = len(values.list)
        found: Any = super().shape(value, values, path)
        if found is None:
            return None
        given = values.list[before:]
        names = [name for name, *null in found if not null]
        together = {
            piece
            for name, part in zip(names, given, strict=True)
            if name in self._PARTS
            for piece in pieces(part)
        }
        look_up = LookUp(self, self.of, (found, False), tuple(given), sorted(together))
        return found, _is_known(values, look_up)

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """See `Compare`."""
        found, known = shape
        matches = super().build(found, entity, viewer, bind)
        return and_(matches, entity.id == any_(bind(ARRAY(Uuid())))) if known else matches


@check(None)
def _length(duration: str, path: Path) -> dt.timedelta:
    length = timedelta_of(duration)
    if abs(length) > MAX_WITHIN:
        raise BadInput(f"within must be at most {MAX_WITHIN.days:,} days.", path=path)
    return length


def _ends(type_: Any, length: Any, viewer: Viewer) -> tuple[Any, Any]:
    """The time now and then; for days, the viewer's day now and then."""
    if not isinstance(type_, Date):
        return func.now(), func.now() + length
    here = func.timezone("UTC", func.now()) + viewer.sql_offset
    return cast(here, Date()), cast(here + length, Date())


def _lowered(name: str, operand: Any) -> Any:
    """An operand in lower case, by the rules by which PostgreSQL lowers the column."""
    if name not in LISTS:
        return func.lower(operand)
    each = func.unnest(operand).column_valued("each")
    return func.array(select(func.lower(each)).scalar_subquery(), type_=ARRAY(Text()))


class OwnId(Compare):
    """Compares the id of the row itself."""


class Absence(Criterion):
    """Whether there is no object at the end of a relation."""

    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        """The wanted answer."""
        values.count(path)
        return bool(value)

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """Of a row there is: never absent."""
        return false() if shape else true()


class Expressed(Compare):
    """Compares the value of an SQL expression for a viewer by a comparator input."""

    def __init__(
        self,
        sql: Callable[[Viewer, Any], Any],
        type_: Any,
        *,
        convert: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(lambda entity: entity, type_, convert=convert)
        self.sql = sql

    def compares(self, entity: Any, viewer: Viewer) -> Any:
        """The expression."""
        return self.sql(viewer, entity)


# Whether 0 matches an operand.
_ZERO: dict[str, Callable[[Any], bool]] = {
    "eq": lambda value: value == 0,
    "not_eq": lambda value: value != 0,
    "in_": lambda values: 0 in values,
    "not_in": lambda values: 0 not in values,
    "lt": lambda value: value > 0,
    "lte": lambda value: value >= 0,
    "gt": lambda value: value < 0,
    "gte": lambda value: value <= 0,
}


class Positive(Compare):
    """Compares a number that is 0 for most rows and never negative. `positive`: see
    `ordering.Source`. Only the rows where it is positive are compared; whether 0 matches is a part
    of the shape.
    """

    def __init__(self, positive: Callable[[Viewer], Any], type_: Any) -> None:
        super().__init__(lambda values: values.c.value, type_)
        self.positive = positive

    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        """The comparators, and whether 0 matches all of them."""
        own = Values()
        own.criteria = values.criteria
        found: Any = super().shape(value, own, path)
        values.criteria = own.criteria
        for operand in own.list:
            values.add(operand)
        if found is None:
            return None
        names = [name for name, *rest in found if not rest]
        given = zip(names, own.list, strict=True)
        zero = all(_ZERO[name](operand) for name, operand in given)
        return found, zero and ("is_null", True) not in found

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """Whether the row is one of those that match, or none of those that do not."""
        found, zero = shape
        values = self.positive(viewer).subquery("positive")
        matches = super().build(found, values, viewer, bind)
        keys = select(values.c.key).where(not_(matches) if zero else matches)
        listed: ColumnElement[bool] = entity.id.in_(keys)
        return not_(listed) if zero else listed


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


class Me(Condition):
    """Whether the row is the viewer."""

    def __init__(self) -> None:
        super().__init__(lambda viewer, user: user.id == viewer.sql_id)


class InTrash(Condition):
    """Whether the row is in the trash. A filter with it, on any level, reaches rows in the trash
    that the viewer may restore; of related objects, only those that are not in the trash are
    considered all the same.
    """

    def __init__(self) -> None:
        super().__init__(lambda _, row: row.deleted_at.is_not(None))


class OneOf(Criterion):
    """Whether a column has one of some values."""

    def __init__(
        self, attribute: InstrumentedAttribute[Any], convert: Callable[[Any], Any]
    ) -> None:
        self.attribute = attribute
        self.convert = convert

    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        """All lists have one shape."""
        values.count(path)
        values.add([self.convert(one) for one in value])
        return True

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """`= ANY`; unknown counts as false."""
        column = column_on(entity, self.attribute)
        return func.coalesce(column == any_(bind(ARRAY(self.attribute.type))), False)


# What people write around words. Within them it counts: `node.js` is found as it is written.
_AROUND_WORDS = ",;:.!?-&|\"'`()[]{}<>…–—‘’“”„«»‹›¡¿、。，！？：；（）「」『』"  # noqa: RUF001


class Search(Criterion):
    """Words that must all occur in any of some columns, ignoring case and accents."""

    def __init__(self, columns: Sequence[InstrumentedAttribute[Any]]) -> None:
        self.columns = columns
        # If an index has the pieces of all columns.
        indexed = bool(columns) and all(map(in_pieces, columns))
        self.model: Any = columns[0].class_ if indexed else None

    @check(1)
    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        """The number of words, and whether the rows that have them are known."""
        stripped = (word.strip(_AROUND_WORDS) for word in _text(value, path).split())
        words = [word for word in stripped if word]
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
        if self.model is None:
            return len(words), False
        folded = values.list[-len(words) :]
        together = {piece for word in folded for piece in pieces(word, folded=True)}
        shape = (len(words), False)
        look_up = LookUp(self, self.model, shape, tuple(folded), sorted(together))
        return len(words), _is_known(values, look_up)

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """Each word in one of the columns."""
        count, known = shape
        parts = []
        for _ in range(count):
            word = bind(Text())
            parts.append(or_(*(folded_contains(text, word) for text in self.texts(entity))))
        if known:
            parts.append(entity.id == any_(bind(ARRAY(Uuid()))))
        return and_(*parts)

    def texts(self, entity: Any) -> list[Any]:
        """Where the words are looked for."""
        return [column_on(entity, column) for column in self.columns]
