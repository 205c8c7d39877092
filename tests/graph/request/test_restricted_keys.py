"""API keys of some projects: what they see, change and hear of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import select

from db import models
from tests.factories import World, gid
from tests.graph.request.api_keys import ask, key_of

MOVE = """
mutation ($id: ID!, $p: ID) {
  taskMove(input: {id: $id, projectId: $p}) { task { id } errors { code } } }
"""

# What of changes has names or IDs in it.
CHANGED = """
fragment Changed on Event {
  changes {
    field
    ... on TextChange { oldText newText }
    ... on NodeChange { oldId newId oldNode { id } newNode { id } }
  }
}"""


async def test_a_restricted_key_sees_its_projects_and_nothing_else(world: World) -> None:
    ada, bob = await world.people(2)
    inside = await world.project(ada, name="Inside", editors=[bob])
    outside = await world.project(ada, name="Outside")
    here = await world.task(ada, "here", project_id=inside.id, assignee_id=bob.id)
    there = await world.task(ada, "there", project_id=outside.id)
    personal = await world.task(ada, "personal")
    key = await key_of(world, ada, "read", "write", projectIds=[gid(inside)])
    everything = """
    { projects { nodes { name } totalCount }
      tasks { nodes { title assignee { username } project { name } } totalCount }
      taskStats { total }
      search(query: "here there personal Inside Outside") { totalCount }
      viewer { activity { nodes { project { name } } } } }
    """
    seen = (await ask(world, key, everything)).good
    assert [row["name"] for row in seen["projects"]["nodes"]] == ["Inside"]
    assert seen["projects"]["totalCount"] == 1
    (task,) = seen["tasks"]["nodes"]
    assert task == {
        "title": "here", "assignee": {"username": bob.username}, "project": {"name": "Inside"}
    }  # fmt: skip
    assert seen["taskStats"]["total"] == 1
    assert {row["project"]["name"] for row in seen["viewer"]["activity"]["nodes"]} <= {"Inside"}
    one = "query ($id: ID!) { task(id: $id) { id } }"
    assert (await ask(world, key, one, id=gid(here))).good["task"]
    for hidden in (there, personal):
        assert (await ask(world, key, one, id=gid(hidden))).codes == ["NOT_FOUND"]


async def test_statistics_kept_for_a_person_are_not_those_of_a_restricted_key(world: World) -> None:
    ada = await world.person()
    inside = await world.project(ada)
    await world.task(ada, project_id=inside.id)
    await world.task(ada, "personal")
    key = await key_of(world, ada, "tasks:read", projectIds=[gid(inside)])
    asked = "{ taskStats { total } }"
    # Each after the other's answer was kept.
    for _ in range(2):
        assert (await world.post(asked, ada)).good["taskStats"]["total"] == 2
        assert (await ask(world, key, asked)).good["taskStats"]["total"] == 1


async def test_a_restricted_key_changes_nothing_else(world: World) -> None:
    ada = await world.person()
    inside, outside = await world.project(ada), await world.project(ada)
    here = await world.task(ada, project_id=inside.id)
    there = await world.task(ada, project_id=outside.id)
    key = await key_of(world, ada, "write", projectIds=[gid(inside)])

    async def codes(mutation: str, **values: Any) -> list[str]:
        type_ = mutation[0].upper() + mutation[1:] + "Input"
        text = (
            f"mutation ($input: {type_}!) {{ {mutation}(input: $input) {{ errors {{ code }} }} }}"
        )
        return (await ask(world, key, text, input=values)).codes

    assert await codes("taskUpdate", id=gid(here), title="x") == []
    assert await codes("taskCreate", title="x", projectId=gid(inside)) == []
    assert await codes("taskUpdate", id=gid(there), title="x") == ["NOT_FOUND"]
    assert await codes("taskCreate", title="x", projectId=gid(outside)) == ["NOT_FOUND"]
    assert await codes("taskCreate", title="x") == ["FORBIDDEN"]
    assert await codes("taskMove", id=gid(here), projectId=gid(outside)) == ["NOT_FOUND"]
    assert await codes("taskMove", id=gid(here), projectId=None) == ["FORBIDDEN"]
    assert await codes("projectCreate", name="x") == ["FORBIDDEN"]
    assert await codes("taskBulkCreate", items=[{"title": "x"}]) == ["FORBIDDEN"]


async def test_a_restricted_key_hears_of_its_projects_only(world: World) -> None:
    ada = await world.person()
    inside, outside = await world.project(ada), await world.project(ada)
    since = (await world.post("{ eventCursor }", ada)).good["eventCursor"]
    await world.task(ada, "there", project_id=outside.id)
    await world.task(ada, "here", project_id=inside.id)
    key = await key_of(world, ada, "events:read", "tasks:read", projectIds=[gid(inside)])
    text = """
    query ($since: String!) { events(after: $since) { nodes {
      kind subject { ... on Task { title } } } } }
    """
    nodes = (await ask(world, key, text, since=since)).good["events"]["nodes"]
    assert [node["subject"]["title"] for node in nodes] == ["here"]


async def test_the_history_of_a_task_leaves_a_restricted_key_with_the_task(world: World) -> None:
    ada = await world.person()
    inside, outside = await world.project(ada), await world.project(ada)
    since = (await world.post("{ eventCursor }", ada)).good["eventCursor"]
    moved = await world.task(ada, "secret plan", project_id=inside.id)
    stays = await world.task(ada, "other plan", project_id=inside.id)
    update = """
    mutation ($id: ID!, $t: String!) {
      taskUpdate(input: {id: $id, title: $t}) { task { id } errors { code } } }
    """
    await world.post(update, ada, id=gid(moved), t="secret plan B")
    key = await key_of(world, ada, "read", "write", projectIds=[gid(inside)])
    everything = """
    query ($since: String!, $id: ID!) {
      events(after: $since) { nodes { kind summary subjectId ...Changed } }
      viewer {
        activity { nodes { kind summary subjectId ...Changed } totalCount }
        activityStats { total }
      }
      task(id: $id) { activity { nodes { kind } } } }
    """
    everything += CHANGED
    before = await ask(world, key, everything, since=since, id=gid(stays))
    assert before.good["viewer"]["activityStats"]["total"] == 4
    assert "secret plan" in before.body.decode()
    assert (await world.post(MOVE, ada, id=gid(moved), p=gid(outside))).good
    after = await ask(world, key, everything, since=since, id=gid(stays))
    viewer = after.good["viewer"]
    assert viewer["activityStats"]["total"] == viewer["activity"]["totalCount"] == 3
    assert "secret plan" not in after.body.decode()
    # All that is left is the project's own event, by which programs learn that the task went.
    for part in (after.good["events"], viewer["activity"]):
        nodes = part["nodes"]
        kinds = [node["kind"] for node in nodes if node["subjectId"] == gid(moved)]
        assert kinds == ["TASK_MOVED"]
        assert gid(outside) not in str(nodes)
    event = "query ($id: ID!) { node(id: $id) { ... on Event { summary } } }"
    async with world.database.session() as session:
        past = await session.scalars(select(models.Event).where(models.Event.task_id == moved.id))
        for one in past.all():
            assert (await ask(world, key, event, id=gid(one))).codes == ["NOT_FOUND"]
    # Nor does a stream that begins in the past tell of it.
    program = replace(ada, grant=replace(ada.grant, access_token=key))
    text = """subscription ($a: String) {
      taskEvents(after: $a, filter: {kind: {in: [TASK_CREATED]}}) { summary } }"""
    first = await world.first_delivery(text, program, a=since)
    assert "other plan" in first.good["taskEvents"]["summary"]


async def test_the_history_of_time_leaves_a_restricted_key_with_the_entry(world: World) -> None:
    ada = await world.person()
    inside, outside = await world.project(ada), await world.project(ada)
    create = """
    mutation ($p: ID!) { timeEntryCreate(input: {projectId: $p, description: "secret hours",
      time: {start: {startedAt: "2026-01-05T08:00:00Z", duration: 60}}}) {
        timeEntry { id } errors { code } } }
    """
    made = await world.post(create, ada, p=gid(inside))
    entry = made.good["timeEntryCreate"]["timeEntry"]["id"]
    key = await key_of(world, ada, "read", projectIds=[gid(inside)])
    asked = "{ viewer { activity { nodes { ...Changed subjectId } } } }" + CHANGED
    assert entry in (await ask(world, key, asked)).body.decode()
    move = """
    mutation ($id: ID!, $p: ID) {
      timeEntryUpdate(input: {id: $id, projectId: $p}) { errors { code } } }
    """
    assert (await world.post(move, ada, id=entry, p=gid(outside))).good
    assert entry not in (await ask(world, key, asked)).body.decode()


async def test_statistics_follow_a_task_that_leaves_a_restricted_key(world: World) -> None:
    ada = await world.person()
    inside, outside = await world.project(ada), await world.project(ada)
    task = await world.task(ada, project_id=inside.id)
    key = await key_of(world, ada, "tasks:read", projectIds=[gid(inside)])
    asked = "{ taskStats { total } }"
    for _ in range(2):
        assert (await ask(world, key, asked)).good["taskStats"]["total"] == 1
    assert (await world.post(MOVE, ada, id=gid(task), p=gid(outside))).good
    assert (await ask(world, key, asked)).good["taskStats"]["total"] == 0
