"""Sources: where the values of one field come from, for all objects of a position.

- `_Column`, `_Attribute`: columns of rows and attributes of other objects; nothing runs.
- `_Batch`: one call of the batch function with all parents.
- `_Event`: the root field of a subscription, whose value is the event itself.
- `_Plain`: any other Strawberry field. Its resolver is called for each object as the standard
  executor would call it, except that `info.path` has only the field's own key.

An exception is the value of the object that it was raised for; a batch function that fails as a
whole fails for all its parents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from graphql import (
    GraphQLField,
)
from graphql.execution.executor import default_field_resolver
from strawberry.types.field import StrawberryField

from graph.core.fields import BatchField, BatchInfo, ColumnField
from graph.core.selection import DEFINITION, Selection
from graph.engine.columns import Column, Failed, Parents
from graph.engine.plan import Execution, FieldPlan, Source


def _each(function: Callable[[Any], Any], rows: Column) -> Iterator[Any]:
    for row in rows:
        try:
            yield function(row)
        except Exception as error:  # noqa: BLE001 - a failure of this object alone
            yield Failed(error)


class _Column(Source):
    kind = "column"

    def __init__(self, field: ColumnField) -> None:
        self._field = field
        self.column = None if field.whole_row else field.label

    def values(self, run: Execution, field: FieldPlan, parents: Parents) -> Column:
        column = self._field
        try:
            if column.whole_row:
                return column.values(parents.rows)
            return column.converted(parents.column(column.label))
        except Exception:  # noqa: BLE001 - one of them failed; found one by one
            rows = parents.rows
            return list(_each(lambda row: column.get_result(row, None, [], {}), rows))


class _Attribute(Source):
    kind = "attribute"

    def __init__(self, field: StrawberryField) -> None:
        self._field = field
        if field.default_resolver is getattr:
            self.column = field.python_name

    def values(self, run: Execution, field: FieldPlan, parents: Parents) -> Column:
        if self.column is not None:
            try:
                return parents.column(self.column)
            except Exception:  # noqa: BLE001, S110 - one of them failed; found below
                pass
        attribute = self._field
        return list(_each(lambda row: attribute.get_result(row, None, [], {}), parents.rows))


class _Event(Source):
    kind = "event"

    def values(self, run: Execution, field: FieldPlan, parents: Parents) -> Column:
        return parents.rows


class _Plain(Source):
    kind = "resolver"

    def __init__(self, field: StrawberryField) -> None:
        self.waits = field.is_async

    def values(self, run: Execution, field: FieldPlan, parents: Parents) -> Column:
        resolve = field.definition.resolve or default_field_resolver
        try:
            arguments = field.arguments.coerced(run.variables)
        except Exception as error:  # noqa: BLE001 - a failure of the field
            return [Failed(error)] * len(parents.rows)
        info = run.info(field)
        return list(_each(lambda row: resolve(row, info, **arguments), parents.rows))


class _Batch(Source):
    kind = "batch"
    waits = True

    def __init__(self, field: BatchField, selection: Selection) -> None:
        self._field = field
        self._selection = selection

    def values(self, run: Execution, field: FieldPlan, parents: Parents) -> Column:
        raise NotImplementedError("a batch is fetched")

    async def fetch(self, run: Execution, field: FieldPlan, parents: Parents) -> Column:
        try:
            return await self._field.resolve_all(
                parents.rows,
                BatchInfo(run.context, self._selection, self._field),
                field.arguments.values(run.variables),
            )
        except Exception as error:  # noqa: BLE001 - becomes an error of each place
            return [Failed(error)] * len(parents.rows)


def source_of(definition: GraphQLField, selection: Selection) -> Source | None:
    """The source of this field's values; None for a field that the engine does not support."""
    field = definition.extensions.get(DEFINITION)
    if not isinstance(field, StrawberryField) or field.extensions:
        return None
    if field.is_subscription:
        return _Event()
    if isinstance(field, BatchField):
        return _Batch(field, selection)
    if isinstance(field, ColumnField):
        return _Column(field)
    if field.is_basic_field:
        return _Attribute(field)
    return _Plain(field)
