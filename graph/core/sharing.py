"""Whether an operation answers all viewers alike, apart from which objects they can see.

A field is the same for everyone if it is a column, or an expression that has no parameter of the
viewer, or if it leads to objects that are read by key. Then viewers who can see the same of these
objects have the same answer.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from graphql import GraphQLNamedType, GraphQLObjectType, SelectionSetNode, get_named_type
from sqlalchemy import BindParameter
from sqlalchemy import inspect as inspect_model
from sqlalchemy.sql.visitors import iterate

from auth import access
from auth.viewer import VIEWER_PARAMS, Viewer, ViewerShape, placeholder_viewer
from db.base import Base
from graph.core.fields import BatchField, ColumnField
from graph.core.node import EXPRESSIONS, model_of
from graph.core.selection import (
    DEFINITION,
    SAME_ROWS,
    SelectionIndex,
    concrete_types,
    fields_of,
    required_columns,
)

# Signed in with a session; neither an administrator nor an API key.
ORDINARY: Final[ViewerShape] = (True, False, False, False)
_TYPENAME: Final = "__typename"


def answers_all_alike(selection_index: SelectionIndex) -> bool:
    """See the module. Kept with the operation."""
    found = selection_index.statements.get(answers_all_alike)
    if found is None:
        root = selection_index.schema.get_root_type(selection_index.operation.operation)
        assert root is not None
        found = True
        for node in fields_of(selection_index, root, [selection_index.operation.selection_set]):
            field = root.fields.get(node.name.value)
            sets = [node.selection_set] if node.selection_set else []
            if field is None or not _alike(selection_index, get_named_type(field.type), sets):
                found = False
        selection_index.statements[answers_all_alike] = found
    return bool(found)


def _alike(
    selection_index: SelectionIndex, type_: GraphQLNamedType, sets: list[SelectionSetNode]
) -> bool:
    return all(
        _alike_in(selection_index, object_type, sets)
        for object_type in concrete_types(selection_index.schema, type_)
    )


def _alike_in(
    selection_index: SelectionIndex, type_: GraphQLObjectType, sets: list[SelectionSetNode]
) -> bool:
    model = model_of(SAME_ROWS.get(type_.name, type_.name))
    if model is None:
        return False
    for node in fields_of(selection_index, type_, sets):
        if node.name.value == _TYPENAME:
            continue
        field = type_.fields.get(node.name.value)
        definition = None if field is None else field.extensions.get(DEFINITION)
        if isinstance(definition, ColumnField):
            if not all(_is_alike(model, label) for label in required_columns(field)):
                return False
        elif not (isinstance(definition, BatchField) and definition.objects):
            return False
        assert field is not None
        below = [node.selection_set] if node.selection_set else []
        if below and not _alike(selection_index, get_named_type(field.type), below):
            return False
    return True


@cache
def _is_alike(model: type[Base], label: str) -> bool:
    if label in inspect_model(model).columns:
        return True
    expression = EXPRESSIONS.get((model, label))
    return expression is not None and not _asks_viewer(expression(_somebody(), model))


@cache
def readable_by_all_alike(model: type[Base]) -> bool:
    """Whether every ordinary viewer can read the same rows of a model."""
    return not _asks_viewer(access.read(_somebody(), model))


def _somebody() -> Viewer:
    return placeholder_viewer(ORDINARY)


def _asks_viewer(expression: Any) -> bool:
    return any(
        isinstance(part, BindParameter) and part.key in VIEWER_PARAMS
        for part in iterate(expression)
    )
