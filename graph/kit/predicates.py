"""From the input of a filter to a predicate, in two steps.

First the input is traversed into its *shape* (which criteria and comparators are where) and its
*values*. The shape is hashable and has no values in it; the predicate is built from the shape
alone, with a bind parameter for each value. An input without a condition (`{}`, or `{eq: $x}`
without `$x`) has no shape. So a statement is compiled once per shape, however many search words and
dates pass through it, and nothing of a filter ever becomes SQL text.

Related objects are searched among those that the viewer can see, so that a filter cannot be used to
guess at hidden ones. A condition on a related object is about one that exists: where there is none,
or none that the viewer can see, only `isNull` has an answer, and everything else is unknown, as in
SQL. So `{assignee: {not: {isMe: true}}}` finds what somebody else is assigned to, and
`{not: {assignee: {isMe: true}}}` unassigned tasks as well.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Text,
    and_,
    any_,
    cast,
    func,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import InstrumentedAttribute, aliased
from strawberry.utils.str_converters import to_camel_case

from auth import access
from auth.viewer import Viewer
from errors import BadInput, collecting, refuse
from graph.kit.comparators import (
    LISTS,
    OPERATORS,
    array_of,
)
from graph.kit.criteria import (
    Absence,
    Compare,
    Criterion,
    InTrash,
    Me,
    OwnId,
    column_on,
)
from graph.kit.filter_values import Binds, Path, Values, given_fields


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


# --- related objects and lists ------------------------------------------------------------------


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
        keys = column_on(entity, self.keys)
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
        return column_on(entity, self.local)

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
        # PostgreSQL would test the rights on the row for each related object again.
        is_seen = bind.is_visible(entity) and access.is_part(model, remote.key)
        for quantifier, inner in shape:
            related = aliased(model)
            bind.note_visible(related)
            matches = build_filter(inner, related, viewer, bind)
            wanted = not_(func.coalesce(matches, False)) if quantifier == "every" else matches
            visible = true() if is_seen else access.read(viewer, related)
            belongs = getattr(related, remote.key) == getattr(entity, local.key)
            exists = select(1).where(belongs, visible, wanted).exists()
            parts.append(exists if quantifier == "some" else not_(exists))
        return and_(true(), *parts)
