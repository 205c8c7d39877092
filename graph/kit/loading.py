"""Reading rows for the graph: statements by shape, objects by key, and to-one relations.

A statement is built and compiled once for its *shape* (model, columns, ordering, comparators used)
and kept; values are passed as parameters. Objects reached by key are read once per operation,
however many positions ask for them: with the columns that any position of the operation asks for,
and all positions of one moment in one statement.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, cast
from uuid import UUID

import strawberry
from graphql import GraphQLObjectType
from sqlalchemy import ARRAY, Uuid, and_, bindparam, select
from sqlalchemy import inspect as inspect_model
from sqlalchemy.orm import InstrumentedAttribute, aliased

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db.base import Base
from db.statements import (
    AnyRow,
    PartRow,
    Plan,
    Row,
    Statement,
    kept,
    row_class,
    select_from,
    values_of,
)
from errors import NotFound
from graph.core.context import Context
from graph.core.fields import BatchInfo, argument, batch, root
from graph.core.node import EXPRESSIONS, TYPE_NAMES, foreign_key_of
from graph.core.selection import Selection, SelectionIndex
from graph.core.single_flight import SharedRun, others_join
from graph.engine.plan import PlanColumns
from graph.engine.sql_json import KEY_ONLY, Columns, JsonSpan, usual_columns, with_spans
from graph.engine.state import EngineState
from graph.kit import references

T = TypeVar("T")
Labels = frozenset[str]


def columns_of(
    model: type[Base], entity: Any, labels: Iterable[str], viewer: Viewer, prefix: str = ""
) -> list[Any]:
    """The labelled columns of a model (or alias of it); the id is always among them."""
    mapped = inspect_model(model).columns
    columns = []
    for label in sorted({*labels, "id"}):
        if label in mapped:
            columns.append(getattr(entity, label).label(prefix + label))
        else:
            columns.append(EXPRESSIONS[model, label](viewer, entity).label(prefix + label))
    return columns


def _labels(columns: Columns) -> list[str]:
    """The columns that are read as they are; the id is always among them."""
    return sorted({*columns.labels, "id"})


@kept(2_000)
def _by_key(
    model: type[Base],
    columns: Columns,
    shape: ViewerShape,
    right: Callable[[Viewer, Any], Any] = access.read,
) -> Statement:
    if columns.spans:
        spans = [("", span) for span in columns.spans]
        rows = _by_key(model, columns.below(), shape, right)
        return with_spans(rows, [*_labels(columns), *spans], shape, model)
    viewer = placeholder_viewer(shape)
    keys = bindparam("keys", type_=ARRAY(Uuid()))
    query = select_from(model, *columns_of(model, model, columns.labels, viewer)).where(
        model.id == keys.any_(),  # type: ignore[attr-defined]
        right(viewer, model),
    )
    return Statement(query, model, plan=Plan.ONCE)


class _Join(NamedTuple):
    """Where the columns of a joined object are in a row."""

    foreign_key: str
    model: type[Base]
    columns: slice
    row: type[PartRow]

    def part(self, row: Row) -> PartRow | None:
        """The object; None if there is none that the viewer can see."""
        part = self.row(row[self.columns])
        return None if part.id is None else part  # type: ignore[attr-defined]


def _target(model: type[Base], relation: str) -> type[Base]:
    target: type[Base] = getattr(model, relation).property.mapper.class_
    return target


@kept(2_000)
def _one(
    model: type[Base],
    requested: Columns,
    related: tuple[tuple[str, Columns], ...],
    shape: ViewerShape,
) -> tuple[Statement, tuple[_Join, ...]]:
    """One object, and those that its to-one relations lead to: each under its own rule, so that a
    hidden object does not hide what refers to it.
    """
    groups = [("", model, requested)]
    groups += [(f"{name}__", _target(model, name), columns) for name, columns in related]
    if any(columns.spans for *_, columns in groups):
        plain = tuple((name, columns.below()) for name, columns in related)
        rows, _ = _one(model, requested.below(), plain, shape)
        read: list[str | tuple[str, JsonSpan]] = []
        for prefix, _, columns in groups:
            read += [prefix + label for label in _labels(columns)]
            read += [(prefix, span) for span in columns.spans]
        statement = with_spans(rows, read, shape, model)
    else:
        statement = _joined(model, requested, related, shape)
    joins = []
    size = 0
    for prefix, kind, columns in groups:
        labels = (*_labels(columns), *(span.label for span in columns.spans))
        if prefix:
            foreign_key = foreign_key_of(getattr(model, prefix.removesuffix("__")))
            place = slice(size, size + len(labels))
            joins.append(_Join(foreign_key, kind, place, row_class(PartRow, kind, labels)))
        size += len(labels)
    return statement, tuple(joins)


def _joined(
    model: type[Base],
    requested: Columns,
    related: tuple[tuple[str, Columns], ...],
    shape: ViewerShape,
) -> Statement:
    viewer = placeholder_viewer(shape)
    query = select_from(model, *columns_of(model, model, requested.labels, viewer))
    for name, columns in related:
        target: Any = aliased(_target(model, name))
        own = columns_of(_target(model, name), target, columns.labels, viewer, f"{name}__")
        foreign_key = foreign_key_of(getattr(model, name))
        query = query.add_columns(*own).outerjoin(
            target,
            and_(target.id == getattr(model, foreign_key), access.read(viewer, target)),
        )
    key = bindparam("key", type_=Uuid())
    query = query.where(model.id == key, access.read(viewer, model))  # type: ignore[attr-defined]
    return Statement(query, model, plan=Plan.ONCE)


def columns_of_objects(
    model: type[Base], serialized: PlanColumns | None, selection_index: SelectionIndex
) -> Columns:
    """The columns to read of a row that is read once for all positions of an operation."""
    name = TYPE_NAMES[model]
    if serialized is not None:
        return serialized.objects.get(name, KEY_ONLY)
    labels = selection_index.labels.get(name, frozenset())
    type_ = selection_index.schema.get_type(name)
    return Columns(labels | usual_columns(cast("GraphQLObjectType", type_)))


class ObjectLoader:
    """Rows of one model by key, for one operation.

    Requests within one turn of the event loop become one statement, as with a data loader, but at
    the price of a set union for many keys instead of a future for each. What a single object refers
    to is joined (`_one`); for many objects it would be the same few rows again and again.
    """

    def __init__(
        self, context: Context, model: type[Base], selection_index: SelectionIndex
    ) -> None:
        self._context = context
        self._engine = context.of(EngineState)
        self._model = model
        self._selection_index = selection_index
        # Everything read so far; None if there is no row that the viewer can see.
        self.rows: dict[UUID, AnyRow | None] = {}
        self._wanted: set[UUID] = set()
        self._pending: SharedRun[None] | None = None
        # The keys that the running statements are reading.
        self._reading: dict[SharedRun[None], set[UUID]] = {}

    @classmethod
    def of(
        cls, context: Context, model: type[Base], selection_index: SelectionIndex
    ) -> ObjectLoader:
        """The operation's loader of this model."""
        owner = context.common or context
        loaders = owner.of(ObjectLoaders)
        if model not in loaders:
            # The common context executes nothing, so its loaders wait for those who ask together.
            loader = loaders[model] = cls(owner, model, selection_index)
            if owner.seen is not None:
                owner.seen[model] = loader.rows
        return loaders[model]

    def _columns_of(self, model: type[Base]) -> Columns:
        return columns_of_objects(model, self._engine.columns, self._selection_index)

    def prime(self, key: UUID, row: AnyRow | None) -> None:
        """Store a row that was read together with another one."""
        self.rows.setdefault(key, row)

    async def load(self, keys: set[UUID]) -> Mapping[UUID, AnyRow | None]:
        """All rows read so far, including these keys; None if there is no row that the viewer can
        see.
        """
        missing = keys - self.rows.keys()
        waiting = []
        for reading, under_way in self._reading.items():
            if not missing.isdisjoint(under_way):
                waiting.append(reading)
                missing -= under_way
        if missing:
            self._wanted |= missing
            if self._pending is None:
                await self._lead()
            else:
                waiting.append(self._pending)
        for reading in waiting:
            await reading.result()
        return self.rows

    async def _lead(self) -> None:
        """Read for everyone who asks within this turn of the loop; the first caller does it.

        If the operation is cancelled, so is what they wait for.
        """
        pending = self._pending = SharedRun[None]()

        async def read() -> None:
            try:
                if self._engine.branches != 1:
                    await others_join()
            finally:
                keys, self._wanted, self._pending = self._wanted, set(), None
            self._reading[pending] = keys
            try:
                await self._read(keys)
            finally:
                del self._reading[pending]

        await pending.lead(read)

    async def _read(self, keys: set[UUID]) -> None:
        if len(keys) == 1:
            await self._read_one(*keys)
            return
        rows = await read_by_keys(self._context, self._model, self._columns_of(self._model), keys)
        self.rows.update(dict.fromkeys(keys))
        self.rows.update(rows)

    async def _read_one(self, key: UUID) -> None:
        context, selection_index = self._context, self._selection_index
        place = (ObjectLoader, self._model, context.viewer.shape)
        source = self._engine.columns or selection_index
        statements = source.statements
        one = statements.get(place)
        if one is None:
            columns = self._columns_of(self._model)
            related = tuple(
                (relation, self._columns_of(_target(self._model, relation)))
                for relation in source.relations.get(TYPE_NAMES[self._model], ())
                # Otherwise it is part of what is serialized of the row.
                if foreign_key_of(getattr(self._model, relation)) in columns.labels
            )
            one = statements[place] = await _one.ready(
                self._model, columns, related, context.viewer.shape
            )
        statement, joins = one
        rows = await context.services.database.reader.fetch(
            statement, {**context.viewer.params, "key": key}
        )
        self.rows[key] = row = rows[0] if rows else None
        if row is not None:
            for join in joins:
                related = getattr(row, join.foreign_key)
                if related is not None:
                    ObjectLoader.of(context, join.model, selection_index).prime(
                        related, join.part(row)
                    )


class ObjectLoaders(dict[type[Base], ObjectLoader]):
    """An operation's object loaders, by model."""

    def __init__(self, _: Context) -> None:
        super().__init__()


async def read_by_keys(
    context: Context,
    model: type[Base],
    columns: Columns,
    keys: Iterable[UUID],
    *,
    right: Callable[[Viewer, Any], Any] = access.read,
) -> dict[UUID, Row]:
    """The rows among these keys on which the viewer has the right, in one statement."""
    statement = await _by_key.ready(model, columns, context.viewer.shape, right)
    rows = await context.services.database.reader.fetch(
        statement, {**context.viewer.params, "keys": list(keys)}
    )
    return dict(zip(values_of(rows, "id"), rows, strict=True))


async def load_objects(
    info: BatchInfo, model: type[Base], keys: Sequence[UUID | None]
) -> list[AnyRow | None]:
    """The row for each key, or None if there is none or it is hidden."""
    wanted: set[Any] = set(keys)
    wanted.discard(None)
    if not wanted:
        return [None] * len(keys)
    rows = await ObjectLoader.of(info.context, model, info.selection.selection_index).load(wanted)
    return list(map(rows.get, keys))  # type: ignore[arg-type]  # there is no row of the key None


async def load_unchecked(
    info: BatchInfo, model: type[Base], keys: Sequence[UUID | None]
) -> list[Any]:
    """The row for each key without the model's access rule: for what the caller may show anyway."""
    wanted = [key for key in keys if key is not None]
    if not wanted:
        return [None] * len(keys)
    object_type: Any = info.selection.selection_index.schema.get_type(TYPE_NAMES[model])
    rows = await info.context.services.database.reader.fetch(
        _unchecked(model, info.selection.labels(object_type), info.viewer.shape),
        {**info.viewer.params, "keys": wanted},
    )
    found = {row.id: row for row in rows}
    return [found.get(key) for key in keys]


@lru_cache(maxsize=100)
def _unchecked(model: type[Base], labels: Labels, shape: ViewerShape) -> Statement:
    columns = columns_of(model, model, labels, placeholder_viewer(shape))
    identity: Any = model.id  # type: ignore[attr-defined]
    keys = bindparam("keys", type_=ARRAY(Uuid()))
    return Statement(select(*columns).where(identity == keys.any_()), model, plan=Plan.ONCE)


async def load_object(info: BatchInfo, model: type[Base], key: UUID) -> AnyRow | None:
    """One row, or None if there is none or it is hidden."""
    (row,) = await load_objects(info, model, [key])
    return row


def to_one(relationship: InstrumentedAttribute[Any], description: str) -> Any:
    """A relation to one row, by the model's foreign key. Null if the viewer cannot see it."""
    model: type[Base] = relationship.property.mapper.class_
    foreign_key = foreign_key_of(relationship)

    async def rows(parents: Sequence[Any], info: BatchInfo) -> Sequence[AnyRow | None]:
        return await load_objects(info, model, values_of(parents, foreign_key))

    return batch(rows, description, requires=(foreign_key,), relation=relationship.key)


def by_id(model: type[Base], id_description: str, description: str) -> Any:
    """A root field for one object by its `id`, which may be a name as well; `NOT_FOUND` if there is
    none for the viewer.
    """

    async def find(info: BatchInfo, *, id: str) -> AnyRow:  # noqa: A002 - as clients call it
        info.viewer.require()
        key = await references.decoded(info.context, model, id, ("id",))
        found = await load_object(info, model, key)
        if found is None:
            raise NotFound(access.rule_of(model).noun, path=("id",))
        return found

    id_argument = argument("id", strawberry.ID, id_description, default=inspect.Parameter.empty)
    return root(find, description, arguments=[id_argument])


def below(selection: Selection | None, *fields: str) -> Selection | None:
    """The selection at the end of a chain of fields, or None if it is not selected."""
    for field in fields:
        if selection is None:
            return None
        selection = selection.child(field)
    return selection
