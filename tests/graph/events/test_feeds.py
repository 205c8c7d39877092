"""Feeds of a project and of one's own, what acted, and what events are about."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest

from domain.accounts import api_key
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, gid

FEED = """
query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $filter: EventFilter) {
  project(id: $id) {
    activity(first: $first, after: $after, last: $last, before: $before, filter: $filter) {
      nodes { id kind cursor } edges { cursor } totalCount
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
    oldest: activity(orderBy: [{ at: ASC }]) { nodes { id } }
  }
}
"""


async def _feed(world: World, person: Person, engine: Engine, **variables: Any) -> Any:
    return (await world.run(FEED, person, engine=engine, **variables)).good["project"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_project_tells_what_everyone_did_in_it(world: World, engine: Engine) -> None:
    ada, ben, eve = await world.people(3)
    project = await world.project(ada, editors=[ben])
    tasks = [await world.task(ben, f"task {n}", project_id=project.id) for n in range(5)]
    await world.task(ada, "elsewhere")
    feed = await _feed(world, ada, engine, id=gid(project))
    kinds = [node["kind"] for node in feed["activity"]["nodes"]]
    assert kinds[:5] == ["TASK_CREATED"] * 5
    assert kinds[-1] == "PROJECT_CREATED"
    ids = [node["id"] for node in feed["activity"]["nodes"]]
    assert feed["activity"]["totalCount"] == len(ids)
    assert [node["id"] for node in feed["oldest"]["nodes"]] == ids[::-1]
    # In pages, forward and backward.
    for size, towards, place, info, more in (
        ("first", "after", "endCursor", "hasNextPage", True),
        ("last", "before", "startCursor", "hasPreviousPage", False),
    ):
        seen: list[str] = []
        cursor, there_is_more = None, True
        while there_is_more:
            page = (await _feed(world, ada, engine, id=gid(project), **{size: 2, towards: cursor}))[
                "activity"
            ]
            found = [node["id"] for node in page["nodes"]]
            assert [edge["cursor"] for edge in page["edges"]] == [
                node["cursor"] for node in page["nodes"]
            ]
            seen = seen + found if more else found + seen
            cursor, there_is_more = page["pageInfo"][place], page["pageInfo"][info]
        assert seen == ids
    only = {"task": {"id": {"eq": gid(tasks[2])}}}
    page = (await _feed(world, ada, engine, id=gid(project), filter=only))["activity"]
    assert (len(page["nodes"]), page["totalCount"]) == (1, 1)
    hidden = await world.run(FEED, eve, engine=engine, id=gid(project))
    assert "NOT_FOUND" in hidden.codes


async def test_a_cursor_of_a_feed_goes_on_everywhere(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    await world.tasks(ada, ["a", "b", "c"], project_id=project.id)
    feed = await _feed(world, ada, "batch", id=gid(project), first=3)
    *_, third = feed["activity"]["nodes"]
    later = [node["id"] for node in reversed(feed["activity"]["nodes"][:2])]
    poll = "query ($c: String) { events(after: $c) { nodes { id } totalCount } }"
    page = (await world.run(poll, ada, c=third["cursor"])).good["events"]
    assert [node["id"] for node in page["nodes"]] == later
    listen = "subscription ($c: String) { taskEvents(after: $c) { id } }"
    async with aclosing(world.deliveries(listen, ada, c=third["cursor"])) as replies:
        assert [(await anext(replies)).good["taskEvents"]["id"] for _ in later] == later


@pytest.mark.parametrize("engine", ENGINES)
async def test_an_event_says_what_caused_it(world: World, engine: Engine) -> None:
    ada, ben = await world.people(2)
    admin = await world.person(is_admin=True)
    project = await world.project(ada, editors=[ben])
    made = await world.house.do(ada.viewer, api_key.create, name="CI", scopes=["read", "write"])
    key = await world.services.authenticator.viewer(f"Bearer {made.key.text}")
    create = """mutation ($p: ID!) {
      taskCreate(input: { title: "by key", projectId: $p }) { task { id } errors { code } }
    }"""
    task = (await world.run(create, key, p=gid(project))).good["taskCreate"]["task"]["id"]
    asked = """query ($id: ID!) { task(id: $id) { activity { nodes {
      via session { id } apiKey { id name } integration { id } } } } }"""
    by_key = {"via": "API_KEY", "session": None, "integration": None}
    for person, shown in ((ada, {"name": "CI"}), (ben, None)):
        reply = await world.run(asked, person, engine=engine, id=task)
        (event,) = reply.good["task"]["activity"]["nodes"]
        named = event.pop("apiKey")
        assert (named and {"name": named["name"]}) == shown
        assert {**event} == by_key
    audit = """query ($id: ID!) { adminAuditLog(filter: { task: { id: { eq: $id } } }) { nodes {
      via apiKey { name } } } }"""
    (event,) = (await world.run(audit, admin, engine=engine, id=task)).good["adminAuditLog"][
        "nodes"
    ]
    assert event == {"via": "API_KEY", "apiKey": {"name": "CI"}}
    # Through sessions, which an administrator sees too.
    sessions = """query ($a: ID!) { adminAuditLog(filter: {
      subjectType: [SESSION], actor: { id: { eq: $a } } }) { nodes { via session { id } } } }"""
    found = (await world.run(sessions, admin, engine=engine, a=gid(ada))).good["adminAuditLog"]
    assert all(node["via"] in {"SESSION", "SYSTEM"} for node in found["nodes"])


@pytest.mark.parametrize("engine", ENGINES)
async def test_everything_that_changed_is_shown(world: World, engine: Engine) -> None:
    ada = await world.person()
    await world.house.do(ada.viewer, api_key.create, name="CI", scopes=["read"])
    make = """mutation {
      webhookCreate(input: { url: "https://example.com/hook" }) { errors { code } }
    }"""
    assert (await world.run(make, ada)).good
    asked = """{ viewer { activity { nodes { kind subjectId subject {
      __typename ... on ApiKey { id } ... on Webhook { id } ... on Session { id }
      ... on User { id } } } } } }"""
    nodes = (await world.run(asked, ada, engine=engine)).good["viewer"]["activity"]["nodes"]
    subjects = {node["kind"]: node["subject"] for node in nodes}
    assert subjects["API_KEY_CREATED"]["__typename"] == "ApiKey"
    assert subjects["WEBHOOK_CREATED"]["__typename"] == "Webhook"
    for node in nodes:
        if node["subject"] is not None:
            assert node["subject"]["id"] == node["subjectId"]
    # A key without the noun's scope sees that it happened only if it may read such events.
    made = await world.house.do(
        ada.viewer, api_key.create, name="events", scopes=["events:read", "webhooks:read"]
    )
    key = await world.services.authenticator.viewer(f"Bearer {made.key.text}")
    of_key = """{ viewer { activity { nodes {
      kind subject { __typename ... on Webhook { id } } } } } }"""
    nodes = (await world.run(of_key, key, engine=engine)).good["viewer"]["activity"]["nodes"]
    assert {node["kind"] for node in nodes} == {"WEBHOOK_CREATED"}
    assert [node["subject"]["__typename"] for node in nodes] == ["Webhook"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_changes_have_the_types_of_their_fields(world: World, engine: Engine) -> None:
    ada, ben = await world.people(2)
    project = await world.project(ada, editors=[ben])
    parent, task = await world.tasks(ada, ["parent", "task"], project_id=project.id)
    update = "mutation ($i: TaskUpdateInput!) { taskUpdate(input: $i) { errors { code } } }"
    given = {
        "id": gid(task),
        "title": "new",
        "priority": "HIGH",
        "tags": ["b", "c"],
        "startAt": "2026-12-01T08:00:00Z",
        "assigneeId": gid(ben),
        "parentId": gid(parent),
    }
    first = {"id": gid(task), "tags": ["a", "b"]}
    for values in (first, given):
        assert (await world.run(update, ada, i=values)).good["taskUpdate"]["errors"] == []
    asked = """query ($id: ID!) { task(id: $id) { activity(first: 1) { nodes { changes {
      __typename field
      ... on TextChange { oldText newText }
      ... on DateTimeChange { oldTime newTime }
      ... on ListChange { added removed }
      ... on NodeChange { oldId newId oldNode { id } newNode {
        ... on User { username } ... on Task { title } } }
    } } } } }"""
    (event,) = (await world.run(asked, ada, engine=engine, id=gid(task))).good["task"]["activity"][
        "nodes"
    ]
    changes = {change.pop("field"): change for change in event["changes"]}
    assert changes == {
        "title": {"__typename": "TextChange", "oldText": "task", "newText": "new"},
        "priority": {"__typename": "TextChange", "oldText": "NONE", "newText": "HIGH"},
        "tags": {"__typename": "ListChange", "added": ["c"], "removed": ["a"]},
        "startAt": {
            "__typename": "DateTimeChange",
            "oldTime": None,
            "newTime": "2026-12-01T08:00:00Z",
        },
        "assignee": {
            "__typename": "NodeChange",
            "oldId": None,
            "newId": gid(ben),
            "oldNode": None,
            "newNode": {"username": ben.username},
        },
        "parent": {
            "__typename": "NodeChange",
            "oldId": None,
            "newId": gid(parent),
            "oldNode": None,
            "newNode": {"title": "parent"},
        },
    }
