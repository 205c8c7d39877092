"""Which scopes of an API key the filters and orderings of an operation need.

Who may not read comments may not search in them either: a filter over their words would give the
words away, question by question, and a cursor holds what its list is ordered by. So an input type
needs what the type needs that it filters or orders (`graph.scopes.TYPES`): `CommentListFilter`
what `Comment` does. Only those count that are given a value, in the document or in a variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
    get_named_type,
    type_from_ast,
)

from graph.selection import Outline

# The longer ending first: it ends with the shorter one.
_ENDINGS: Final = ("ListFilter", "Filter", "Order")


def rows_of(type_: GraphQLInputType) -> str:
    """The name of the type that an input filters or orders: `Comment` of `CommentListFilter`."""
    name: str = get_named_type(type_).name
    for ending in _ENDINGS:
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name


def in_document(field: GraphQLField, node: FieldNode) -> Iterator[str]:
    """Names of row types that the arguments written at a field filter or order."""
    for argument in node.arguments or ():
        declared = field.args.get(argument.name.value)
        if declared is not None:
            yield from _in_literal(declared.type, argument.value)


def in_variables(outline: Outline, values: Mapping[str, Any]) -> Iterator[str]:
    """The same of the values of variables, and of their defaults. The values may be anything, since
    nobody has looked at them yet.
    """
    for definition in outline.operation.variable_definitions or ():
        type_ = type_from_ast(outline.schema, definition.type)
        if type_ is None:
            continue
        yield from _in_value(type_, values.get(definition.variable.name.value))
        if definition.default_value is not None:
            yield from _in_literal(type_, definition.default_value)


def _in_literal(type_: Any, node: ValueNode) -> Iterator[str]:
    if isinstance(node, ListValueNode):
        for item in node.values:
            yield from _in_literal(type_, item)
        return
    inputs = get_named_type(type_)
    if isinstance(node, VariableNode) or not isinstance(inputs, GraphQLInputObjectType):
        return
    yield rows_of(inputs)
    if isinstance(node, ObjectValueNode):
        for field in node.fields:
            declared = inputs.fields.get(field.name.value)
            if declared is not None:
                yield from _in_literal(declared.type, field.value)


def _in_value(type_: Any, value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _in_value(type_, item)
        return
    inputs = get_named_type(type_)
    if not isinstance(value, dict) or not isinstance(inputs, GraphQLInputObjectType):
        return
    yield rows_of(inputs)
    for name, inner in value.items():
        declared = inputs.fields.get(name)
        if declared is not None:
            yield from _in_value(declared.type, inner)
