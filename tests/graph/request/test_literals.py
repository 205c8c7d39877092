"""What is wrong with a literal says where it stands, and of which name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    get_named_type,
    is_specified_scalar_type,
)

from files.upload import Upload
from graph.schema import schema
from tests.factories import World

CASES = [
    (
        'mutation { taskCreate(input: {title: "x", due: {at: "soon"}}) { replayed } }',
        "at",
        '"soon"',
    ),
    ('mutation { taskCreate(input: {title: "x", due: {on: 5}}) { replayed } }', "on", "5"),
    ('{ tasks(filter: {dueAt: {gt: "soon"}}) { totalCount } }', "gt", '"soon"'),
    (
        'query ($d: DateTime = "soon") { tasks(filter: {dueAt: {gt: $d}}) { totalCount } }',
        "$d",
        '"soon"',
    ),
]


@pytest.mark.parametrize(("query", "name", "literal"), CASES)
async def test_a_custom_scalar(world: World, query: str, name: str, literal: str) -> None:
    ada = await world.person()
    reply = await world.run(query, ada)
    (error,) = reply.errors
    assert f"'{name}'" in error["message"]
    assert error["locations"] == [{"line": 1, "column": query.index(literal) + 1}]
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize("literal", ["[1]", "{x: 1}", "{}", "[]"])
async def test_a_list_or_an_object_for_a_scalar(world: World, literal: str) -> None:
    ada = await world.person()
    query = f"{{ task(id: {literal}) {{ id }} }}"
    (error,) = (await world.run(query, ada)).errors
    assert error["locations"] == [{"line": 1, "column": query.index(literal) + 1}]
    assert "'id'" in error["message"]


async def test_a_number_too_long_for_python(world: World) -> None:
    """Beyond 4,300 digits it reads none; what it says of them names its own settings."""
    long = "9" * 4_301
    query = f"{{ tasks(first: {long}) {{ totalCount }} }}"
    (error,) = (await world.run(query, await world.person())).errors
    assert error["message"] == f"Expected value of type 'Int', found: {long}."
    assert error["locations"] == [{"line": 1, "column": query.index(long) + 1}]


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("ID!", None, "null"),
        ("[ID!]!", [None], "null"),
        ("String!", True, "true"),
        ("Int!", False, "false"),
        ("TaskStatus!", True, "true"),
        ("String!", Upload("a.txt", 10), "a file"),
        ("TaskStatus!", Upload("a.txt", 10), "a file"),
    ],
)
async def test_messages_write_values_as_json_does(
    world: World, kind: str, value: object, shown: str
) -> None:
    ada = await world.person()
    used = {
        "ID!": "task(id: $v) { id }",
        "[ID!]!": "nodes(ids: $v) { id }",
        "String!": "search(query: $v) { totalCount }",
        "Int!": "tasks(first: $v) { totalCount }",
        "TaskStatus!": "tasks(filter: { status: { eq: $v } }) { totalCount }",
    }[kind]
    query = f"query ($v: {kind}) {{ {used} }}"
    (error,) = (await world.run(query, ada, v=value)).errors
    assert error["message"].rstrip(".").endswith(f" {shown}")
    if isinstance(value, Upload):
        return
    written = "[null]" if value == [None] else shown
    (error,) = (await world.run(f"{{ {used} }}".replace("$v", written), ada)).errors
    assert "None" not in error["message"]
    assert "True" not in error["message"]


@pytest.mark.parametrize("value", ["soon", 5, {"x": 1}, ["soon"]])
async def test_in_a_variable(world: World, value: object) -> None:
    ada = await world.person()
    query = "mutation ($input: TaskCreateInput!) { taskCreate(input: $input) { replayed } }"
    reply = await world.run(query, ada, input={"title": "x", "due": {"at": value}})
    (error,) = reply.errors
    assert "due.at" in error["message"]
    assert error["locations"] == [{"line": 1, "column": 11}]


def _arguments() -> Iterator[tuple[str, str, str]]:
    """Each root field with an argument or a field of its input that is of a custom scalar."""
    core = schema._schema
    for kind in ("query", "mutation"):
        root = core.query_type if kind == "query" else core.mutation_type
        assert root is not None
        for name, field in root.fields.items():
            for argument, declared in field.args.items():
                for path in _places(declared.type):
                    yield kind, f"{name}.{argument}", ".".join(path)


def _places(type_: GraphQLInputType) -> list[list[str]]:
    named = get_named_type(type_)
    if isinstance(named, GraphQLScalarType):
        return [] if is_specified_scalar_type(named) else [[]]
    if not isinstance(named, GraphQLInputObjectType):
        return []
    return [
        [name]
        for name, field in named.fields.items()
        if isinstance(get_named_type(field.type), GraphQLScalarType)
        and not is_specified_scalar_type(get_named_type(field.type))
    ]


@pytest.mark.parametrize("wrong", ['{is: "?"}', "UTC"])
@pytest.mark.parametrize(("kind", "place", "path"), sorted(set(_arguments())))
async def test_everywhere(world: World, kind: str, place: str, path: str, wrong: str) -> None:
    """An object or an enum value for a scalar: every error has a location and the field's name."""
    root, _, argument = place.partition(".")
    core = schema._schema
    type_ = core.query_type if kind == "query" else core.mutation_type
    assert type_ is not None
    declared = type_.fields[root].args[argument].type
    literal = wrong
    if path:
        literal = f"{{{path}: {literal}}}"
    if isinstance(declared, GraphQLList) or (
        isinstance(declared, GraphQLNonNull) and isinstance(declared.of_type, GraphQLList)
    ):
        literal = f"[{literal}]"
    query = f"{kind} {{ {root}({argument}: {literal}) {{ __typename }} }}"
    reply = await world.run(query, None)
    name = path.rpartition(".")[2] or argument
    found = [error for error in reply.errors if f"'{name}': " in error["message"]]
    assert found, reply.errors
    assert found[0]["locations"] == [{"line": 1, "column": query.index(wrong) + 1}]
