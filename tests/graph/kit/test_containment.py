"""A field that fails leaves its neighbours alone: each root field, list and count is made to fail,
and everything beside it is as it is without the failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import Any

import pytest
from graphql import (
    GraphQLField,
    get_named_type,
    is_leaf_type,
    is_non_null_type,
    is_required_argument,
)
from sqlalchemy import text

from files.upload import Upload
from graph.core.fields import BatchField
from graph.core.selection import DEFINITION
from graph.engine import execute
from graph.engine.executor import planner_of
from graph.kit.page_rows import PageReader
from graph.request.execution import Executor
from graph.request.preparation import GraphQLRequest
from graph.schema import schema
from tests.access.test_matrix import sample
from tests.accounts import Person
from tests.factories import Reply, World, gid
from tests.graph.engine.faults import BREAKS, bent

SCHEMA = schema._schema
NEIGHBOURS = {
    "Query": {
        "tasks": "tasks(first: 1) { nodes { title owner { username } } totalCount }",
        "projects": "projects { nodes { name tasks { nodes { title } totalCount } } }",
        "serverInfo": "serverInfo { name }",
    },
    "Mutation": {
        "accountUpdate": 'accountUpdate(input: {locale: "de"}) { viewer { locale } replayed }',
        "taskCreate": 'taskCreate(input: {title: "Kept"}) { task { title } errors { code } }',
    },
    "Project": {"name": "name", "owner": "owner { username }", "tasks": "tasks { totalCount }"},
    "Task": {
        "title": "title",
        "owner": "owner { username }",
        "comments": "comments { totalCount }",
    },
    "Comment": {"body": "body", "author": "author { username }"},
    "User": {"username": "username"},
}


def fields_of(type_name: str) -> list[str]:
    """The fields that may fail by themselves: batches that are nullable in the schema."""
    fields: Mapping[str, GraphQLField] = SCHEMA.type_map[type_name].fields  # type: ignore[attr-defined]
    return [
        name
        for name, field in fields.items()
        if isinstance(field.extensions.get(DEFINITION), BatchField)
        and not is_non_null_type(field.type)
    ]


def written(type_name: str, name: str) -> tuple[str, str, dict[str, Any]]:
    """One field with the arguments that it requires: definitions of variables, text, values."""
    field: GraphQLField = SCHEMA.type_map[type_name].fields[name]  # type: ignore[attr-defined]
    required = {key: arg for key, arg in field.args.items() if is_required_argument(arg)}
    # An underscore, since `World.run` has parameters of its own.
    definitions = ", ".join(f"${key}_: {arg.type}" for key, arg in required.items())
    passed = ", ".join(f"{key}: ${key}_" for key in required)
    below = "" if is_leaf_type(get_named_type(field.type)) else "{ __typename }"
    values = {f"{key}_": sample(arg.type) for key, arg in required.items()}
    return definitions, f"{name}{passed and f'({passed})'} {below}", values


def _with_file(value: Any, file: Upload) -> Any:
    """The sample of an input has null for a file."""
    if isinstance(value, dict):
        return {key: file if inner is None else inner for key, inner in value.items()}
    return value


async def every_way(world: World, query: str, person: Person, **variables: Any) -> list[Reply]:
    """The answers of both engines; the last one is serialized by PostgreSQL where it can be."""
    standard = await world.run(query, person, engine="standard", **variables)
    first = await world.run(query, person, **variables)
    planner = planner_of(SCHEMA)
    usual, planner.serialized_after = planner.serialized_after, 0
    try:
        return [standard, first, await world.run(query, person, **variables)]
    finally:
        planner.serialized_after = usual


@pytest.fixture
async def ada(world: World) -> Person:
    ada = await world.person()
    project = await world.project(ada, name="Bridges")
    await world.task(ada, "Mend the gate", project_id=project.id)
    return ada


@pytest.mark.parametrize("kind", ["Query", "Mutation"])
async def test_a_root_field_that_fails_leaves_the_others_alone(
    world: World, ada: Person, kind: str
) -> None:
    assert fields_of(kind) == list(SCHEMA.type_map[kind].fields)  # type: ignore[attr-defined]
    for name in fields_of(kind):
        definitions, text, values = written(kind, name)
        beside = [text for other, text in NEIGHBOURS[kind].items() if other != name]
        head = f"{kind.lower()} Contained{definitions and f'({definitions})'}"
        query = f"{head} {{ {beside[0]} it: {text} {' '.join(beside[1:])} }}"
        good = (await world.run(f"{kind.lower()} {{ {' '.join(beside)} }}", ada)).good
        with bent(SCHEMA, {f"{kind}.{name}": BREAKS}, 0), closing(Upload("a.txt", 1)) as file:
            values = {key: _with_file(value, file) for key, value in values.items()}
            for reply in await every_way(world, query, ada, **values):
                assert reply.data == {**good, "it": None}, name
                assert [error["path"] for error in reply.errors] == [["it"]], name


@pytest.mark.parametrize("kind", ["Project", "Task", "Comment", "User"])
async def test_a_list_that_fails_leaves_its_object_alone(
    world: World, ada: Person, kind: str
) -> None:
    project = await world.project(ada, name="Bridges")
    task = await world.task(ada, "Mend the gate", project_id=project.id)
    comment = (
        "mutation ($input: CommentCreateInput!) { commentCreate(input: $input) { comment { id } } }"
    )
    made = await world.run(comment, ada, input={"taskId": gid(task), "body": "Mended"})
    ids = {
        "Project": gid(project),
        "Task": gid(task),
        "Comment": made.good["commentCreate"]["comment"]["id"],
        "User": gid(ada),
    }
    for name in fields_of(kind):
        _, text, _ = written(kind, name)
        beside = " ".join(text for other, text in NEIGHBOURS[kind].items() if other != name)
        query = f"query ($id: ID!) {{ thing: {kind.lower()}(id: $id) {{ it: {text} {beside} }} }}"
        without = f"query ($id: ID!) {{ thing: {kind.lower()}(id: $id) {{ {beside} }} }}"
        good = (await world.run(without, ada, id=ids[kind])).good
        with bent(SCHEMA, {f"{kind}.{name}": BREAKS}, 0):
            for reply in await every_way(world, query, ada, id=ids[kind]):
                assert reply.data == {"thing": {"it": None, **good["thing"]}}, name
                assert [error["path"] for error in reply.errors] == [["thing", "it"]], name


async def test_a_count_that_fails_leaves_the_rows_alone(
    world: World, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = """{
        tasks { nodes { title } totalCount }
        projects { nodes { name tasks { totalCount nodes { title } } } }
    }"""
    good = (await world.run(query, ada)).good
    good["tasks"]["totalCount"] = None
    good["projects"]["nodes"][0]["tasks"]["totalCount"] = None

    async def broken(*_: Any) -> Any:
        raise RuntimeError("no counts today")

    with ExitStack() as stack:
        monkeypatch.setattr(PageReader, "totals", broken)
        stack.callback(monkeypatch.undo)
        standard, *batch = await every_way(world, query, ada)
        expected = [["tasks", "totalCount"], ["projects", "nodes", 0, "tasks", "totalCount"]]
        for reply in (standard, *batch):
            assert reply.data == good
        for reply in batch:
            assert [error["path"] for error in reply.errors] == expected
        # The standard engine reports errors in the order in which fields failed.
        assert sorted((error["path"] for error in standard.errors), key=len) == expected


async def test_mutations_that_ended_are_told_if_a_later_one_is_stopped(
    world: World, ada: Person
) -> None:
    """They are committed, so their answers must not be lost."""
    task = await world.task(ada, "Mend the gate")
    executor = Executor(schema, engine=execute, operation_seconds=1)
    context = world.context(ada)
    query = """mutation ($id: ID!) {
        made: taskCreate(input: {title: "Made"}) { task { title } }
        refused: taskCreate(input: {title: ""}) { task { title } errors { code } }
        late: commentCreate(input: {taskId: $id, body: "Late"}) { comment { body } }
        never: taskCreate(input: {title: "Never"}) { task { title } }
    }"""
    request = GraphQLRequest(query, {"id": gid(task)})
    prepared = await executor.prepare(request, request_id=context.request.id)
    async with world.database.session() as session, session.begin():
        await session.execute(text("LOCK TABLE comments IN ACCESS EXCLUSIVE MODE"))
        answer = await executor.execute(prepared, context)
    reply = Reply.of(answer.body())
    assert reply.data == {
        "made": {"task": {"title": "Made"}},
        "refused": {"task": None, "errors": [{"code": "BAD_USER_INPUT"}]},
        "late": None,
        "never": None,
    }
    told = [(error["path"], error["extensions"]["code"]) for error in reply.errors]
    assert told == [(["late"], "TIMEOUT"), (["never"], "TIMEOUT")]
    tasks = (await world.run("{ tasks { nodes { title } } }", ada)).good["tasks"]["nodes"]
    titles = {task["title"] for task in tasks}
    assert "Made" in titles
    assert "Never" not in titles
