"""Input objects are counted as often as they would be made, before any is."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLSchema, OperationDefinitionNode, parse
from graphql.language import FragmentDefinitionNode

from graph.core.selection import SelectionIndex
from graph.request.document_limits import TooLarge
from graph.request.input_size import MOST, InputSize
from graph.schema import schema

SCHEMA: GraphQLSchema = schema._schema
FILTER = "query ($f: TaskFilter{default}) {{ {fields} }}"


def size(text: str) -> InputSize:
    tree = parse(text)
    (operation,) = [one for one in tree.definitions if isinstance(one, OperationDefinitionNode)]
    fragments = {
        one.name.value: one for one in tree.definitions if isinstance(one, FragmentDefinitionNode)
    }
    return InputSize(SelectionIndex(SCHEMA, operation, fragments))


def objects(text: str, **variables: Any) -> int | None:
    """How many are too many; None where they are not."""
    try:
        size(text).check(variables)
    except TooLarge as failure:
        told = failure.extra
    else:
        return None
    assert (told["limit"], told["maximum"]) == ("input objects", MOST)
    actual: int = told["actual"]
    return actual


def aliased(count: int, *, default: str = "") -> str:
    fields = " ".join(f"a{n}: tasks(filter: $f) {{ totalCount }}" for n in range(count))
    return FILTER.format(default=default, fields=fields)


def conditions(count: int) -> dict[str, Any]:
    """A filter of so many conditions: two objects each, and a twentieth for its place."""
    return {"or": [{"title": {"eq": "x"}}] * count}


def test_a_variable_counts_wherever_it_stands() -> None:
    assert objects(aliased(1), f=conditions(480)) is None
    assert objects(aliased(1), f=conditions(500)) == 1_026
    assert objects(aliased(30), f=conditions(10)) is None
    assert objects(aliased(30), f=conditions(20)) == 1_260
    # It is made as often in fragments.
    spread = " ".join(f"a{n}: project(id: $id) {{ ...F }}" for n in range(20))
    text = f"query ($id: ID!, $f: TaskFilter) {{ {spread} }} "
    text += "fragment F on Project { tasks(filter: $f) { totalCount } }"
    assert objects(text, id="x", f=conditions(10)) is None
    assert objects(text, id="x", f=conditions(50)) == 2_070


def test_what_stands_in_the_document_counts_too() -> None:
    written = "{or: [" + "{title: {eq: 1}} " * 50 + "]}"
    assert objects(f"{{ tasks(filter: {written}) {{ totalCount }} }}") is None
    spread = " ".join(f"a{n}: project(id: 1) {{ ...F }}" for n in range(20))
    text = f"{{ {spread} }} fragment F on Project {{ tasks(filter: {written}) {{ totalCount }} }}"
    assert objects(text) == 2_070
    # A default counts where no value is given, and is forgotten where one is.
    many = aliased(20, default=f" = {written}")
    assert objects(many) == 2_070
    assert objects(many, f=None) is None


def test_plain_values_of_lists_count_a_twentieth() -> None:
    text = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert objects(text, ids=["x"] * 20_000) is None
    assert objects(text, ids=["x"] * 20_020) == 1_001
    assert objects(text, ids="x" * 1_000_000) is None


def test_the_largest_bulk_passes() -> None:
    item = {"title": "x", "tags": ["x"] * 20, "estimate": 1, "priority": "LOW"}
    text = "mutation ($i: TaskBulkCreateInput!) { taskBulkCreate(input: $i) { doneCount } }"
    assert objects(text, i={"items": [item] * 200}) is None


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "x", [], {}, [[[]]], {"a": {"b": []}}])
def test_any_value_can_be_measured(value: Any) -> None:
    assert objects(aliased(1), f=value, unknown=value) is None
