"""Filters: from an input to a predicate, in two steps.

First the input is traversed into its *shape* (which criteria and comparators are where) and its
*values*. The shape is hashable and has no values in it; the predicate is built from the shape
alone, with a bind parameter for each value. An input without a condition (`{}`, or `{eq: $x}`
without `$x`) has no shape. So a statement is compiled once per shape, however many search words and
dates pass through it, and nothing of a filter ever becomes SQL text.

A filter type declares its criteria as fields (`by`, `by_relation`, `by_condition`, `by_elements`,
`by_search`); `and`, `or` and `not` are added to each. A criterion that is also a sort key says so
(`order`), and `ordering.order_input` takes it from there: a filter and an ordering of one name
cannot mean two things.

Related objects are searched among those that the viewer can see, so that a filter cannot be used to
guess at hidden ones. A condition on a related object is about one that exists: where there is none,
or none that the viewer can see, only `isNull` has an answer, and everything else is unknown, as in
SQL. So `{assignee: {not: {isMe: true}}}` finds what somebody else is assigned to, and
`{not: {assignee: {isMe: true}}}` unassigned tasks as well.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

import strawberry
from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Date,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    cast,
    false,
    func,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import InstrumentedAttribute, aliased
from strawberry.utils.str_converters import to_camel_case

import texts
from auth import access
from auth.viewer import Viewer
from db.base import Base
from domain.folding import fold, pieces
from errors import BadInput, Problems, check, collecting, refuse, refuse_all
from graph.core import ids
from graph.core.inputs import optional
from graph.core.scalars import timedelta_of
from graph.kit import ordering
from graph.kit.comparators import (
    LISTS,
    MAX_WITHIN,
    OPERAND_TYPES,
    OPERATORS,
    array_of,
    contradiction,
    folded_contains,
)

T = TypeVar("T")
Path = tuple[str | int, ...]

MAX_CRITERIA = 100
MAX_LIST = 1_000
# Characters of one text to compare with: twice the longest that a filter compares.
MAX_TEXT = 1_000


@dataclass(frozen=True, slots=True)
class LookUp:
    """A condition on texts whose rows an index finds, by the pieces of these texts
    (`graph.kit.look_ups`). The shape and the values are those of the criterion.
    """

    criterion: Criterion
    model: type[Base]
    shape: Hashable
    values: tuple[Any, ...]
    pieces: list[str]


class Values:
    """Collects the values of a filter in the order in which its shape is built."""

    def __init__(self, found: Sequence[list[UUID] | None] | None = None) -> None:
        """`found`: the results of the look-ups that this filter asks for, once they are known."""
        self.list: list[Any] = []
        self.criteria = 0
        self.look_ups: list[LookUp] = []
        self._found = found

    def add(self, value: Any) -> None:
        """Add a value."""
        self.list.append(value)

    def look_up(self, look_up: LookUp) -> list[UUID] | None:
        """The IDs of the rows that satisfy a condition, if they are known and few."""
        self.look_ups.append(look_up)
        return None if self._found is None else self._found[len(self.look_ups) - 1]

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


def _in_pieces(attribute: InstrumentedAttribute[Any]) -> bool:
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
        self.type = type_
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
            lambda entity: _column_on(entity, attribute), attribute.type, any_case=any_case
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


def right_of(shape: Any) -> Callable[[Viewer, Any], ColumnElement[bool]]:
    """Which rows a list with this filter (or None) is about: see `InTrash`."""
    return access.read_or_restore if _reaches_trash(shape or ()) else access.read


def _reaches_trash(shape: Any) -> bool:
    return any(
        isinstance(criterion, InTrash)
        or (criterion == "not_" and _reaches_trash(inner))
        or (criterion in {"and_", "or_"} and any(map(_reaches_trash, inner)))
        for criterion, inner in shape
    )


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
        column = _column_on(entity, self.attribute)
        return func.coalesce(column == any_(bind(ARRAY(self.attribute.type))), False)


# What people write around words. Within them it counts: `node.js` is found as it is written.
_AROUND_WORDS = ",;:.!?-&|\"'`()[]{}<>…–—‘’“”„«»‹›¡¿、。，！？：；（）「」『』"  # noqa: RUF001


class Search(Criterion):
    """Words that must all occur in any of some columns, ignoring case and accents."""

    def __init__(self, columns: Sequence[InstrumentedAttribute[Any]]) -> None:
        self.columns = columns
        # If an index has the pieces of all columns.
        indexed = bool(columns) and all(map(_in_pieces, columns))
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
        return [_column_on(entity, column) for column in self.columns]


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
    """The object at the end of a relation; only objects that the viewer can see are considered.

    `local`: the column with its id. `audited`: administrators, who read the whole log, see every
    end. `known`: a viewer who sees the row may search by the id of its end.
    """

    def __init__(
        self,
        local: InstrumentedAttribute[Any],
        model: Any,
        *,
        audited: bool = False,
        known: bool = False,
    ) -> None:
        self.local = local
        self.model = model
        self.audited = audited
        self.known = known

    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        """The shape of the inner filter."""
        return _shape(value, values, path)

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """EXISTS, through the access rule of the related model; or that there is none."""
        key = self.key(entity)
        if (known := self._known(shape, key, viewer, bind)) is not None:
            return known
        end = self.end(entity)
        found = self.exists(key, end, viewer, build_filter(shape, end, viewer, bind))
        if _of_nothing(shape):
            return or_(found, not_(self.exists(key, self.end(entity), viewer)))
        return found

    def key(self, entity: Any) -> Any:
        """The id of the object."""
        return _column_on(entity, self.local)

    def end(self, entity: Any) -> Any:
        """The rows among which it is."""
        return aliased(self.model)

    def visible(self, viewer: Viewer, end: Any) -> ColumnElement[bool]:
        """Whether the viewer sees an object."""
        return true() if self.audited and viewer.is_admin else access.read(viewer, end)

    def exists(self, key: Any, end: Any, viewer: Viewer, *more: Any) -> ColumnElement[bool]:
        """Whether the viewer sees an object with this id for which more holds."""
        return select(1).where(end.id == key, self.visible(viewer, end), *more).exists()

    def _known(
        self, shape: Any, key: Any, viewer: Viewer, bind: Binds
    ) -> ColumnElement[bool] | None:
        """The predicate of an end that is named: whether the viewer sees it is checked once and not
        for each row. None for any other shape.
        """
        if len(shape) > 1:
            return None
        ((criterion, inner),) = shape
        if isinstance(criterion, Absence):
            seen = self.exists(key, aliased(self.model), viewer)
            return not_(seen) if inner else seen
        end = aliased(self.model)
        if isinstance(criterion, Me) and inner:
            me = viewer.sql_id
            return self._among([key == me], [end.id == me], key, end, viewer, one=True)
        if not isinstance(criterion, OwnId) or {name for name, *_ in inner} - {"eq", "in_"}:
            return None
        named = [
            (OPERATORS[name], bind(array_of(criterion.type) if name in LISTS else criterion.type))
            for (name,) in inner
        ]
        return self._among(
            [compare(key, value) for compare, value in named],
            [compare(end.id, value) for compare, value in named],
            key,
            end,
            viewer,
            one=all(name == "eq" for (name,) in inner),
        )

    def _among(
        self,
        of_key: list[Any],
        of_end: list[Any],
        key: Any,
        end: Any,
        viewer: Viewer,
        *,
        one: bool,
    ) -> ColumnElement[bool]:
        among = select(end.id).where(*of_end, self.visible(viewer, end))
        if self.known:
            return and_(true(), *of_key)
        if one:
            # PostgreSQL checks this once, and knows from the other condition how many rows to
            # expect: a user can have a tenth of all.
            return and_(*of_key, among.exists())
        return and_(*of_key, key == any_(func.array(among.scalar_subquery())))


def _of_nothing(shape: Any) -> bool | None:
    """What a filter says of no object at all: None if it is unknown."""
    return _all(_answer_of_nothing(criterion, inner) for criterion, inner in shape)


def _answer_of_nothing(criterion: Any, inner: Any) -> bool | None:
    if criterion == "and_":
        return _all(map(_of_nothing, inner))
    if criterion == "or_":
        return _not(_all(_not(_of_nothing(one)) for one in inner))
    if criterion == "not_":
        return _not(_of_nothing(inner))
    if isinstance(criterion, Absence):
        return bool(inner)
    if isinstance(criterion, OwnId):
        return _all(rest[0] if name == "is_null" else None for name, *rest in inner)
    return None


def _not(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def _all(answers: Iterable[bool | None]) -> bool | None:
    found = set(answers)
    return False if False in found else None if None in found else True


class RelatedMany(Criterion):
    """`some`, `none`, `every` over the objects of a to-many relation."""

    def __init__(self, relationship: InstrumentedAttribute[Any]) -> None:
        self.relationship = relationship

    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        """Each quantifier with the shape of its inner filter."""
        return _quantified(value, _shape, values, path)

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        """`every` means that no object fails to match."""
        ((local, remote),) = self.relationship.property.local_remote_pairs
        model = self.relationship.property.mapper.class_
        parts = []
        for quantifier, inner in shape:
            related = aliased(model)
            matches = build_filter(inner, related, viewer, bind)
            wanted = not_(func.coalesce(matches, False)) if quantifier == "every" else matches
            exists = (
                select(1)
                .where(
                    getattr(related, remote.key) == getattr(entity, local.key),
                    access.read(viewer, related),
                    wanted,
                )
                .exists()
            )
            parts.append(exists if quantifier == "some" else not_(exists))
        return and_(true(), *parts)


# --- declaring -----------------------------------------------------------------------------------


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
        if _in_pieces(attribute)
        else Compare(lambda entity: _column_on(entity, attribute), attribute.type),
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
        if _in_pieces(attribute)
        else Compare(lambda entity: _column_on(entity, attribute), attribute.type, any_case=True),
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
) -> Any:
    """Compare an SQL expression over the row, `sql(viewer, entity)`; `mark` names it in cursors."""
    source = ordering.Source(mark, sql, type_, nullable)
    return declared(Expressed(sql, type_), description, order, source)


def by_condition(sql: Callable[[Viewer, Any], ColumnElement[bool]], description: str) -> Any:
    """Test a boolean condition: `sql(viewer, entity)`."""
    return declared(Condition(sql), description)


def by_flag(
    attribute: InstrumentedAttribute[Any], description: str, *, order: str | None = None
) -> Any:
    """Test a boolean column."""
    return declared(
        Condition(lambda _, entity: _column_on(entity, attribute)),
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
    found: list[tuple[Any, Hashable]] = []
    # The conditions that no missing object satisfies.
    of_objects: list[str] = []
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
            if name in criteria and _answer_of_nothing(criteria[name], shape) is not True:
                of_objects.append(name)
    if of_objects and any(isinstance(one, Absence) and wanted for one, wanted in found):
        other = to_camel_case(of_objects[0])
        refuse(BadInput(f"isNull: true and {other} exclude each other.", path=path))
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
