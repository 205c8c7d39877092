"""Integrations through the API: whose they are, what is refused, and what is never shown."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from db import models
from domain.integrations.integration import ASSIGNEE
from graph.core import ids
from tests.accounts import Person
from tests.factories import Reply, World, fresh_id, gid, missing

SETTINGS = """settings {
  ... on GitHubSettings { repository baseUrl hasComments assignees { login user { id } } }
  ... on SlackSettings { events }
}"""
FIELDS = f"id connector {SETTINGS} status lastSyncAt failureReason version project {{ id }}"
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
LIST = (
    f"{{ viewer {{ integrations {{ totalCount nodes {{ id {SETTINGS} project {{ name }} }} }} }} }}"
)
SECRET = "ghp_never-to-be-seen"
HOOK = "https://hooks.example.com/services/T1/B1/never-to-be-seen"


def github(**values: Any) -> dict[str, Any]:
    return {"config": {"github": {"repository": "octocat/garden", "token": SECRET, **values}}}


def slack(**values: Any) -> dict[str, Any]:
    return {"config": {"slack": {"webhookUrl": HOOK, **values}}}


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
    ben = await world.person()
    shown = []
    assignees = [{"login": "octoben", "userId": gid(ben)}]
    for given in (github(assignees=assignees), slack()):
        reply = await connect(world, ada, project, **given)
        made = reply.good["integrationCreate"]["integration"]
        assert (made["status"], made["lastSyncAt"], made["version"]) == ("ACTIVE", None, 1)
        assert made["project"]["id"] == gid(project)
        shown.append(made["settings"])
    assert shown[0] == {
        "repository": "octocat/garden",
        "baseUrl": None,
        "hasComments": True,
        "assignees": [{"login": "octoben", "user": {"id": gid(ben)}}],
    }
    assert shown[1] == {"events": ["TASK_CREATED", "TASK_COMPLETED", "COMMENT_CREATED"]}
    events = """{ viewer { activity { nodes { kind summary changes {
      field ... on TextChange { oldText newText } ... on ListChange { added removed }
      ... on JSONChange { oldValue newValue } } } } } }"""
    for query in (LIST, events):
        reply = await world.run(query, ada)
        assert reply.good
        assert b"never-to-be-seen" not in reply.body
    with world.heard() as statements:
        assert (await world.run(LIST, ada)).good["viewer"]["integrations"]["totalCount"] == 2
    # The list, its count, the projects and the users.
    assert len(statements) <= 4


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (github(repository="garden"), "github.repository"),
        (github(repository="a/../b"), "github.repository"),
        (github(baseUrl="http://169.254.169.254/x"), "github.baseUrl"),
        (github(baseUrl="https://github.example.com/api?x"), "github.baseUrl"),
        (github(token="a\r\nb: c"), "github.token"),
        (github(token=""), "github.token"),
        (github(assignees=[{"login": "octocat", "userId": "ada"}]), "github.assignees.0.userId"),
        (slack(webhookUrl="http://localhost:6379/"), "slack.webhookUrl"),
        (slack(events=[]), "slack.events"),
        (slack(events=["SESSION_CREATED"]), "slack.events.0"),
        (slack(events=["TASK_SHARE_CREATED"]), "slack.events.0"),
    ],
)
async def test_what_cannot_work_is_refused_at_once(
    world: World, ada: Person, given: dict[str, Any], path: str
) -> None:
    project = await world.project(ada)
    code, found = failure(await connect(world, ada, project, **given))
    assert (code, ".".join(found)) == ("BAD_USER_INPUT", f"input.config.{path}")


@pytest.mark.parametrize(
    "config", [{}, {**github()["config"], **slack()["config"]}, {"slack": None}]
)
async def test_a_configuration_is_of_exactly_one_service(
    world: World, ada: Person, config: dict[str, Any]
) -> None:
    project = await world.project(ada)
    assert (await connect(world, ada, project, config=config)).errors


async def test_assignees_are_users_whom_one_sees(world: World, ada: Person) -> None:
    project, ben = await world.project(ada), await world.person()
    nobody = missing(gid(ben))
    pairs = [{"login": f"octo{n}", "userId": id_} for n, id_ in enumerate([gid(ben), nobody])]
    reply = await connect(world, ada, project, **github(assignees=pairs))
    path = ["input", "config", "github", "assignees"]
    assert failure(reply) == ("NOT_FOUND", [*path, "1", "userId"])
    by_name = [{"login": "octoben", "userId": f"@{ben.username}"}]
    named = await connect(world, ada, project, **github(assignees=by_name))
    made = named.good["integrationCreate"]["integration"]
    assert made["settings"]["assignees"] == [{"login": "octoben", "user": {"id": gid(ben)}}]
    pairs = [{"login": "a b", "userId": gid(ben)}]
    reply = await connect(world, ada, project, **github(assignees=pairs))
    assert failure(reply) == ("BAD_USER_INPUT", [*path, "0", "login"])


async def test_a_repository_is_connected_once_with_a_project(world: World, ada: Person) -> None:
    project, other = await world.project(ada), await world.project(ada)
    assert (await connect(world, ada, project, **github())).good
    again = await connect(world, ada, project, **github())
    assert failure(again) == ("ALREADY_EXISTS", ["input", "config", "github", "repository"])
    assert (await connect(world, ada, other, **github())).good


async def test_credentials_change_without_being_shown(world: World, ada: Person) -> None:
    project = await world.project(ada)
    made = (await connect(world, ada, project, **github())).good["integrationCreate"]["integration"]
    changed = {"id": made["id"], "config": {"github": {"token": f"{SECRET}-2"}}, "ifVersion": 1}
    reply = await world.run(UPDATE, ada, input=changed)
    integration = reply.good["integrationUpdate"]["integration"]
    assert (integration["version"], integration["settings"]) == (2, made["settings"])
    assert SECRET.encode() not in reply.body
    assert failure(await world.run(UPDATE, ada, input=changed))[0] == "CONFLICT"


async def test_what_a_change_leaves_out_stays(world: World, ada: Person) -> None:
    project, ben = await world.project(ada), await world.person()
    pairs = [{"login": "octoben", "userId": gid(ben)}]
    repository, channel = [
        (await connect(world, ada, project, **given)).good["integrationCreate"]["integration"]
        for given in (github(assignees=pairs, hasComments=False), slack(events=["TASK_UPDATED"]))
    ]

    async def changed(integration: Any, **values: Any) -> Any:
        reply = await world.run(UPDATE, ada, input={"id": integration["id"], **values})
        return reply.good["integrationUpdate"]["integration"]

    now = await changed(repository, config={"github": {"hasComments": True}})
    assert now["settings"] == {**repository["settings"], "hasComments": True}
    now = await changed(repository, config={"github": {"assignees": []}})
    assert now["settings"] == {**repository["settings"], "hasComments": True, "assignees": []}
    now = await changed(channel, config={"slack": {"webhookUrl": f"{HOOK}2"}})
    assert now["settings"] == {"events": ["TASK_UPDATED"]}
    now = await changed(channel, isPaused=True)
    assert (now["status"], now["settings"]) == ("PAUSED", {"events": ["TASK_UPDATED"]})
    assert (await changed(channel, isPaused=False))["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"config": {"github": {"repository": "octocat/other"}}}, "config.github.repository"),
        ({"config": {"github": {"baseUrl": "https://example.com/"}}}, "config.github.baseUrl"),
        ({"config": {"github": {"token": None}}}, "config.github.token"),
        ({"config": {"github": {"assignees": None}}}, "config.github.assignees"),
        ({"config": {"slack": {"events": ["TASK_CREATED"]}}}, "config.slack"),
        ({"config": None}, "config"),
        ({"isPaused": None}, "isPaused"),
    ],
)
async def test_what_cannot_be_changed_so_is_refused(
    world: World, ada: Person, given: dict[str, Any], path: str
) -> None:
    project = await world.project(ada)
    made = (await connect(world, ada, project, **github())).good["integrationCreate"]
    reply = await world.run(UPDATE, ada, input={"id": made["integration"]["id"], **given})
    code, found = failure(reply)
    assert (code, ".".join(found)) == ("BAD_USER_INPUT", f"input.{path}")


async def test_an_assignee_who_was_lost_is_a_problem_until_there_are_new_ones(
    world: World, ada: Person
) -> None:
    """Those are left of the time when assignees were usernames; see migration 0028."""
    project = await world.project(ada)
    made = (await connect(world, ada, project, **github())).good["integrationCreate"]
    id_ = made["integration"]["id"]
    link = models.ExternalLink(
        id=fresh_id(),
        integration_id=ids.decode(models.Integration, id_, ()),
        project_id=project.id,
        source="https://api.github.com",
        kind=ASSIGNEE,
        external_id="octocat",
        seen={},
        problem="There is no user nobody.",
        problem_at=dt.datetime.now(dt.UTC),
    )
    await world.rows(link)

    async def problems() -> Any:
        query = """query ($id: ID!) { integration(id: $id) {
          problems { nodes { failureReason externalUrl retryAt task { id } } }
        } }"""
        return (await world.run(query, ada, id=id_)).good["integration"]["problems"]["nodes"]

    sync = "mutation ($i: IntegrationSyncInput!) { integrationSync(input: $i) { errors { code } } }"
    assert (await world.run(sync, ada, i={"id": id_})).good
    shown = {"failureReason": link.problem, "externalUrl": None, "retryAt": None, "task": None}
    assert await problems() == [shown]
    for config, found in (({"hasComments": False}, [shown]), ({"assignees": []}, [])):
        changed = {"id": id_, "config": {"github": config}}
        assert (await world.run(UPDATE, ada, input=changed)).good
        assert await problems() == found
