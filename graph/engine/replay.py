"""Failures: recorded where they happen, and reported with their paths only if there are any.

While an operation runs, a value that failed is a `Failed` in its column, and nothing else happens:
a column has no paths. If anything failed, the finished answer is walked once, depth first, as
graphql-core would have made it: a `Failed` in a nullable position becomes null and an error with
its path; in a non-null position it nulls the nearest nullable position above, and the rest of that
object is skipped. So errors come in the order of the answer, in whatever order fields failed.
Parts of the answer without a failure stay unchanged.

That is `PROPAGATE`. With `NULL` every position counts as nullable, and with `HALT` none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from graphql import GraphQLError
from graphql.error import located_error
from graphql.pyutils import Path

from graph.core.executed import ErrorBehavior
from graph.engine.columns import Failed
from graph.engine.plan import FieldPlan, ObjectPlan, Shape


def forbidden_null(field: FieldPlan) -> TypeError:
    """The error that graphql-core raises for null in a non-null position."""
    return TypeError(f"Cannot return null for non-nullable field {field.place}.")


def nulls_parent(shape: Shape, on_error: ErrorBehavior) -> bool:
    """Whether an error in this position nulls the one above it."""
    if on_error is ErrorBehavior.PROPAGATE:
        return shape.nonnull
    return on_error is ErrorBehavior.HALT


def _read(value: Any) -> Any:
    """Serialized parts, parsed into objects."""
    return orjson.loads(orjson.dumps(value)) if type(value) is orjson.Fragment else value


class Replay:
    """One walk over an answer with failures; `errors` fills in the order of the answer.

    `failing` are the plan fields with a `Failed` below them, `objects` the answer's objects of
    abstract types with the plan that each was made by, `marked` the failures in serialized parts
    (`graph.engine.serialization`), by their marks there.
    """

    def __init__(
        self,
        failing: set[FieldPlan],
        objects: Iterable[tuple[ObjectPlan, list[dict[str, Any]]]],
        marked: Mapping[str, Failed],
        on_error: ErrorBehavior,
    ) -> None:
        self.errors: list[GraphQLError] = []
        self._failing = failing
        self._marked = marked
        self._on_error = on_error
        self._plans = {id(row): plan for plan, rows in objects for row in rows}
        self._touched: dict[ObjectPlan, bool] = {}

    def root(self, plan: ObjectPlan, data: Any) -> dict[str, Any] | None:
        """The answer for the client; None if a failure reached the top."""
        try:
            return self._object(plan, _read(data), None)
        except GraphQLError as error:
            self.errors.append(error)
            return None

    def field(self, field: FieldPlan, value: Any, prev: Path | None) -> Any:
        """The value of one field; raises if its failure nulls the object around it."""
        if not self._touches(field):
            return value
        return self._place(field, field.shape, _read(value), Path(prev, field.key, None))

    def _place(self, field: FieldPlan, shape: Shape, value: Any, path: Path) -> Any:
        """A value in a position that an error can null: a field, or an item of a list."""
        if type(value) is str:
            value = self._marked.get(value, value)
        if type(value) is Failed:
            error = located_error(value.error, field.nodes, path.as_list())
        else:
            try:
                return self._value(field, shape, value, path)
            except GraphQLError as raised:
                error = raised
        if nulls_parent(shape, self._on_error):
            raise error
        self.errors.append(error)
        return None

    def _value(self, field: FieldPlan, shape: Shape, value: Any, path: Path) -> Any:
        if value is None:
            return None
        if shape.item is not None:
            return [
                self._place(field, shape.item, item, Path(path, index, None))
                for index, item in enumerate(value)
            ]
        if shape.plans is not None:
            return self._object(shape.plan or self._plans[id(value)], value, path)
        return value

    def _object(self, plan: ObjectPlan, row: dict[str, Any], path: Path | None) -> dict[str, Any]:
        if not self._touched_object(plan):
            return row
        fields = plan.by_key
        return {
            key: self.field(fields[key], value, path) if key in fields else value
            for key, value in row.items()
        }

    def _touches(self, field: FieldPlan) -> bool:
        if field in self._failing:
            return True
        plans = field.plans
        return plans is not None and any(map(self._touched_object, plans.values()))

    def _touched_object(self, plan: ObjectPlan) -> bool:
        touched = self._touched.get(plan)
        if touched is None:
            touched = self._touched[plan] = any(map(self._touches, plan.fields))
        return touched
