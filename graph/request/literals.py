"""Literals in a document, checked so that each error has a location and the name of its field.

graphql-core locates what it finds itself. An error that a custom scalar raises has no location,
since a scalar receives the value alone.
"""

from __future__ import annotations

import re
from typing import Any, Final

from graphql import (
    ArgumentNode,
    GraphQLError,
    GraphQLInputType,
    ListValueNode,
    Node,
    ObjectValueNode,
    ValueNode,
    ValuesOfCorrectTypeRule,
    VariableDefinitionNode,
)
from graphql.language import SKIP, VisitorAction
from graphql.utilities.validate_input_value import validate_input_literal

# What Python says of a literal that it cannot read: a number of thousands of digits.
_RAISED: Final = re.compile(r", but encountered error '.*'; found", re.DOTALL)


class LocatedValuesRule(ValuesOfCorrectTypeRule):
    """The rule of the specification, 5.6.1, with a location for every error."""

    _name = ""

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        """Remember what the literals below are the value of."""
        self._name = node.name.value

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> None:
        """The same for a default."""
        self._name = f"${node.variable.name.value}"

    def is_valid_value_node(
        self, node: ValueNode, input_type: GraphQLInputType | None
    ) -> VisitorAction:
        """Report the errors of a literal and everything inside it."""
        if input_type:
            validate_input_literal(
                node,
                input_type,
                lambda error, path: self.report_error(self._located(error, node, path)),
                None,
                None,
                self.context.hide_suggestions,
            )
        return SKIP

    def _located(self, error: GraphQLError, node: Node, path: list[str | int]) -> GraphQLError:
        if error.original_error is not None:
            error = GraphQLError(_RAISED.sub(", found", error.message), error.nodes)
        # Lists and objects are copied before a scalar reads them, and the copies have no place.
        if error.locations:
            return error
        name = self._name
        for step in path:
            if isinstance(node, ObjectValueNode):
                node = next(field.value for field in node.fields if field.name.value == step)
                name = str(step)
            elif isinstance(node, ListValueNode):
                node = node.values[int(step)]
        return GraphQLError(f"Invalid value of '{name}': {error.message}", nodes=[node])
