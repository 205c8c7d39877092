"""Variables: coerced as graphql-core does it, but faster for plain values.

graphql-core looks up a variable's type for each request, and inspects it for each value: for one
ID that takes a twentieth of the smallest operation. Here the type is inspected once. If an
operation declares anything else (a number, an input object, a default), or if a value does not
fit, graphql-core coerces all its variables and reports the errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from graphql import (
    GraphQLBoolean,
    GraphQLError,
    GraphQLID,
    GraphQLSchema,
    GraphQLString,
    VariableDefinitionNode,
    get_nullable_type,
    is_non_null_type,
)
from graphql.execution.get_variable_signature import (
    GraphQLVariableSignature,
    get_variable_signature,
)
from graphql.execution.values import VariableValues, VariableValueSource, get_variable_values
from graphql.pyutils import Undefined, UndefinedType

# The most errors in variables that are reported, as in graphql-core.
_MOST_ERRORS: Final = 50
# Scalars whose coerced value is the value itself. (Numbers have a range.)
_PLAIN: Final[Mapping[Any, type]] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}


class Variables:
    """The variables that an operation declares."""

    __slots__ = ("_nodes", "_plain", "_schema")

    def __init__(self, schema: GraphQLSchema, nodes: Sequence[VariableDefinitionNode]) -> None:
        self._schema = schema
        self._nodes = nodes
        # With the types of their values; None unless all are plain.
        self._plain: list[tuple[GraphQLVariableSignature, frozenset[type]]] | None = []
        for node in nodes:
            signature = get_variable_signature(schema, node)
            if isinstance(signature, GraphQLError) or not (kinds := _kinds(signature)):
                self._plain = None
                break
            self._plain.append((signature, kinds))

    def coerced(self, given: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
        """The values, or the errors; no message suggests a name of the schema."""
        values = self._simply(given)
        if values is not None:
            return values
        return get_variable_values(
            self._schema, self._nodes, dict(given), max_errors=_MOST_ERRORS, hide_suggestions=True
        )

    def _simply(self, given: Mapping[str, Any]) -> VariableValues | None:
        if self._plain is None:
            return None
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for signature, kinds in self._plain:
            value = given.get(signature.name, Undefined)
            if type(value) not in kinds:
                return None
            sources[signature.name] = VariableValueSource(signature, value)
            if value is not Undefined:
                coerced[signature.name] = value
        return VariableValues(sources, coerced)


def _kinds(signature: GraphQLVariableSignature) -> frozenset[type]:
    """The types of plain values; empty if graphql-core has to coerce them."""
    kind = _PLAIN.get(get_nullable_type(signature.type))
    if kind is None or signature.default is not None:
        return frozenset()
    if is_non_null_type(signature.type):
        return frozenset({kind})
    # Null is a value, and the variable may be omitted.
    return frozenset({kind, type(None), UndefinedType})
