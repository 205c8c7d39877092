"""The scopes that the arguments of an operation require of an API key.

Anyone who cannot read comments must not be able to search them: a filter over their words would
reveal the words, question by question, and a cursor holds the values that its list is ordered by.
So filters and orderings are declared like what they filter and order (`graph.request.scope_table`).
Only arguments with a value count, in the document or in a variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from graphql import (
    FieldNode,
    GraphQLInputObjectType,
    GraphQLNamedType,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
    get_named_type,
    type_from_ast,
)

from graph.core.selection import SelectionIndex
from graph.request.scope_table import ARGUMENTS

# The scopes of a type, or of one field of it.
Declared = Callable[[str, str | None], tuple[str, ...]]


def in_document(type_: GraphQLNamedType, node: FieldNode, declared: Declared) -> Iterator[str]:
    """The scopes required by the arguments written at a field of an object type."""
    name = node.name.value
    arguments = type_.fields[name].args  # type: ignore[attr-defined]  # an object or an interface
    for argument in node.arguments or ():
        taken = arguments.get(argument.name.value)
        if taken is not None:
            yield from ARGUMENTS.get(f"{type_.name}.{name}({argument.name.value}:)", ())
            yield from _in_literal(taken.type, argument.value, declared)


def in_variables(
    selection_index: SelectionIndex, values: Mapping[str, Any], declared: Declared
) -> Iterator[str]:
    """The same for the values of variables, and for their defaults. The values may be anything,
    since they have not been checked yet.
    """
    for definition in selection_index.operation.variable_definitions or ():
        type_ = type_from_ast(selection_index.schema, definition.type)
        if type_ is None:
            continue
        yield from in_value(type_, values.get(definition.variable.name.value), declared)
        if definition.default_value is not None:
            yield from _in_literal(type_, definition.default_value, declared)


def _in_literal(type_: Any, node: ValueNode, declared: Declared) -> Iterator[str]:
    if isinstance(node, ListValueNode):
        for item in node.values:
            yield from _in_literal(type_, item, declared)
        return
    inputs = get_named_type(type_)
    if isinstance(node, VariableNode) or not isinstance(inputs, GraphQLInputObjectType):
        return
    yield from declared(inputs.name, None)
    if isinstance(node, ObjectValueNode):
        for field in node.fields:
            taken = inputs.fields.get(field.name.value)
            if taken is not None:
                yield from declared(inputs.name, field.name.value)
                yield from _in_literal(taken.type, field.value, declared)


def in_value(type_: Any, value: Any, declared: Declared) -> Iterator[str]:
    """The scopes that a value of an input type requires."""
    if isinstance(value, list):
        for item in value:
            yield from in_value(type_, item, declared)
        return
    inputs = get_named_type(type_)
    if not isinstance(value, dict) or not isinstance(inputs, GraphQLInputObjectType):
        return
    yield from declared(inputs.name, None)
    for name, inner in value.items():
        taken = inputs.fields.get(name)
        if taken is not None:
            yield from declared(inputs.name, name)
            yield from in_value(taken.type, inner, declared)
