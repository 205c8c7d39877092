"""Whatever a client sends, it gets a clear answer, and nothing is half done."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_asyncio

from tests.accounts import Person
from tests.factories import Reply, World, fresh_id, gid

CREATE = """
mutation ($input: TaskCreateInput!) {
  taskCreate(input: $input) { task { id } errors { code path message } }
}
"""
UPDATE = """
mutation ($input: TaskUpdateInput!) {
  taskUpdate(input: $input) { task { id } errors { code path message } }
}
"""


@pytest_asyncio.fixture(scope="module")
async def person(world: World) -> Person:
    return await world.person()


# Values that fit the type and break a rule: (field, value, path of the error).
BROKEN: list[tuple[str, Any, list[str]]] = [
    ("title", "", ["title"]),
    ("title", " \u00a0\n", ["title"]),
    ("title", "x" * 201, ["title"]),
    ("title", "a\x00b", ["title"]),
    ("title", "a\x1b[31m", ["title"]),
    ("title", "two\nlines", ["title"]),
    ("description", "x" * 10_001, ["description"]),
    ("description", "a\x07", ["description"]),
    ("notes", "x" * 501, ["notes"]),
    ("tags", [""], ["tags", "0"]),
    ("tags", ["fine", "x" * 51], ["tags", "1"]),
    ("tags", ["a\x00"], ["tags", "0"]),
    ("tags", [str(number) for number in range(21)], ["tags"]),
    ("estimate", -1, ["estimate"]),
    ("estimate", 2**31 - 1, ["estimate"]),
    ("due", {"at": "1899-12-31T23:59:59Z"}, ["due", "at"]),
    ("due", {"at": "9999-12-31T23:59:59Z"}, ["due", "at"]),
    ("due", {"on": "0001-01-01"}, ["due", "on"]),
    ("due", {"on": "9999-12-31"}, ["due", "on"]),
    ("startAt", "2200-01-01T00:00:00Z", ["startAt"]),
    ("projectId", "", ["projectId"]),
    ("projectId", "no-id", ["projectId"]),
    ("projectId", "project_123", ["projectId"]),
    ("projectId", "PROJECT_" + "0" * 32, ["projectId"]),
    ("projectId", "task_" + "0" * 32, ["projectId"]),
    ("projectId", "planet_" + "0" * 32, ["projectId"]),
    ("projectId", "x" * 10_000, ["projectId"]),
    ("assigneeId", "task_" + "0" * 32, ["assigneeId"]),
    ("parentId", "user_" + "0" * 32, ["parentId"]),
    ("id", "task_" + "0" * 32, ["id"]),
]


def short(value: Any) -> str:
    return repr(value)[:30]


@pytest.mark.parametrize(("field", "value", "path"), BROKEN, ids=short)
async def test_a_broken_rule_is_an_error_of_the_payload(
    world: World, person: Person, field: str, value: Any, path: list[str]
) -> None:
    reply = await world.post(CREATE, person, input={"title": "x", field: value})
    payload = reply.data["taskCreate"]
    assert payload["task"] is None
    (error,) = payload["errors"]
    assert error["code"] == "BAD_USER_INPUT"
    assert error["path"] == ["input", *path]
    assert reply.status == 200
    assert "\x1b" not in error["message"]


# Inputs that do not fit the type.
MISFITS: list[Any] = [
    None,
    1,
    "x",
    [],
    {},
    {"title": None},
    {"title": 1},
    {"title": ["x"]},
    {"title": {"x": 1}},
    {"title": "x", "surplus": 1},
    {"title": "x", "tags": "x", "tagz": 1},
    {"title": "x", "tags": [None]},
    {"title": "x", "tags": [["x"]]},
    {"title": "x", "status": "NOPE"},
    {"title": "x", "status": 10},
    {"title": "x", "priority": True},
    {"title": "x", "estimate": 2**53},
    {"title": "x", "estimate": 1.5},
    {"title": "x", "estimate": "5"},
    {"title": "x", "estimate": 10**40},
    {"title": "x", "due": {"at": "soon"}},
    {"title": "x", "due": {"at": "2030-01-01"}},
    {"title": "x", "due": {"at": "2030-01-01T00:00:00"}},
    {"title": "x", "due": {"at": "2030-13-01T00:00:00Z"}},
    {"title": "x", "due": {"at": "0001-01-01T00:00:00+14:00"}},
    {"title": "x", "due": {"at": "9999-12-31T23:59:59-14:00"}},
    {"title": "x", "due": {"at": 1_900_000_000}},
    {"title": "x", "due": {"on": "2030-02-30"}},
    {"title": "x", "due": {"on": "20300101"}},
    {"title": "x", "id": True},
    {"title": "x", "id": 1.5},
    {"title": "x", "projectId": {"id": "x"}},
]


@pytest.mark.parametrize("value", MISFITS, ids=short)
async def test_what_does_not_fit_the_type_is_the_clients_error(
    world: World, person: Person, value: Any
) -> None:
    # The standard library writes numbers of any size, orjson does not.
    content = json.dumps({"query": CREATE, "variables": {"input": value}}).encode()
    reply = await raw(world, person, content)
    assert reply.codes
    assert set(reply.codes) <= {"BAD_USER_INPUT", "BAD_REQUEST", "GRAPHQL_VALIDATION_FAILED"}
    assert not reply.data
    told = reply.body.decode()
    for inside in ("Traceback", "asyncpg", "sqlalchemy", "Python", "None", "datetime"):
        assert inside not in told


async def raw(world: World, person: Person, content: bytes) -> Reply:
    response = await world.http.post(
        "/graphql",
        content=content,
        headers={"Authorization": person.header, "Content-Type": "application/json"},
    )
    assert response.status_code < 500
    return Reply.of(response.content, response.status_code)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"1",
        b"[]",
        b'"x"',
        b"{",
        b"{}",
        b"\xff\xfe",
        b'{"query": 1}',
        b'{"query": null}',
        b'{"query": "{ viewer { id } }", "variables": 1}',
        b'{"query": "{ viewer { id } }", "variables": []}',
        b'{"query": "{ viewer { id } }", "operationName": 1}',
        b'{"query": "{ viewer { id } }", "extensions": []}',
        b'{"query": "{ viewer { id } }", "variables": {"a": ' + b"9" * 10_000 + b"}}",
        b'{"query": "{ viewer { id } }", "variables": ' + b'{"a":' * 500 + b"1" + b"}" * 501,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"query": "\\ud800"}',
        b'{"query": "{ viewer { id } }", "variables": {"a": "\\ud800"}}',
        b'{"query": "{ user(id: \\"\\\\ud800\\") { id } }"}',
        b'{"query": "{ tasks(first: ' + b"9" * 10_000 + b') { totalCount } }"}',
        b'{"query": "{ tasks(first: 3000000000) { totalCount } }"}',
        b'{"query": "{ tasks(first: -3000000000) { totalCount } }"}',
    ],
    ids=lambda value: value[:40],
)
async def test_bodies_that_are_no_requests(world: World, person: Person, content: bytes) -> None:
    reply = await raw(world, person, content)
    assert reply.codes
    assert "INTERNAL_SERVER_ERROR" not in reply.codes


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ('{ node(id: "x") { id } }', ["BAD_USER_INPUT"]),
        ('{ node(id: "") { id } }', ["BAD_USER_INPUT"]),
        ('{ nodes(ids: ["x"]) { id } }', ["BAD_USER_INPUT"]),
        ("{ nodes(ids: []) { id } }", []),
        (f'{{ node(id: "event_{"0" * 32}") {{ id }} }}', ["NOT_FOUND"]),
        ('{ task(id: "@ada") { id } }', ["BAD_USER_INPUT"]),
        ('{ node(id: "WEB-1") { id } }', ["BAD_USER_INPUT"]),
        ('{ nodes(ids: ["WEB", "@ada"]) { id } }', ["BAD_USER_INPUT", "BAD_USER_INPUT"]),
        ('{ tasks(filter: {id: {eq: "WEB-1"}}) { totalCount } }', ["BAD_USER_INPUT"]),
        ('{ comment(id: "WEB-1") { id } }', ["BAD_USER_INPUT"]),
        ('{ task(id: "WEB") { id } }', ["BAD_USER_INPUT"]),
        ('{ task(id: "WEB-0") { id } }', ["BAD_USER_INPUT"]),
        ('{ task(id: "WEB-99999999999999999999") { id } }', ["BAD_USER_INPUT"]),
        ('{ task(id: "WEB-999999999") { id } }', ["NOT_FOUND"]),
        ('{ task(id: "WEB-\\u0661") { id } }', ["BAD_USER_INPUT"]),
        ('{ project(id: "") { id } }', ["BAD_USER_INPUT"]),
        ('{ project(id: "WEB-1") { id } }', ["BAD_USER_INPUT"]),
        ('{ project(id: "nobody") { id } }', ["NOT_FOUND"]),
        ('{ project(id: "a\\u0000b") { id } }', ["BAD_USER_INPUT"]),
        ('{ user(id: "@a\\u0000b") { id } }', ["BAD_USER_INPUT"]),
        ('{ user(id: "ada") { id } }', ["BAD_USER_INPUT"]),
        ('{ user(id: "@nobody-at-all") { id } }', ["NOT_FOUND"]),
        ('{ users(filter: {search: ""}) { totalCount } }', []),
        ('{ users(filter: {search: "%"}) { totalCount } }', []),
        ('{ users(filter: {search: "a\\u0000b"}) { totalCount } }', ["BAD_USER_INPUT"]),
        ('{ events(after: "x") { nodes { id } } }', ["BAD_USER_INPUT"]),
        ('{ events(after: "\\u0000") { nodes { id } } }', ["BAD_USER_INPUT"]),
    ],
)
async def test_arguments_of_queries(
    world: World, person: Person, query: str, codes: list[str]
) -> None:
    reply = await world.run(query, person)
    assert reply.codes == codes


async def test_a_percent_sign_is_not_everybody(world: World, person: Person) -> None:
    for text in ("%", "_", "\\"):
        reply = await world.run(
            "query ($text: String!) { users(filter: {search: $text}) { totalCount } }",
            person,
            text=text,
        )
        assert reply.good["users"]["totalCount"] == 0


async def test_an_update_of_many_fields_is_done_whole_or_not_at_all(
    world: World, person: Person
) -> None:
    task = await world.task(person, "before")
    for bad in (
        {"tags": ["x" * 51]},
        {"parentId": f"task_{fresh_id().hex}"},
        {"assigneeId": f"user_{fresh_id().hex}"},
        {"due": {"on": "2200-01-01"}},
        {"status": None},
    ):
        given = {"id": gid(task), "title": "after", "priority": "HIGH", **bad}
        reply = await world.run(UPDATE, person, input=given)
        assert len(reply.codes) == 1, bad
        seen = await world.run(
            "query ($id: ID!) { task(id: $id) { title priority version } }", person, id=gid(task)
        )
        assert seen.good["task"] == {"title": "before", "priority": "NONE", "version": 1}
    reply = await world.run('{ tasks(filter: { title: { eq: "after" } }) { totalCount } }', person)
    assert reply.good["tasks"]["totalCount"] == 0


@pytest.mark.parametrize("version", [0, -1, 2, 2**31 - 1])
async def test_versions_that_never_were(world: World, person: Person, version: int) -> None:
    task = await world.task(person)
    given = {"id": gid(task), "title": "x", "ifVersion": version}
    reply = await world.run(UPDATE, person, input=given)
    assert reply.codes == ["CONFLICT"]


async def test_too_many_words_are_counted(world: World, person: Person) -> None:
    query = '{ tasks(filter: { search: "a b c d e f g h i j k" }) { totalCount } }'
    reply = await world.run(query, person)
    (error,) = reply.errors
    assert error["message"] == "The search text must have at most 10 words; it has 11."
