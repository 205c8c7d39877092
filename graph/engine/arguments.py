"""Arguments: the values that a field gets from its document and its variables."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any, Final
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
from graphql.execution.values import VariableValues, coerce_argument, get_argument_values
from strawberry.types.field import StrawberryField

from graph.core.selection import DEFINITION
from graph.engine.inputs import Inputs

_NO_VARIABLES: Final = VariableValues({}, {})
# Immutable types: every execution can share their values.
_IMMUTABLE: Final = (
    NoneType, bool, int, float, str, Enum, Decimal, UUID, dt.date, dt.time, dt.timedelta
)  # fmt: skip


class Arguments:
    """The arguments of a plan field: coerced by graphql-core, then converted by Strawberry.

    Constants of the document are converted once, with the plan. Variables of scalar types have
    been coerced already and are used unchanged.
    """

    __slots__ = ("_arguments", "_constant", "_definition", "_node", "_taken")

    def __init__(self, inputs: Inputs, definition: GraphQLField, node: FieldNode) -> None:
        field: StrawberryField = definition.extensions[DEFINITION]
        self._definition = definition
        self._node = node
        self._arguments = inputs.arguments(field)
        # The constant values; None if each execution has to evaluate all of them.
        self._constant: dict[str, Any] | None = None
        # Of those taken from variables: the name in Python, the variable, and whether it may be
        # null.
        self._taken: list[tuple[str, str, bool]] = []
        # What fails here fails again at each execution, which reports it at the field.
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
        """As graphql-core passes them to a resolver, by their names in the schema."""
        return get_argument_values(self._definition, self._node, variables)

    def values(self, variables: VariableValues) -> dict[str, Any]:
        """As a Strawberry resolver receives them, by their names in Python."""
        if self._constant is None:
            return self._converted(self.coerced(variables))
        if not self._taken:
            return self._constant
        coerced = variables.coerced
        made = self._constant.copy()
        for name, variable, may_be_null in self._taken:
            value = coerced.get(variable)
            if value is None and not (may_be_null and variable in coerced):
                # Omitted, or an error that graphql-core reports.
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
