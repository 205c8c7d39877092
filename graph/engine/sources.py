"""Sources: how the values of one field are had for all objects of a place.

- `_Column`, `_Attribute`: columns of rows and attributes of other objects; nothing runs.
- `_Batch`: one call of the batch function with all parents.
- `_Event`: the root field of a subscription, whose value is the event itself.
- `_Plain`: any other Strawberry field. Its resolver is called for each object as the standard
  executor would call it, save that `info.path` has the field's own key only: a place has no path.

An exception is the value of the object that it was raised for; a batch function that fails as a
whole fails for all its parents.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from enum import Enum, EnumMeta
from types import NoneType
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from graphql import (
    FieldNode,
    GraphQLField,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
    get_nullable_type,
    is_non_null_type,
    is_scalar_type,
)
from graphql.execution.executor import default_field_resolver
from graphql.execution.values import VariableValues, coerce_argument, get_argument_values
from strawberry.schema.schema_converter import CustomGraphQLEnumType
from strawberry.types.field import StrawberryField

from graph.core.fields import BatchField, BatchInfo, ColumnField
from graph.core.selection import DEFINITION, Selection
from graph.engine.columns import Column, Parents
from graph.engine.inputs import Inputs
from graph.engine.replay import Failed

if TYPE_CHECKING:
    from graph.engine.plan import FieldPlan
    from graph.engine.run import Run

_NO_VARIABLES: Final = VariableValues({}, {})
# Values of these types may be handed to every execution: nobody can change them.
_IMMUTABLE: Final = (
    NoneType, bool, int, float, str, Enum, Decimal, UUID, dt.date, dt.time, dt.timedelta
)  # fmt: skip


class Arguments:
    """The arguments of a plan field: coerced by graphql-core, then converted by Strawberry.

    What stands in the document is converted once, with the plan. Variables of scalar types have
    been coerced by the time they come here, and are taken as they are.
    """

    __slots__ = ("_arguments", "_constant", "_definition", "_node", "_taken")

    def __init__(self, inputs: Inputs, definition: GraphQLField, node: FieldNode) -> None:
        field: StrawberryField = definition.extensions[DEFINITION]
        self._definition = definition
        self._node = node
        self._arguments = [inputs.argument(argument) for argument in field.arguments]
        # The values that are always the same; None where each execution has to look at all.
        self._constant: dict[str, Any] | None = None
        # Of those taken from variables: the name in Python, the variable, and whether it may be
        # null.
        self._taken: list[tuple[str, str, bool]] = []
        # What fails here fails again at each execution, where it belongs.
        with suppress(Exception):
            self._sort()

    def _sort(self) -> None:
        given = {argument.name.value: argument for argument in self._node.arguments or ()}
        raw: dict[str, Any] = {}
        for name, python_name, _ in self._arguments:
            definition = self._definition.args[name]
            node = given.get(name)
            if node is None or not _variables(node.value):
                coerce_argument(raw, self._node, name, definition, node, _NO_VARIABLES, None)
            elif isinstance(node.value, VariableNode) and is_scalar_type(
                get_nullable_type(definition.type)
            ):
                may_be_null = not is_non_null_type(definition.type)
                self._taken.append((python_name, node.value.name.value, may_be_null))
            else:
                return
        if all(isinstance(value, _IMMUTABLE) for value in raw.values()):
            self._constant = self._converted(raw)

    def coerced(self, variables: VariableValues) -> dict[str, Any]:
        """As graphql-core gives them to a resolver, by their names in the schema."""
        return get_argument_values(self._definition, self._node, variables)

    def values(self, variables: VariableValues) -> dict[str, Any]:
        """As a Strawberry resolver gets them, by their names in Python."""
        if self._constant is None:
            return self._converted(self.coerced(variables))
        if not self._taken:
            return self._constant
        coerced = variables.coerced
        made = self._constant.copy()
        for name, variable, may_be_null in self._taken:
            value = coerced.get(variable)
            if value is None and not (may_be_null and variable in coerced):
                # Left out, or an error that graphql-core finds and words.
                return self._converted(self.coerced(variables))
            made[name] = value
        return made

    def _converted(self, raw: dict[str, Any]) -> dict[str, Any]:
        return {
            python_name: convert(raw[name])
            for name, python_name, convert in self._arguments
            if name in raw
        }


def _variables(node: ValueNode) -> bool:
    if isinstance(node, VariableNode):
        return True
    if isinstance(node, ListValueNode):
        return any(map(_variables, node.values))
    if isinstance(node, ObjectValueNode):
        return any(_variables(field.value) for field in node.fields)
    return False


class Source(ABC):
    """See the module. `waits`: whether `fetch` is the way, and not `values`."""

    waits: bool = False
    # The attribute that the values come from, for those that come from one.
    column: str | None = None

    @abstractmethod
    def values(self, run: Run, field: FieldPlan, parents: Parents) -> Column:
        """A value, or an exception, for each of the parents."""

    async def fetch(self, run: Run, field: FieldPlan, parents: Parents) -> Column:
        """The same, where it has to be waited for."""
        return self.values(run, field, parents)


def _each(function: Callable[[Any], Any], rows: Column) -> Iterator[Any]:
    for row in rows:
        try:
            yield function(row)
        except Exception as error:  # noqa: BLE001 - a failure of this object alone
            yield Failed(error)


class _Column(Source):
    def __init__(self, field: ColumnField) -> None:
        self._field = field
        self.column = None if field.whole_row else field.label

    def values(self, run: Run, field: FieldPlan, parents: Parents) -> Column:
        column = self._field
        try:
            if column.whole_row:
                return column.values(parents.rows)
            return column.converted(parents.column(column.label))
        except Exception:  # noqa: BLE001 - one of them failed; which one is found singly
            rows = parents.rows
            return list(_each(lambda row: column.get_result(row, None, [], {}), rows))


class _EnumColumn(_Column):
    """A column whose converter makes members of the very enum that is then written by name.

    Completion knows the names of the values as well, and hashing a member costs five times as much
    as hashing a string; so values that all have a member stay what they are.
    """

    def __init__(self, field: ColumnField, enum: EnumMeta) -> None:
        super().__init__(field)
        members: Iterable[Any] = enum
        hashable = (member.value for member in members if isinstance(member.value, Hashable))
        self._allowed = {None, *hashable}

    def values(self, run: Run, field: FieldPlan, parents: Parents) -> Column:
        try:
            column = parents.column(self._field.label)
            if self._allowed.issuperset(column):
                return column
        except Exception:  # noqa: BLE001, S110 - told below
            pass
        return super().values(run, field, parents)


class _Attribute(Source):
    def __init__(self, field: StrawberryField) -> None:
        self._field = field
        if field.default_resolver is getattr:
            self.column = field.python_name

    def values(self, run: Run, field: FieldPlan, parents: Parents) -> Column:
        if self.column is not None:
            try:
                return parents.column(self.column)
            except Exception:  # noqa: BLE001, S110 - one of them failed; found below
                pass
        attribute = self._field
        return list(_each(lambda row: attribute.get_result(row, None, [], {}), parents.rows))


class _Event(Source):
    def values(self, run: Run, field: FieldPlan, parents: Parents) -> Column:
        return parents.rows


class _Plain(Source):
    def __init__(self, field: StrawberryField) -> None:
        self.waits = field.is_async

    def values(self, run: Run, field: FieldPlan, parents: Parents) -> Column:
        resolve = field.definition.resolve or default_field_resolver
        try:
            arguments = field.arguments.coerced(run.variables)
        except Exception as error:  # noqa: BLE001 - a failure of the field
            return [Failed(error)] * len(parents.rows)
        info = run.info(field)
        return list(_each(lambda row: resolve(row, info, **arguments), parents.rows))


class _Batch(Source):
    waits = True

    def __init__(self, field: BatchField, selection: Selection) -> None:
        self._field = field
        self._selection = selection

    def values(self, run: Run, field: FieldPlan, parents: Parents) -> Column:
        raise NotImplementedError("a batch is fetched")

    async def fetch(self, run: Run, field: FieldPlan, parents: Parents) -> Column:
        try:
            return await self._field.resolve_all(
                parents.rows,
                BatchInfo(run.context, self._selection, self._field),
                field.arguments.values(run.variables),
            )
        except Exception as error:  # noqa: BLE001 - becomes an error of each place
            return [Failed(error)] * len(parents.rows)


def source_of(definition: GraphQLField, selection: Selection) -> Source | None:
    """How to have this field's values; None for a field that the engine does not know."""
    field = definition.extensions.get(DEFINITION)
    if not isinstance(field, StrawberryField) or field.extensions:
        return None
    if field.is_subscription:
        return _Event()
    if isinstance(field, BatchField):
        return _Batch(field, selection)
    if isinstance(field, ColumnField):
        leaf = get_nullable_type(definition.type)
        if isinstance(leaf, CustomGraphQLEnumType) and field.convert is leaf.wrapped_cls:
            return _EnumColumn(field, leaf.wrapped_cls)
        return _Column(field)
    if field.is_basic_field:
        return _Attribute(field)
    return _Plain(field)
