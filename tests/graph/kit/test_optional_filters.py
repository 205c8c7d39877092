"""What is left out of a filter is no condition; a null is an error that says what to write.

Generated over every filter of every list that the schema has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLField, get_named_type, is_input_object_type

from graph.schema import schema
from tests.factories import ENGINES, Engine, World

# At the root, and the viewer's own.
LISTS: dict[str, GraphQLField] = {
    name: field
    for type_ in ("Viewer", "Query")
    for name, field in schema._schema.type_map[type_].fields.items()  # type: ignore[attr-defined]
    if "filter" in field.args
    and "totalCount" in getattr(get_named_type(field.type), "fields", {})
    and not any(str(argument.type).endswith("!") for argument in field.args.values())
}


def empties(type_: Any, depth: int = 2) -> Iterator[dict[str, Any]]:
    """Filters of a type in which everything has been left out."""
    yield {}
    if not depth:
        return
    for name, field in type_.fields.items():
        inner = get_named_type(field.type)
        if not is_input_object_type(inner):
            continue
        values = list(empties(inner, depth - 1))
        if name in {"and", "or"}:
            yield {name: values[:3]}
        else:
            yield from ({name: value} for value in values)


def nulls(type_: Any, depth: int = 2) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Filters of a type in which one thing is null, and the place."""
    for name, field in type_.fields.items():
        yield {name: None}, [name]
        inner = get_named_type(field.type)
        if is_input_object_type(inner) and depth and name not in {"and", "or"}:
            yield from (({name: value}, [name, *place]) for value, place in nulls(inner, depth - 1))


def test_all_lists_are_here() -> None:
    assert {"tasks", "projects", "timeEntries", "apiKeys", "devices"} <= set(LISTS)


def asked(name: str, lists: str) -> str:
    """The selection set of lists of one name, at the root or the viewer's."""
    at_root = name in schema._schema.type_map["Query"].fields  # type: ignore[attr-defined]
    return f"{{ {lists} }}" if at_root else f"{{ viewer {{ {lists} }} }}"


def answered(data: Any) -> Any:
    """The lists of an answer to it."""
    return data.get("viewer", data)


@pytest.mark.parametrize("name", LISTS)
async def test_nothing_is_no_condition(world: World, name: str) -> None:
    person = await world.person(is_admin=True)
    project = await world.project(person)
    await world.task(person, project_id=project.id)
    type_ = get_named_type(LISTS[name].args["filter"].type)
    one = asked(name, f"it: {name}(filter: $filter) {{ totalCount }}")
    reply = await world.run(f"query ($filter: {type_.name}) {one}", person)
    all_of_them = answered(reply.good)["it"]["totalCount"]
    filters = list(empties(type_))
    # One document asks for many, since each is an operation of its own.
    for start in range(0, len(filters), 25):
        part = filters[start : start + 25]
        variables: dict[str, Any] = {f"f{place}": value for place, value in enumerate(part)}
        declared = ", ".join(f"${key}: {type_.name}" for key in variables)
        lists = " ".join(f"{key}: {name}(filter: ${key}) {{ totalCount }}" for key in variables)
        reply = await world.run(f"query ({declared}) {asked(name, lists)}", person, **variables)
        assert not reply.errors, reply.errors
        for key, value in variables.items():
            assert answered(reply.data)[key]["totalCount"] == all_of_them, value


@pytest.mark.parametrize("name", LISTS)
async def test_null_is_refused_and_isnull_named(world: World, name: str) -> None:
    person = await world.person(is_admin=True)
    type_ = get_named_type(LISTS[name].args["filter"].type)
    one = asked(name, f"{name}(filter: $filter) {{ totalCount }}")
    ask = f"query ($filter: {type_.name}) {one}"
    for value, place in nulls(type_, 1):
        reply = await world.run(ask, person, filter=value)
        (error,) = reply.errors
        assert error["extensions"]["code"] == "BAD_USER_INPUT", value
        assert error["extensions"]["argumentPath"] == ["filter", *place], value
        assert "isNull" in error["message"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_an_optional_variable_that_is_not_given(world: World, engine: Engine) -> None:
    person = await world.person()
    await world.tasks(person, ["one", "two", "three"])
    ask = """query ($title: String, $text: String, $tag: String, $who: String, $flag: Boolean) {
      tasks(filter: {
        title: { eq: $title }
        or: [{ title: { contains: $text } }, { description: { contains: $text } }]
        not: { tags: { some: { eq: $tag } } }
        assignee: { username: { eq: $who } }
        isOverdue: $flag
      }) { totalCount }
    }"""
    for given, count in (
        ({}, 3),
        ({"title": "two"}, 1),
        ({"text": "t"}, 2),
        ({"tag": "none"}, 3),
        ({"who": "nobody"}, 0),
        ({"flag": True}, 0),
    ):
        reply = await world.run(ask, person, engine=engine, **given)
        assert reply.good["tasks"]["totalCount"] == count, given
    reply = await world.run(ask, person, engine=engine, title=None)
    assert "isNull" in reply.errors[0]["message"]


async def test_all_that_is_wrong_with_a_filter_is_said(world: World) -> None:
    person = await world.person()
    reply = await world.run(
        """{ tasks(filter: {
          id: { eq: "x" }, title: { eq: null }, number: { gt: 5, lt: 3 }, search: "",
          and: [{ owner: { id: { in: ["y", "z"] } } }]
        }) { totalCount } }""",
        person,
    )
    places = {".".join(error["extensions"]["argumentPath"]) for error in reply.errors}
    assert places == {
        "filter.id.eq",
        "filter.title.eq",
        "filter.number",
        "filter.search",
        "filter.and.0.owner.id.in.0",
        "filter.and.0.owner.id.in.1",
    }
