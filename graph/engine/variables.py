"""Variables: what graphql-core makes of them, made by functions that know the type already.

graphql-core finds a variable's type anew for each request, and asks of each value's type what kind
it is: for an input of twenty fields that takes longer than the statement's text does. Here a type
is walked once and leaves a function. It knows only what is simply right; of all else (a value that
does not fit, one item where a list is wanted) it says nothing, and graphql-core does all variables
of that request, errors and their words included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from graphql import (
    GraphQLBoolean,
    GraphQLError,
    GraphQLID,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLLeafType,
    GraphQLSchema,
    GraphQLString,
    VariableDefinitionNode,
    get_named_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)
from graphql.execution.get_variable_signature import (
    GraphQLVariableSignature,
    get_variable_signature,
)
from graphql.execution.values import (
    VariableValues,
    VariableValueSource,
    get_variable_values,
    input_is_nested_too_deeply,
)
from graphql.pyutils import Undefined
from graphql.utilities.coerce_input_value import coerce_default_value

# The coerced value, or Undefined: graphql-core is to say what it is.
Coerce = Callable[[Any], Any]

_NOTHING: Final = VariableValues({}, {})
# The most errors in variables that are reported, as in graphql-core.
_MOST_ERRORS: Final = 50
# Scalars of which a value of the Python type is what it is. (Numbers have a range.)
_PLAIN: Final = {GraphQLString.name: str, GraphQLID.name: str, GraphQLBoolean.name: bool}


class Coercers:
    """The functions of a schema's input types, made when they are first needed."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self._objects: dict[str, Coerce] = {}
        self._nesting: dict[str, bool] = {}

    def nests(self, type_: GraphQLInputType) -> bool:
        """Whether values of the type may have any number of levels: a filter of filters."""
        named = get_named_type(type_)
        if not is_input_object_type(named):
            return False
        if named.name not in self._nesting:
            self._nesting[named.name] = _nests(named, frozenset())
        return self._nesting[named.name]

    def of(self, type_: GraphQLInputType) -> Coerce:
        """The function for values of a type."""
        if is_non_null_type(type_):
            return self._present(type_.of_type)
        present = self._present(type_)
        return lambda value: None if value is None else present(value)

    def _present(self, type_: GraphQLInputType) -> Coerce:
        """The function for values that must not be null."""
        if is_list_type(type_):
            return _list(self.of(type_.of_type))
        if is_input_object_type(type_):
            return self._object(type_)
        return _leaf(type_)  # type: ignore[arg-type]  # nothing else is left

    def _object(self, type_: GraphQLInputObjectType) -> Coerce:
        known = self._objects.get(type_.name)
        if known is not None:
            return known
        fields: list[tuple[str, str, Coerce, bool, GraphQLInputField]] = []

        def coerce(value: Any) -> Any:
            if type(value) is not dict:
                return Undefined
            if not fields:
                # Not before the first value: a filter has fields of its own type.
                fields.extend(self._fields(type_))
            made = {}
            found = 0
            for name, out_name, inner, required, field in fields:
                if name in value:
                    found += 1
                    item = inner(value[name])
                    if item is Undefined:
                        return Undefined
                elif required:
                    return Undefined
                else:
                    item = coerce_default_value(field)
                    if item is Undefined:
                        continue
                made[out_name] = item
            # Else it has fields that the type has not.
            fits = found == len(value) and (not type_.is_one_of or _is_one(made, found))
            return type_.out_type(made) if fits else Undefined

        self._objects[type_.name] = coerce
        return coerce

    def _fields(
        self, type_: GraphQLInputObjectType
    ) -> list[tuple[str, str, Coerce, bool, GraphQLInputField]]:
        return [
            (
                name,
                field.out_name or name,
                self.of(field.type),
                is_required_input_field(field),
                field,
            )
            for name, field in type_.fields.items()
        ]


def _nests(type_: GraphQLInputObjectType, above: frozenset[str]) -> bool:
    if type_.name in above:
        return True
    below = map(get_named_type, (field.type for field in type_.fields.values()))
    return any(_nests(b, above | {type_.name}) for b in below if is_input_object_type(b))


def _is_one(made: Mapping[str, Any], found: int) -> bool:
    return found == len(made) == 1 and None not in made.values()


def _list(item: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        if type(value) is not list:
            return Undefined
        made = [item(each) for each in value]
        return Undefined if any(each is Undefined for each in made) else made

    return coerce


def _leaf(type_: GraphQLLeafType) -> Coerce:
    kind = _PLAIN.get(type_.name)
    if kind is not None:
        return lambda value: value if type(value) is kind else Undefined
    by_core = type_.coerce_input_value

    def coerce(value: Any) -> Any:
        try:
            return by_core(value)
        except Exception:  # noqa: BLE001 - graphql-core finds and words it
            return Undefined

    return coerce


class Variables:
    """The variables that an operation declares."""

    __slots__ = ("_declared", "_nodes", "_schema")

    def __init__(self, coercers: Coercers, nodes: Sequence[VariableDefinitionNode]) -> None:
        self._schema = coercers.schema
        self._nodes = nodes
        # None where graphql-core has to say what is wrong with a declaration.
        self._declared: list[tuple[GraphQLVariableSignature, Coerce, bool]] | None = []
        for node in nodes:
            signature = get_variable_signature(coercers.schema, node)
            if isinstance(signature, GraphQLError):
                self._declared = None
                break
            nests = coercers.nests(signature.type)
            self._declared.append((signature, coercers.of(signature.type), nests))

    def coerced(self, given: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
        """The values, or what is wrong with them; no message suggests a name of the schema."""
        if not self._nodes:
            return _NOTHING
        try:
            values = self._simply(given)
        except (TypeError, RecursionError):  # A default that is none; more levels than Python has.
            values = None
        if values is not None:
            return values
        return get_variable_values(
            self._schema, self._nodes, dict(given), max_errors=_MOST_ERRORS, hide_suggestions=True
        )

    def _simply(self, given: Mapping[str, Any]) -> VariableValues | None:
        if self._declared is None:
            return None
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for signature, coerce, nests in self._declared:
            name = signature.name
            if name not in given:
                if signature.default is not None:
                    coerced[name] = coerce_default_value(signature)
                elif is_non_null_type(signature.type):
                    return None
                sources[name] = VariableValueSource(signature)
                continue
            value = given[name]
            if nests and input_is_nested_too_deeply(value, signature.type):
                return None
            item = coerce(value)
            if item is Undefined:
                return None
            sources[name] = VariableValueSource(signature, value)
            coerced[name] = item
        return VariableValues(sources, coerced)
