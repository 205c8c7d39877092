"""A filter never matches a related object that the viewer cannot see, by id or otherwise.

Each pair is the same filter in two forms: by the id alone, whose visibility is checked once, and
within an `and`, which reads the object for each row. Both must match what the viewer is shown.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.accounts import PASSWORD, Person
from tests.factories import World, gid


async def _count(world: World, person: Person, root: str, type_: str, filter_: Any) -> int:
    query = f"query ($f: {type_}) {{ {root}(filter: $f) {{ totalCount }} }}"
    found: int = (await world.run(query, person, f=filter_)).good[root]["totalCount"]
    return found


def _asked(end: str, id_: str, missing: str) -> list[tuple[Any, Any]]:
    """Pairs of filters by id and by object: eq, in, notIn, notEq, not null, null."""
    conditions: list[Any] = [
        {"id": {"eq": id_}},
        {"id": {"in": [id_, missing]}},
        {"id": {"notIn": [missing]}},
        {"id": {"notEq": missing}},
        {"id": {"isNull": False}},
        {"id": {"isNull": True}},
        {"isNull": False},
        {"isNull": True},
    ]
    return [({end: one}, {end: {"and": [one]}}) for one in conditions]


@pytest.mark.parametrize("sees", [True, False])
async def test_the_relations_of_a_task(world: World, sees: bool) -> None:
    owner, guest = await world.people(2)
    members = [guest] if sees else []
    project = await world.project(owner, viewers=members)
    top = await world.task(owner, project_id=project.id)
    task = await world.task(owner, project_id=project.id, parent_id=top.id)
    await world.share(task, guest)
    other = await world.project(owner)
    only = {"id": {"eq": gid(task)}}
    for end, row, missing in (
        ("project", project, other),
        ("parent", top, task),
        ("owner", owner, guest),
    ):
        for by_id, by_object in _asked(end, gid(row), gid(missing)):
            counts = [
                await _count(world, guest, "tasks", "TaskFilter", {"and": [only, one]})
                for one in (by_id, by_object)
            ]
            assert counts[0] == counts[1], (end, by_id)
            stats = "query ($f: TaskFilter) { taskStats(filter: $f) { total } }"
            total = (await world.run(stats, guest, f={"and": [only, by_id]})).good["taskStats"]
            assert total["total"] == counts[0]
        expected = int(sees or end == "owner")
        found = await _count(
            world, guest, "tasks", "TaskFilter", {"and": [only, {end: {"id": {"eq": gid(row)}}}]}
        )
        assert found == expected, end
        none = {"and": [only, {end: {"isNull": True}}]}
        assert await _count(world, guest, "tasks", "TaskFilter", none) == 1 - expected, end


async def test_a_deleted_owner_does_not_match(world: World) -> None:
    owner, editor = await world.people(2)
    project = await world.project(owner, editors=[editor])
    task = await world.task(editor, project_id=project.id)
    by_id = {"owner": {"id": {"eq": gid(editor)}}}
    assert await _count(world, owner, "tasks", "TaskFilter", by_id) == 1
    leave = "mutation ($input: AccountDeleteInput!) { accountDelete(input: $input) { deletedId } }"
    await world.run(leave, editor, input={"password": PASSWORD, "confirm": True})
    assert await _count(world, owner, "tasks", "TaskFilter", by_id) == 0
    none = {"and": [{"id": {"eq": gid(task)}}, {"owner": {"isNull": True}}]}
    assert await _count(world, owner, "tasks", "TaskFilter", none) == 1


async def test_the_relations_of_a_time_entry(world: World) -> None:
    owner, editor = await world.people(2)
    project = await world.project(owner, editors=[editor])
    task = await world.task(owner, project_id=project.id)
    create = """
    mutation ($input: TimeEntryCreateInput!) {
      timeEntryCreate(input: $input) { errors { code message } }
    }
    """
    entry = {
        "taskId": gid(task),
        "time": {"range": {"startedAt": "2026-01-05T09:00:00Z", "endedAt": "2026-01-05T10:00:00Z"}},
    }
    reply = await world.run(create, editor, input=entry)
    assert reply.good["timeEntryCreate"]["errors"] == []
    filters = [{"task": {"id": {"eq": gid(task)}}}, {"project": {"id": {"eq": gid(project)}}}]
    for one in filters:
        assert await _count(world, editor, "timeEntries", "TimeEntryFilter", one) == 1
    query = "query ($id: ID!) { project(id: $id) { members { nodes { id user { id } } } } }"
    nodes = (await world.run(query, owner, id=gid(project))).good["project"]["members"]["nodes"]
    (member,) = [node["id"] for node in nodes if node["user"]["id"] == gid(editor)]
    remove = """
    mutation ($input: ProjectMemberRemoveInput!) {
      projectMemberRemove(input: $input) { errors { code } }
    }
    """
    assert (await world.run(remove, owner, input={"id": member})).good
    for one in filters:
        assert await _count(world, editor, "timeEntries", "TimeEntryFilter", one) == 0
    none = {"task": {"isNull": True}, "project": {"isNull": True}}
    assert await _count(world, editor, "timeEntries", "TimeEntryFilter", none) == 1


async def test_the_comments_of_a_task(world: World) -> None:
    """They are matched for everyone who sees the task, also as a subtask, until it is deleted."""
    owner, guest = await world.people(2)
    top = await world.task(owner)
    task = await world.task(owner, parent_id=top.id)
    comment = """
    mutation ($input: CommentCreateInput!) { commentCreate(input: $input) { errors { code } } }
    """
    given = {"taskId": gid(task), "body": "Heron"}
    assert (await world.run(comment, owner, input=given)).good["commentCreate"]["errors"] == []

    async def counts(person: Person, **also: Any) -> list[int]:
        heron = {"body": {"contains": "heron"}}
        filters: list[Any] = []
        for quantifier in ("some", "none", "every"):
            one = {"comments": {quantifier: heron}}
            filters += [one, {"subtasks": {"some": one}}]
        return [await _count(world, person, "tasks", "TaskFilter", one | also) for one in filters]

    # All match `every` but not `some` if they have no comments.
    assert await counts(owner) == [1, 1, 1, 0, 2, 1]
    assert await counts(guest) == [0, 0, 0, 0, 0, 0]
    await world.share(task, guest)
    assert await counts(guest) == [1, 0, 0, 0, 1, 0]
    delete = "mutation ($input: TaskDeleteInput!) { taskDelete(input: $input) { errors { code } } }"
    reply = await world.run(delete, owner, input={"id": gid(task)})
    assert reply.good["taskDelete"]["errors"] == []
    assert await counts(owner, isDeleted=True) == [0, 0, 1, 0, 1, 0]
    assert await counts(owner) == [0, 0, 1, 0, 1, 0]
