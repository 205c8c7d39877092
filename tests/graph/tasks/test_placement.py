"""Where tasks stand: the order by hand, the tree, and moves between projects."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest_asyncio

from db import models
from tests.accounts import Person
from tests.factories import World, gid

MOVE = """
mutation ($input: TaskMoveInput!) {
  taskMove(input: $input) {
    task { id number identifier position version project { id } parent { id } }
    errors { code path message }
  }
}
"""
UPDATE = """
mutation ($input: TaskUpdateInput!) {
  taskUpdate(input: $input) { task { parent { id } } errors { code path } }
}
"""
CREATE = """
mutation ($input: TaskCreateInput!) {
  taskCreate(input: $input) { task { id project { id } } errors { code path } }
}
"""


async def move(world: World, person: Person, task: models.Task, **where: Any) -> Any:
    reply = await world.run(MOVE, person, input={"id": gid(task), **where})
    return reply.good["taskMove"]["task"]


async def refused(world: World, person: Person, query: str, **fields: Any) -> tuple[str, list[str]]:
    reply = await world.run(query, person, input=fields)
    assert not reply.errors, reply.errors
    (error,) = reply.user_errors
    return error["code"], error["path"][1:]


async def listed(world: World, person: Person, project: models.Project) -> list[str]:
    reply = await world.run(
        "query ($id: ID!) { project(id: $id) { tasks { nodes { title position } } } }",
        person,
        id=gid(project),
    )
    nodes = reply.good["project"]["tasks"]["nodes"]
    positions = [node["position"] for node in nodes]
    assert positions == sorted(set(positions))
    return [node["title"] for node in nodes]


@pytest_asyncio.fixture(scope="module")
async def owner(world: World) -> Person:
    return await world.person()


@pytest_asyncio.fixture
async def project(world: World, owner: Person) -> models.Project:
    return await world.project(owner)


async def test_before_after_and_to_the_end(
    world: World, owner: Person, project: models.Project
) -> None:
    a, b, c, d = await world.tasks(owner, list("abcd"), project_id=project.id)
    assert await listed(world, owner, project) == list("abcd")
    await move(world, owner, d, place={"before": gid(b)})
    assert await listed(world, owner, project) == list("adbc")
    await move(world, owner, a, place={"after": gid(b)})
    assert await listed(world, owner, project) == list("dbac")
    await move(world, owner, c, place={"before": gid(d)})
    assert await listed(world, owner, project) == list("cdba")
    await move(world, owner, c, place={"after": gid(a)})
    assert await listed(world, owner, project) == list("dbac")
    await move(world, owner, d, place={"edge": "END"})
    assert await listed(world, owner, project) == list("bacd")


async def test_ten_moves_at_once_leave_a_total_order(
    world: World, owner: Person, project: models.Project
) -> None:
    names = [f"{number:02}" for number in range(12)]
    tasks = await world.tasks(owner, names, project_id=project.id)
    chance = random.Random(7)
    for _ in range(3):
        # All to the same place, so that they meet.
        target, *movers = chance.sample(tasks, 11)
        side = chance.choice(["before", "after"])
        place = {side: gid(target)}
        await asyncio.gather(*(move(world, owner, task, place=place) for task in movers))
        order = await listed(world, owner, project)
        assert sorted(order) == names
        at = order.index(target.title)
        moved = {task.title for task in movers}
        near = order[at - 10 : at] if side == "before" else order[at + 1 : at + 11]
        assert set(near) == moved


async def test_a_move_keeps_all_other_rows_as_they_are(
    world: World, owner: Person, project: models.Project
) -> None:
    a, _, c = await world.tasks(owner, list("abc"), project_id=project.id)
    moved = await move(world, owner, c, place={"before": gid(a)})
    assert moved["version"] == 2
    reply = await world.run(
        "query ($id: ID!) { project(id: $id) { tasks { nodes { version } } } }",
        owner,
        id=gid(project),
    )
    assert [node["version"] for node in reply.good["project"]["tasks"]["nodes"]] == [2, 1, 1]


async def test_into_another_project_with_its_subtasks(
    world: World, owner: Person, project: models.Project
) -> None:
    other = await world.project(owner)
    await world.task(owner, "there", project_id=other.id)
    top = await world.task(owner, "top", project_id=project.id)
    middle = await world.task(owner, "middle", project_id=project.id, parent_id=top.id)
    await world.task(owner, "leaf", project_id=project.id, parent_id=middle.id)
    # A subtask that leaves becomes a task of its own; what is below it comes along.
    moved = await move(world, owner, middle, projectId=gid(other))
    assert moved["parent"] is None
    assert moved["project"] == {"id": gid(other)}
    assert moved["identifier"] == f"{other.key}-2"
    assert await listed(world, owner, project) == ["top"]
    reply = await world.run(
        """query ($id: ID!) {
          project(id: $id) {
            tasks(orderBy: [{ number: ASC }]) { nodes { title number parent { title } } }
          }
        }""",
        owner,
        id=gid(other),
    )
    assert reply.good["project"]["tasks"]["nodes"] == [
        {"title": "there", "number": 1, "parent": None},
        {"title": "middle", "number": 2, "parent": None},
        {"title": "leaf", "number": 3, "parent": {"title": "middle"}},
    ]


async def test_numbers_are_never_given_twice(
    world: World, owner: Person, project: models.Project
) -> None:
    """A task that left leaves its number unused: links by the old key must not show another."""
    other = await world.project(owner)
    (task,) = await world.tasks(owner, ["x"], project_id=project.id)
    await move(world, owner, task, projectId=gid(other))
    back = await move(world, owner, task, projectId=gid(project))
    assert back["number"] == 2


async def test_who_may_move_where(world: World, owner: Person, project: models.Project) -> None:
    editor, viewer = await world.people(2)
    there = await world.project(owner, editors=[editor], viewers=[viewer])
    task = await world.task(owner, project_id=project.id)
    mine = await world.task(viewer)
    # A viewer makes no tasks there, and a stranger sees no project there.
    assert await refused(world, viewer, MOVE, id=gid(mine), projectId=gid(there)) == (
        "FORBIDDEN",
        ["projectId"],
    )
    assert await refused(world, viewer, MOVE, id=gid(mine), projectId=gid(project)) == (
        "NOT_FOUND",
        ["projectId"],
    )
    # Only its owner takes a task out of its project, since then nobody else sees it.
    theirs = await world.task(owner, project_id=there.id)
    assert (await refused(world, editor, MOVE, id=gid(theirs), projectId=None))[0] == "FORBIDDEN"
    out = await move(world, owner, task, projectId=None)
    assert (out["project"], out["number"], out["identifier"]) == (None, None, None)


async def test_moves_that_say_nothing_or_too_much(
    world: World, owner: Person, project: models.Project
) -> None:
    a, _ = await world.tasks(owner, ["a", "b"], project_id=project.id)
    elsewhere = await world.task(owner, project_id=(await world.project(owner)).id)
    hidden = await world.task(await world.person())
    for fields, expected in (
        ({}, ("BAD_USER_INPUT", ["place"])),
        ({"status": None}, ("BAD_USER_INPUT", ["status"])),
        ({"place": {"before": gid(a)}}, ("BAD_USER_INPUT", ["place", "before"])),
        ({"place": {"after": gid(elsewhere)}}, ("BAD_USER_INPUT", ["place", "after"])),
        ({"place": {"after": gid(hidden)}}, ("NOT_FOUND", ["place", "after"])),
        ({"place": {"after": gid(project)}}, ("BAD_USER_INPUT", ["place", "after"])),
    ):
        assert await refused(world, owner, MOVE, id=gid(a), **fields) == expected, fields
    assert await listed(world, owner, project) == ["a", "b"]


async def test_three_levels_and_no_more(
    world: World, owner: Person, project: models.Project
) -> None:
    here: dict[str, Any] = {"project_id": project.id}
    top = await world.task(owner, **here)
    middle = await world.task(owner, parent_id=top.id, **here)
    leaf = await world.task(owner, parent_id=middle.id, **here)
    limit = ("LIMIT_EXCEEDED", ["parentId"])
    assert await refused(world, owner, CREATE, title="x", parentId=gid(leaf)) == limit
    # What has something below it counts with its height.
    high = await world.task(owner, **here)
    await world.task(owner, parent_id=high.id, **here)
    assert await refused(world, owner, UPDATE, id=gid(high), parentId=gid(middle)) == limit
    reply = await world.run(UPDATE, owner, input={"id": gid(high), "parentId": gid(top)})
    assert reply.good["taskUpdate"]["task"]["parent"] == {"id": gid(top)}


async def test_no_task_stands_below_itself(
    world: World, owner: Person, project: models.Project
) -> None:
    here: dict[str, Any] = {"project_id": project.id}
    top = await world.task(owner, **here)
    middle = await world.task(owner, parent_id=top.id, **here)
    leaf = await world.task(owner, parent_id=middle.id, **here)
    for below in (top, middle, leaf):
        code, path = await refused(world, owner, UPDATE, id=gid(top), parentId=gid(below))
        assert (code, path) == ("BAD_USER_INPUT", ["parentId"])


async def test_tasks_that_are_put_below_one_another_at_once(
    world: World, owner: Person, project: models.Project
) -> None:
    """Each waits for its turn, and none is sent away because two hold what the other wants."""
    a, b = await world.tasks(owner, ["a", "b"], project_id=project.id)
    replies = await asyncio.gather(
        *(
            world.run(UPDATE, owner, input={"id": gid(child), "parentId": gid(parent)})
            for child, parent in ((a, b), (b, a)) * 3
        )
    )
    # Whichever was first is repeated by two more; the others would make a cycle.
    assert [code for reply in replies for code in reply.codes] == ["BAD_USER_INPUT"] * 3


async def test_two_changes_at_once_that_are_too_deep_together(
    world: World, owner: Person, project: models.Project
) -> None:
    """Each alone stays within three levels; the two would make four."""
    root, top, leaf = await world.tasks(owner, ["root", "top", "leaf"], project_id=project.id)
    middle = await world.task(owner, "middle", project_id=project.id, parent_id=top.id)
    replies = await asyncio.gather(
        world.run(UPDATE, owner, input={"id": gid(top), "parentId": gid(root)}),
        world.run(UPDATE, owner, input={"id": gid(leaf), "parentId": gid(middle)}),
    )
    assert [code for reply in replies for code in reply.codes] == ["LIMIT_EXCEEDED"]


async def test_a_subtask_belongs_to_its_parents_project(
    world: World, owner: Person, project: models.Project
) -> None:
    top = await world.task(owner, project_id=project.id)
    other = await world.project(owner)
    elsewhere = await world.task(owner, project_id=other.id)
    wrong = {"title": "x", "parentId": gid(top), "projectId": gid(other)}
    assert await refused(world, owner, CREATE, **wrong) == ("BAD_USER_INPUT", ["projectId"])
    assert await refused(world, owner, UPDATE, id=gid(elsewhere), parentId=gid(top)) == (
        "BAD_USER_INPUT",
        ["parentId"],
    )
    reply = await world.run(CREATE, owner, input={"title": "x", "parentId": gid(top)})
    assert reply.good["taskCreate"]["task"]["project"] == {"id": gid(project)}


async def test_the_right_to_a_task_reaches_what_is_below_it(
    world: World, owner: Person, project: models.Project
) -> None:
    friend = await world.person()
    here: dict[str, Any] = {"project_id": project.id}
    top = await world.task(owner, **here)
    middle = await world.task(owner, parent_id=top.id, **here)
    leaf = await world.task(owner, "leaf", parent_id=middle.id, **here)
    query = "query ($id: ID!) { task(id: $id) { title } }"
    assert (await world.run(query, friend, id=gid(leaf))).codes == ["NOT_FOUND"]
    await world.share(top, friend)
    assert (await world.run(query, friend, id=gid(leaf))).good["task"] == {"title": "leaf"}
    # A subtask that leaves its parent is no longer shared.
    await world.run(UPDATE, owner, input={"id": gid(middle), "parentId": None})
    assert (await world.run(query, friend, id=gid(leaf))).codes == ["NOT_FOUND"]
