"""Integrations through the API: whose they are, what is refused, and what is never shown."""

from __future__ import annotations

from typing import Any

import pytest

from tests.accounts import Person
from tests.factories import Reply, World, gid

FIELDS = "id connector settings status lastSyncAt failureReason version project { id }"
CONNECT = f"""mutation ($input: IntegrationCreateInput!) {{
  integrationCreate(input: $input) {{
    integration {{ {FIELDS} }} errors {{ code path message }} replayed
  }}
}}"""
UPDATE = f"""mutation ($input: IntegrationUpdateInput!) {{
  integrationUpdate(input: $input) {{
    integration {{ {FIELDS} }} errors {{ code path message }}
  }}
}}"""
LIST = "{ integrations { totalCount nodes { id connector project { name } } } }"
SECRET = "ghp_never-to-be-seen"
HOOK = "https://hooks.example.com/services/T1/B1/never-to-be-seen"
GITHUB = {"github": {"repository": "octocat/garden"}, "credentials": SECRET}
SLACK: dict[str, Any] = {"slack": {}, "credentials": HOOK}


@pytest.fixture
async def ada(world: World) -> Person:
    return await world.house.person()


async def connect(world: World, person: Person, project: Any, **given: Any) -> Reply:
    return await world.run(CONNECT, person, input={"projectId": gid(project), **given})


def failure(reply: Reply) -> tuple[str, list[str]]:
    assert not reply.errors, reply.errors
    (error,) = reply.user_errors
    return error["code"], error["path"]


async def test_an_integration_shows_its_settings_and_no_credentials(
    world: World, ada: Person
) -> None:
    project = await world.project(ada)
    for given in (GITHUB, SLACK):
        reply = await connect(world, ada, project, **given)
        made = reply.good["integrationCreate"]["integration"]
        assert (made["status"], made["lastSyncAt"], made["version"]) == ("ACTIVE", None, 1)
        assert made["project"]["id"] == gid(project)
    assert made["settings"] == {"events": ["TASK_CREATED", "TASK_COMPLETED", "COMMENT_CREATED"]}
    events = """{ activity { nodes { kind summary changes {
      field ... on TextChange { oldText newText } ... on ListChange { added removed }
      ... on JSONChange { oldValue newValue } } } } }"""
    for query in (LIST, events):
        reply = await world.run(query, ada)
        assert reply.good
        assert b"never-to-be-seen" not in reply.body
    with world.heard() as statements:
        assert (await world.run(LIST, ada)).good["integrations"]["totalCount"] == 2
    assert len(statements) <= 3


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"credentials": "x"}, ["input", "github"]),
        ({**GITHUB, "slack": {}}, ["input", "slack"]),
        ({"github": {"repository": "garden"}}, ["input", "github", "repository"]),
        ({"github": {"repository": "a/../b"}}, ["input", "github", "repository"]),
        (
            {"github": {"repository": "a/b", "baseUrl": "http://169.254.169.254/x"}},
            ["input", "github", "baseUrl"],
        ),
        ({"slack": {}, "credentials": "http://localhost:6379/"}, ["input", "credentials"]),
        ({"slack": {"events": []}}, ["input", "slack", "events"]),
        ({"slack": {"events": ["SESSION_CREATED"]}}, ["input", "slack", "events", "0"]),
        ({"slack": {"events": ["TASK_SHARE_CREATED"]}}, ["input", "slack", "events", "0"]),
        ({"github": {"repository": "a/b"}, "credentials": "a\r\nb: c"}, ["input", "credentials"]),
    ],
)
async def test_what_cannot_work_is_refused_at_once(
    world: World, ada: Person, given: dict[str, Any], path: list[str]
) -> None:
    project = await world.project(ada)
    reply = await connect(world, ada, project, **{"credentials": HOOK, **given})
    code, found = failure(reply)
    assert (code, [str(part) for part in found]) == ("BAD_USER_INPUT", path)


async def test_a_repository_is_connected_once_with_a_project(world: World, ada: Person) -> None:
    project, other = await world.project(ada), await world.project(ada)
    assert (await connect(world, ada, project, **GITHUB)).good
    again = await connect(world, ada, project, **GITHUB)
    assert failure(again) == ("ALREADY_EXISTS", ["input", "github", "repository"])
    assert (await connect(world, ada, other, **GITHUB)).good


async def test_credentials_change_without_being_shown(world: World, ada: Person) -> None:
    project = await world.project(ada)
    made = (await connect(world, ada, project, **GITHUB)).good["integrationCreate"]["integration"]
    changed = {"id": made["id"], "credentials": f"{SECRET}-2", "ifVersion": 1}
    reply = await world.run(UPDATE, ada, input=changed)
    assert reply.good["integrationUpdate"]["integration"]["version"] == 2
    assert SECRET.encode() not in reply.body
    assert failure(await world.run(UPDATE, ada, input=changed))[0] == "CONFLICT"
    other = {"id": made["id"], "github": {"repository": "octocat/other"}}
    reply = await world.run(UPDATE, ada, input=other)
    assert failure(reply) == ("BAD_USER_INPUT", ["input", "github", "repository"])
