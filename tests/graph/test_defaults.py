"""The defaults that the schema declares are what the server does if a field is omitted."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from graphql import GraphQLEnumType, GraphQLInputField, get_named_type, is_input_object_type

from graph.schema import schema
from tests.factories import World

SCHEMA = schema._schema
NEXT_YEAR = (dt.datetime.now(dt.UTC) + dt.timedelta(days=365)).isoformat()
YESTERDAY = (dt.datetime.now(dt.UTC) - dt.timedelta(days=1)).isoformat()
# Mutation, what it must be given, the object of its payload, and its defaults.
CASES: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("taskCreate", {"title": "x"}, "task", {"status": "TODO", "priority": "NONE"}),
    (
        "timeEntryCreate",
        {"time": {"start": {"startedAt": YESTERDAY, "duration": 60}}},
        "timeEntry",
        {"isBillable": False},
    ),
    (
        "reminderCreate",
        {"message": "x", "rule": {"once": {"at": NEXT_YEAR}}},
        "reminder",
        {"channels": ["IN_APP"], "isEnabled": True},
    ),
]


def declared(mutation: str, name: str) -> Any:
    """The default in the schema, as JSON."""
    type_: Any = SCHEMA.type_map[f"{mutation[0].upper()}{mutation[1:]}Input"]
    field: GraphQLInputField = type_.fields[name]
    value = field.default_value
    named = get_named_type(field.type)
    if isinstance(named, GraphQLEnumType):
        return (
            [named.serialize(one) for one in value]
            if isinstance(value, list)
            else (named.serialize(value))
        )
    return value


@pytest.mark.parametrize(("mutation", "given", "thing", "defaults"), CASES)
async def test_what_is_omitted_is_as_declared(
    world: World, mutation: str, given: dict[str, Any], thing: str, defaults: dict[str, Any]
) -> None:
    ada = await world.person()
    name = f"{mutation[0].upper()}{mutation[1:]}Input"
    query = f"""mutation ($input: {name}!) {{
        {mutation}(input: $input) {{ {thing} {{ {" ".join(defaults)} }} errors {{ message }} }}
    }}"""
    for input_ in (given, {**given, **defaults}):
        reply = await world.run(query, ada, input=input_)
        assert reply.good[mutation][thing] == defaults
    for field, value in defaults.items():
        assert declared(mutation, field) == value


async def test_null_is_no_way_to_ask_for_a_default(world: World) -> None:
    ada = await world.person()
    query = "mutation ($input: TaskCreateInput!) { taskCreate(input: $input) { task { id } } }"
    reply = await world.run(query, ada, input={"title": "x", "status": None})
    assert reply.codes == ["BAD_USER_INPUT"]
    assert ".status:" in reply.errors[0]["message"]
    # A variable of its own that is not given leaves the default.
    query = """mutation ($status: TaskStatus) {
        taskCreate(input: {title: "x", status: $status}) { task { status } errors { code } }
    }"""
    made = (await world.run(query, ada)).good["taskCreate"]
    assert made["task"] == {"status": "TODO"}
    assert (await world.run(query, ada, status=None)).codes == ["BAD_USER_INPUT"]


def test_no_description_tells_a_default_that_could_be_declared() -> None:
    """Such as "TODO by default". Those that remain depend on something else."""
    told = {
        f"{type_.name}.{name}"
        for type_ in SCHEMA.type_map.values()
        if is_input_object_type(type_)
        for name, field in type_.fields.items()
        if re.search(r"\b(true|false|[A-Z]{3,}(_[A-Z]+)*|\d+) by default", field.description or "")
    }
    assert told == set()
