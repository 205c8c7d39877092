"""Who did what, and who may read it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from db.models import TaskStatus, User
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, gid

MINE = """
query ($filter: EventFilter, $first: Int) {
  viewer { activity(filter: $filter, first: $first) {
    totalCount nodes { kind summary actor { username } via session { id } changes { field } }
  } }
}
"""
OF_TASK = """
query ($id: ID!) {
  task(id: $id) { activity { nodes { kind summary actor { username } ip session { id } } } }
}
"""
UPDATE = "mutation ($input: TaskUpdateInput!) { taskUpdate(input: $input) { errors { code } } }"
AUDIT = "query ($filter: EventFilter) { adminAuditLog(filter: $filter) { nodes { kind ip summary task { title } } } }"  # noqa: E501 - one line reads best


async def _update(world: World, person: Person, **values: Any) -> None:
    (await world.run(UPDATE, person, input=values)).good  # noqa: B018


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_task_tells_its_story_in_sentences(world: World, engine: Engine) -> None:
    ada = await world.person(full_name="Ada Lovelace")
    ben = await world.person(full_name="Ben")
    project = await world.project(ada, editors=[ben])
    task = await world.task(ada, "Fit the brakes", project_id=project.id)
    await _update(world, ben, id=gid(task), title="Fit both brakes", notes="soon")
    await _update(world, ada, id=gid(task), assigneeId=gid(ben))
    await _update(world, ben, id=gid(task), status="COMPLETED")
    reply = await world.run(OF_TASK, ada, engine=engine, id=gid(task))
    nodes = reply.good["task"]["activity"]["nodes"]
    assert [node["summary"] for node in nodes] == [
        "Ben completed “Fit both brakes”",
        "Ada Lovelace assigned “Fit both brakes” to Ben",
        "Ben changed the title and notes of “Fit both brakes”",
        "Ada Lovelace created “Fit both brakes”",
    ]
    # One's own address is one's own to see, and nobody else's.
    assert [node["ip"] is not None for node in nodes] == [False, True, False, True]


async def test_a_removal_is_told_from_leaving(world: World) -> None:
    ada = await world.person(full_name="Ada Lovelace")
    ben, cleo = await world.person(full_name="Ben"), await world.person(full_name="Cleo")
    project = await world.project(ada, name="Bicycle", editors=[ben, cleo])
    since = (await world.run("{ eventCursor }", ada)).good["eventCursor"]
    query = "query ($id: ID!) { project(id: $id) { members { nodes { id user { fullName } } } } }"
    members = (await world.run(query, ada, id=gid(project))).good["project"]["members"]["nodes"]
    ids = {member["user"]["fullName"]: member["id"] for member in members}
    remove = """mutation ($id: ID!) {
      projectMemberRemove(input: {id: $id}) { errors { message } }
    }"""
    for person, name in ((ada, "Ben"), (cleo, "Cleo")):
        reply = await world.run(remove, person, id=ids[name])
        assert reply.good["projectMemberRemove"]["errors"] == []
    query = "query ($since: String!) { events(after: $since) { nodes { kind summary } } }"
    nodes = (await world.run(query, ada, since=since)).good["events"]["nodes"]
    assert [node["summary"] for node in nodes if node["kind"] == "PROJECT_MEMBER_REMOVED"] == [
        "Ada Lovelace removed Ben from “Bicycle”",
        "Cleo left “Bicycle”",
    ]


async def test_the_activity_is_ones_own_and_filtered(world: World) -> None:
    ada, ben = await world.people(2)
    project = await world.project(ada, editors=[ben])
    task = await world.task(ada, project_id=project.id)
    await _update(world, ben, id=gid(task), title="other")
    only = {"kind": {"in": ["TASK_CREATED", "TASK_UPDATED"]}}
    reply = await world.run(MINE, ada, filter=only)
    assert [node["kind"] for node in reply.good["viewer"]["activity"]["nodes"]] == ["TASK_CREATED"]
    reply = await world.run(MINE, ben, filter=only)
    (node,) = reply.good["viewer"]["activity"]["nodes"]
    assert node["changes"] == [{"field": "title"}]
    stats = """
    { viewer { activityStats { total byKind { kind count } bySubjectType { subjectType count } } } }
    """
    stats_of = (await world.run(stats, ben)).good["viewer"]["activityStats"]
    assert {"kind": "TASK_UPDATED", "count": 1} in stats_of["byKind"]
    assert {"subjectType": "TASK", "count": 1} in stats_of["bySubjectType"]
    assert stats_of["total"] == sum(bar["count"] for bar in stats_of["byKind"])


async def test_strangers_read_nothing_of_it(world: World) -> None:
    ada, eve = await world.people(2)
    task = await world.task(ada, status=TaskStatus.IN_PROGRESS)
    assert (await world.run(OF_TASK, eve, id=gid(task))).codes == ["NOT_FOUND"]
    kinds = [n["kind"] for n in (await world.run(MINE, eve)).good["viewer"]["activity"]["nodes"]]
    assert "TASK_CREATED" not in kinds
    assert (await world.run(AUDIT, eve)).codes == ["FORBIDDEN"]
    assert (await world.run(AUDIT, None)).codes == ["UNAUTHENTICATED"]


async def test_administrators_read_the_whole_log_but_not_the_things(world: World) -> None:
    ada, admin = await world.person(), await world.person(is_admin=True)
    task = await world.task(ada, "Private matter")
    wanted = {"task": {"id": {"eq": gid(task)}}}
    (entry,) = (await world.run(AUDIT, admin, filter=wanted)).good["adminAuditLog"]["nodes"]
    assert entry["kind"] == "TASK_CREATED"
    assert entry["ip"] is not None
    assert entry["task"] is None
    assert "Private matter" not in entry["summary"]
    # Nor do they find entries by what they cannot see.
    for hidden in (
        {"task": {"title": {"contains": "Private"}}},
        {"task": {"id": {"eq": gid(task)}, "title": {"contains": "Private"}}},
        {"task": {"owner": {"id": {"eq": gid(ada)}}}},
    ):
        assert (await world.run(AUDIT, admin, filter=hidden)).good["adminAuditLog"]["nodes"] == []


@pytest.mark.parametrize("engine", ENGINES)
async def test_nothing_is_read_of_deleted_accounts_that_the_log_still_has(
    world: World, engine: Engine
) -> None:
    """Of a large account, the worker clears the log some time after the deletion."""
    ada, admin = await world.person(), await world.person(is_admin=True)
    rename = 'mutation { accountUpdate(input: { fullName: "Their name" }) { errors { code } } }'
    (await world.run(rename, ada)).good  # noqa: B018
    audit = """{ adminAuditLog(first: 100, filter: { subjectType: [USER] }) {
      nodes { kind subjectId ip changes { field } }
    } }"""

    async def shown() -> list[tuple[str, str | None, Any]]:
        nodes = (await world.run(audit, admin, engine=engine)).good["adminAuditLog"]["nodes"]
        return [
            (node["kind"], node["ip"], node["changes"])
            for node in nodes
            if node["subjectId"] == gid(ada) and node["kind"] == "USER_UPDATED"
        ]

    ((_, address, changes),) = await shown()
    assert address is not None
    assert changes == [{"field": "fullName"}]
    async with world.house.work() as work:
        gone = update(User).where(User.id == ada.id)
        await work.session.execute(gone.values(deleted_at=work.now))
    assert await shown() == [("USER_UPDATED", None, [])]


async def test_the_stories_of_a_page_of_tasks_take_few_statements(world: World) -> None:
    ada = await world.person()
    await world.tasks(ada, [f"task {n}" for n in range(20)])
    query = "{ tasks(first: 20) { nodes { activity(first: 5) { nodes { summary } } } } }"
    reply = await world.run(query, ada)
    assert len(reply.good["tasks"]["nodes"]) == 20
    assert len(reply.statements) <= 5
