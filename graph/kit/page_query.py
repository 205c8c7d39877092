"""The query of one page: its rows in order, from the index that serves each segment of its list.

A page at the root is made of segments (`graph.kit.segments`). A page under a parent is small enough
to be sorted, and is one query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    Integer,
    Select,
    and_,
    any_,
    bindparam,
    false,
    func,
    inspect,
    literal_column,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import QueryableAttribute, aliased, join
from sqlalchemy.sql.visitors import replacement_traverse

from auth import access
from auth.viewer import Viewer, placeholder_viewer
from db import models
from db.base import Base
from db.statements import select_from
from graph.core.access_paths import CandidateSet, candidate_set, path_flag
from graph.kit.filter_values import Binds
from graph.kit.loading import columns_of
from graph.kit.ordering import Key, from_on, parameters_of
from graph.kit.predicates import build_filter
from graph.kit.segments import Segment, Value, bound, conditions, segments_of

if TYPE_CHECKING:
    from graph.kit.page_rows import PageShape

MAX_PAGE = 100

_Select = Select[*tuple[Any, ...]]

# Labels of the columns that hold a row's position in the ordering.
KEY = "_key_"
# Labels of what rows are sorted by a second time; not among the columns that are read.
_SORT = "_sort_"
# A page and the row after it. PostgreSQL knows this limit when it plans; of a parameter it assumes
# that it is a tenth of all rows, and may sort them all.
_MOST: Final = literal_column(str(MAX_PAGE + 1), Integer())
# Tables with as many rows as a list has: to read them in order would take as long as to sort.
_LARGE: Final[tuple[type[Base], ...]] = (models.Task,)


def predicates(shape: PageShape, entity: Any, viewer: Viewer) -> list[Any]:
    """Which rows belong to a list."""
    found = [shape.right(viewer, entity)]
    if shape.where is not None:
        found.append(shape.where(viewer, entity))
    if shape.filter is not None:
        binds = Binds(entity) if shape.right is access.read else Binds()
        found.append(build_filter(shape.filter, entity, viewer, binds))
    return found


class PageQuery:
    """The rows of one page, before they are ordered and limited."""

    def __init__(self, shape: PageShape) -> None:
        viewer = placeholder_viewer(shape.viewer)
        entity: Any = aliased(shape.model, name="item")
        ordering = shape.ordering
        source: Any = entity
        expressions = []
        for key in ordering.keys:
            if key.source.beside is None:
                expressions.append(key.source.sql(viewer, entity))
                continue
            beside = aliased(key.source.beside.class_)
            (own,) = inspect(beside).mapper.primary_key
            source = join(source, beside, getattr(beside, own.key) == entity.id)
            expressions.append(getattr(beside, key.source.beside.key))
            if len(ordering.keys) == 2:
                # The ID, the last key, is compared where the counter's index has it: PostgreSQL
                # does not carry a comparison of several values over to the other table.
                expressions.append(getattr(beside, own.key))
                break
        columns = columns_of(shape.model, entity, shape.columns.labels, viewer)
        if shape.with_cursors:
            columns += [
                expression.label(f"{KEY}{index}") for index, expression in enumerate(expressions)
            ]
        self.query: _Select = select_from(source, *columns).where(
            *predicates(shape, entity, viewer)
        )
        self.entity = entity
        self._shape = shape
        self._viewer = viewer
        self._keys = (ordering.reversed() if shape.backward else ordering).keys
        self._expressions = expressions
        self._replace: Callable[..., Any] | None = None

    def replace(self, replace: Callable[..., Any]) -> None:
        """Replace parameters by other expressions."""
        self._replace = replace

    def single(self) -> _Select | None:
        """The rows, without the page's own limit, if they are all in one segment."""
        if self._shape.child is not None or self._shape.counted:
            return None
        parts = self._parts(None)
        return parts[0].limit(_MOST) if len(parts) == 1 else None

    def ordered(self) -> _Select:
        """The page."""
        limit = self._given(bindparam("limit", type_=Integer()))
        if self._shape.child is not None:
            return self._unsegmented(()).limit(limit)
        candidates = candidate_set(self._viewer, self._shape.model, counted=self._shape.counted)
        parts = [part.limit(_MOST) for part in self._parts(candidates)]
        rows: Any = parts[0]
        if len(parts) > 1:
            tables = [part.subquery() for part in parts]
            rows = union_all(*(select_from(table, *table.c) for table in tables))
        rows = rows.subquery("page_rows")
        return select_from(rows, *rows.c, *path_flag(candidates)).limit(limit)

    def _given(self, part: Any) -> Any:
        return part if self._replace is None else replacement_traverse(part, {}, self._replace)

    def _parts(self, candidates: CandidateSet | None) -> list[_Select]:
        # Of the candidates and the segments, only one has rows.
        among = [] if candidates is None else [candidates.is_many]
        parts = [self._segment(segment, among) for segment in segments_of(self._keys)]
        found = [part for part in parts if part is not None]
        if candidates is not None:
            found.insert(0, self._unsegmented([candidates.holds(self.entity)]))
        return found or [self._unsegmented([false()])]

    def _unsegmented(self, also: Sequence[Any]) -> _Select:
        bounds, _ = self._bounds((), self._expressions) or ([], [])
        query = self._given(self.query.where(*bounds, *also))
        return self._sorted(query, (), self._expressions)

    def _sorted(self, query: _Select, segment: Segment, expressions: Sequence[Any]) -> _Select:
        return query.order_by(*_terms(self._keys, segment, expressions))

    def _bounds(
        self, segment: Segment, expressions: Sequence[Any]
    ) -> tuple[list[Any], list[Any]] | None:
        """The conditions that a page begins after a cursor and ends before another one, and what
        they imply for the first key; None if the segment has no rows between the two.
        """
        shape, found, heads = self._shape, [], []
        for name, ordering, position in (
            ("after", shape.ordering, shape.after),
            ("before", shape.ordering.reversed(), shape.before),
        ):
            if position is None:
                continue
            keys = ordering.keys
            side = bound(segment, keys, expressions, position, name, inclusive=shape.inclusive)
            if side is None:
                return None
            if side.here is not None:
                found.append(side.here)
            if side.first == 0:
                heads.append(from_on(keys[0], expressions[0], parameters_of(keys, name)[0]))
        return found, heads

    def _segment(self, segment: Segment, also: Sequence[Any]) -> _Select | None:
        """The rows of one segment; None if the page cannot have any."""
        if segment and self._keys[0].source.related is not None:
            if segment[0] is Value.ANY:
                return self._by_related(also)
            return self._without_related(segment, also)
        if segment and self._keys[0].source.positive is not None:
            return self._positive(also) if segment[0] is Value.ANY else self._zero(segment, also)
        bounds = self._bounds(segment, self._expressions)
        if bounds is None:
            return None
        here = conditions(segment, self._keys, self._expressions)
        query = self._given(self.query.where(*here, *bounds[0], *also))
        return self._sorted(query, segment, self._expressions)

    def _positive(self, also: Sequence[Any]) -> _Select | None:
        """The rows whose first key is positive: they are few, and sorted by it."""
        first = self._keys[0].source.positive
        assert first is not None
        values = first(self._viewer).subquery("positive")
        expressions = [values.c.value, *self._expressions[1:]]
        bounds = self._bounds((Value.ANY,), expressions)
        if bounds is None:
            return None
        query = self._given(self.query.where(*bounds[0]))
        query = query.join(values, values.c.key == self.entity.id).where(*also)
        return self._sorted(query, (Value.ANY,), expressions)

    def _zero(self, segment: Segment, also: Sequence[Any]) -> _Select | None:
        """All other rows, by the other keys."""
        first = self._keys[0].source.positive
        assert first is not None
        values = first(self._viewer).subquery("positive")
        bounds = self._bounds(segment, self._expressions)
        if bounds is None:
            return None
        others = self.entity.id.not_in(select(values.c.key))
        query = self._given(self.query.where(*bounds[0])).where(others, *also)
        return self._sorted(query, segment, self._expressions)

    def _by_related(self, also: Sequence[Any]) -> _Select | None:
        """The rows with a visible related object that has a value, by this value."""
        related = self._keys[0].source.related
        assert related is not None
        ((local, remote),) = related[0].property.local_remote_pairs
        model = related[0].property.mapper.class_
        others: Any = aliased(model)
        key, value = getattr(others, remote.key), related[1].sql(self._viewer, others)
        visible = [access.read(self._viewer, others)]
        if related[1].nullable:
            visible.append(value.is_not(None))
        if not isinstance(value, QueryableAttribute):
            # No index has this order: the related objects are sorted first.
            found = select(key.label("key"), value.label("value")).where(*visible)
            others = found.order_by(*_terms(self._keys[:1], (Value.ANY,), [value])).subquery()
            key, value, visible = others.c.key, others.c.value, []
        belongs = getattr(self.entity, local.key) == key
        expressions = [value, *self._expressions[1:]]
        bounds = self._bounds((Value.ANY,), expressions)
        if bounds is None:
            return None
        visible += map(self._given, bounds[1])
        if model in _LARGE:
            query = self._given(self.query.where(*bounds[0]))
            query = query.join(others, belongs).where(*visible, *also)
            return self._sorted(query, (Value.ANY,), expressions)
        rest = expressions[1:]
        sorts = [f"{_SORT}{index}" for index in range(len(rest))]
        query = self._given(self.query.where(belongs, *bounds[0]))
        query = query.add_columns(
            *(expression.label(label) for label, expression in zip(sorts, rest, strict=True))
        )
        query = query.order_by(*_terms(self._keys[1:], (), rest)).limit(_MOST)
        rows = query.correlate(others).lateral("related_rows")
        columns = [column for column in rows.c if column.key not in sorts]
        query = select_from(others, *columns).join(rows, true()).where(*visible, *also)
        return self._sorted(query, (Value.ANY,), [value, *(rows.c[label] for label in sorts)])

    def _without_related(self, segment: Segment, also: Sequence[Any]) -> _Select | None:
        """The rows without a related object, or with one that is hidden or has no value."""
        related = self._keys[0].source.related
        assert related is not None
        bounds = self._bounds(segment, self._expressions)
        if bounds is None:
            return None
        keys, rest = self._keys[1:], self._expressions[1:]
        here = [*conditions(segment[1:], keys, rest), *bounds[0]]
        query: _Select = self._given(self.query.where(*here)).where(*also)
        ((local, remote),) = related[0].property.local_remote_pairs
        model, column = related[0].property.mapper.class_, getattr(self.entity, local.key)
        terms = list(_terms(keys, segment[1:], rest))
        if model in _LARGE:
            return query.where(self._expressions[0].is_(None)).order_by(*terms)
        other = aliased(model)
        readable = access.read(self._viewer, other)
        key = getattr(other, remote.key)
        lacking = not_(readable)
        if related[1].nullable:
            lacking = or_(lacking, related[1].sql(self._viewer, other).is_(None))
        found = column.in_(select(key).where(lacking))
        others = None
        if self._shape.has_candidates and not related[1].nullable:
            others = access.candidate_ids_apart(self._viewer, self._shape.model, local.key)
        if others is not None:
            # What is in a project that the viewer cannot see, they see for another reason.
            ids = func.array(others.scalar_subquery())
            found = and_(found, self.entity.id == any_(ids))
        kinds = [found]
        if local.nullable:
            kinds.append(column.is_(None))
        if len(kinds) == 1:
            return query.where(*kinds).order_by(*terms)
        # Each for itself, since no index serves an OR of the two.
        sorts = [f"{_SORT}{index}" for index in range(len(rest))]
        query = query.add_columns(
            *(expression.label(label) for label, expression in zip(sorts, rest, strict=True))
        )
        query = query.order_by(*terms).limit(_MOST)
        tables = [query.where(kind).subquery() for kind in kinds]
        rows = union_all(*(select_from(table, *table.c) for table in tables)).subquery()
        columns = [column for column in rows.c if column.key not in sorts]
        again = [rows.c[label] for label in sorts]
        both: _Select = select_from(rows, *columns)
        return both.order_by(*_terms(keys, segment[1:], again))


def _terms(keys: Sequence[Key], segment: Segment, expressions: Sequence[Any]) -> Iterator[Any]:
    """The ORDER BY terms of a segment: without keys that are the same in all of its rows, and with
    nothing about nulls where there are none.
    """
    for place, (key, expression) in enumerate(zip(keys, expressions, strict=True)):
        if place >= len(segment):
            yield key.sorted(expression)
        elif segment[place] is Value.ANY:
            yield expression.desc() if key.descending else expression.asc()
