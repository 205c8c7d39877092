"""Variables: whatever is given, they come out as graphql-core has them, or fail in its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphql import (
    GraphQLError,
    OperationDefinitionNode,
    VariableDefinitionNode,
    build_schema,
    parse,
)
from graphql.execution.values import get_variable_values
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.engine.variables import Variables

SCHEMA = build_schema(
    """
    directive @oneOf on INPUT_OBJECT
    scalar Anything
    enum Colour { RED GREEN }
    input Range { from: Int!, to: Int = 7, colours: [Colour!] = [RED] }
    input Either @oneOf { id: ID, range: Range }
    input Filter { all: [Filter!], none: Filter, name: String, size: Float, either: Either }
    input New {
      title: String!
      tags: [String!]
      done: Boolean = false
      range: Range
      anything: Anything
      lists: [[Int]]
    }
    type Query { a: Int }
    """
)
TYPES = (
    "ID", "String!", "Int", "Float!", "Boolean", "Colour", "[ID!]!", "[[Int]]", "Anything",
    "Range", "Either", "Filter", "New!", "[Colour] = [GREEN]", "Int! = 3", "Range = {from: 1}",
    "Range = {to: 1}", "String = null", "String", "ID!", "Boolean!", "Boolean = true",
)  # fmt: skip

FIELDS = "title tags done range anything lists all none name size either id from to colours other"
NAMES = st.sampled_from(FIELDS.split())
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**33), 2**33)
    | st.integers(-3, 3)
    | st.floats(allow_nan=True)
    | st.sampled_from(["", "x", "RED", "GREEN", "7"])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
# Values that fit, so that not nearly all cases are errors.
RANGES = st.fixed_dictionaries(
    {"from": st.integers(0, 9)},
    optional={"to": st.integers(0, 9) | st.none(), "colours": st.lists(st.just("RED"))},
)
EITHERS = st.fixed_dictionaries({"id": st.just("a")}) | st.fixed_dictionaries({"range": RANGES})
FILTERS = st.recursive(
    st.fixed_dictionaries(
        {}, optional={"name": st.text(max_size=2), "size": st.floats(0, 1), "either": EITHERS}
    ),
    lambda inner: st.fixed_dictionaries(
        {}, optional={"all": st.lists(inner, max_size=2), "none": inner}
    ),
    max_leaves=4,
)
NEWS = st.fixed_dictionaries(
    {"title": st.just("t")},
    optional={"tags": st.lists(st.just("a")), "range": RANGES, "anything": VALUES},
)
FITTING = RANGES | EITHERS | FILTERS | NEWS | LEAVES


def _declared(*types: str) -> Sequence[VariableDefinitionNode]:
    declared = ", ".join(f"$v{index}: {type_}" for index, type_ in enumerate(types))
    (operation,) = parse(f"query ({declared}) {{ a }}").definitions
    assert isinstance(operation, OperationDefinitionNode)
    assert operation.variable_definitions
    return operation.variable_definitions


def _refusal(nodes: Sequence[VariableDefinitionNode], inputs: dict[str, Any]) -> str:
    errors = Variables(SCHEMA, nodes).coerced(inputs)
    assert isinstance(errors, list)
    (error,) = errors
    return error.message


def _told(values: Any) -> Any:
    if isinstance(values, list):
        return [error.message for error in values if isinstance(error, GraphQLError)]
    sources = {name: source.value for name, source in values.sources.items()}
    return repr((list(values.coerced.items()), sources))


@settings(max_examples=400, deadline=None)
@given(
    types=st.lists(st.sampled_from(TYPES), min_size=1, max_size=3),
    values=st.lists(FITTING | VALUES, max_size=3),
)
def test_variables_are_those_of_graphql_core(types: list[str], values: list[Any]) -> None:
    nodes = _declared(*types)
    inputs = {f"v{index}": value for index, value in enumerate(values)}

    expected = get_variable_values(
        SCHEMA, nodes, dict(inputs), max_errors=50, hide_suggestions=True
    )
    variables = Variables(SCHEMA, nodes)

    assert _told(variables.coerced(inputs)) == _told(expected)
    # What is remembered of a first request changes nothing for a second.
    assert _told(variables.coerced(inputs)) == _told(expected)


def test_any_number_of_levels_is_refused_as_graphql_core_does() -> None:
    deep: dict[str, Any] = {"name": "x"}
    for _ in range(5_000):
        deep = {"none": deep}

    assert _refusal(_declared("Filter"), {"v0": deep}) == "Variable values are nested too deeply."


def test_a_type_that_cannot_be_given_is_told() -> None:
    assert "cannot be used as an input type" in _refusal(_declared("Query"), {"v0": 1})
