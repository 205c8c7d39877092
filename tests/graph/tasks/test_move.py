"""A move of a task with everything that it may change at once: one change, or none."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from db import models
from tests.accounts import Person
from tests.factories import World, gid

FIELDS = """
id status version position project { id } parent { id } assignee { id } completedAt number
"""
MOVE = f"""
mutation ($input: TaskMoveInput!) {{
  taskMove(input: $input) {{
    task {{ {FIELDS} }}
    errors {{ code path message conflictingFields }}
  }}
}}
"""
SEE = f"query ($id: ID!) {{ task(id: $id) {{ {FIELDS} }} }}"


async def move(world: World, who: Person, task: models.Task, **values: Any) -> Any:
    return (await world.run(MOVE, who, input={"id": gid(task), **values})).data["taskMove"]


async def moved(world: World, who: Person, task: models.Task, **values: Any) -> Any:
    payload = await move(world, who, task, **values)
    assert payload["errors"] == []
    return payload["task"]


async def refused(world: World, who: Person, task: models.Task, **values: Any) -> Any:
    payload = await move(world, who, task, **values)
    return [(error["code"], error["path"][1:]) for error in payload["errors"]]


async def events(world: World, task: models.Task) -> list[Any]:
    async with world.database.session() as session:
        return list(
            await session.scalars(
                select(models.Event)
                .where(models.Event.subject_id == task.id)
                .order_by(models.Event.position)
            )
        )


@pytest_asyncio.fixture(scope="module")
async def owner(world: World) -> Person:
    return await world.person()


@pytest.mark.parametrize(
    "names",
    [
        names
        for count in range(1, 6)
        for names in itertools.combinations(
            ("place", "status", "projectId", "parentId", "assigneeId"), count
        )
    ],
    ids="-".join,
)
async def test_any_of_it_is_one_change(world: World, owner: Person, names: tuple[str, ...]) -> None:
    member = await world.person()
    here = await world.project(owner, editors=[member])
    there = await world.project(owner, editors=[member])
    where = there if "projectId" in names else here
    parent, first, second = await world.tasks(owner, list("pab"), project_id=where.id)
    task = await world.task(owner, project_id=here.id)
    values: dict[str, Any] = {
        "place": {"after": gid(first)},
        "status": "COMPLETED",
        "projectId": there.key,
        "parentId": gid(parent),
        "assigneeId": f"@{member.username}",
    }
    given = {name: values[name] for name in names}
    late = await move(world, owner, task, ifVersion=task.version + 1, **given)
    (error,) = late["errors"]
    assert (error["code"], error["path"]) == ("CONFLICT", ["input", "ifVersion"])
    before = (await world.run(SEE, owner, id=gid(task))).good["task"]
    assert late["task"] == before
    now = await moved(world, owner, task, ifVersion=task.version, **given)
    assert now == (await world.run(SEE, owner, id=gid(task))).good["task"]
    assert now["version"] == task.version + 1
    assert (now["status"] == "COMPLETED") == ("status" in names) == (now["completedAt"] is not None)
    assert now["project"] == {"id": gid(where)}
    assert now["parent"] == ({"id": gid(parent)} if "parentId" in names else None)
    assert now["assignee"] == ({"id": gid(member)} if "assigneeId" in names else None)
    if "place" in names:
        assert first.position < now["position"] < second.position
    elif "projectId" in names:
        assert now["position"] > second.position
    else:
        assert now["position"] == task.position
    made, *log = await events(world, task)
    assert made.kind == "TASK_CREATED"
    # The project that it left has an event of its own.
    assert [event.project_id for event in log] == [where.id, here.id][: len(log)]
    assert len(log) == 1 + ("projectId" in names)
    fields = {change["field"] for change in log[0].changes}
    shown = {"place": "position", "projectId": "project", "parentId": "parent"}
    shown["assigneeId"] = "assignee"
    assert fields >= {shown.get(name, name) for name in names}
    # Nothing is left to do.
    again = await moved(world, owner, task, **given)
    assert again == now
    assert len(await events(world, task)) == 1 + len(log)


async def test_the_kind_tells_the_most(world: World, owner: Person) -> None:
    project = await world.project(owner)
    other, task = await world.tasks(owner, ["other", "task"], project_id=project.id)
    for values, kind in (
        ({"status": "COMPLETED", "place": {"before": gid(other)}}, "TASK_COMPLETED"),
        ({"status": "TODO", "place": {"after": gid(other)}}, "TASK_REOPENED"),
        ({"status": "IN_PROGRESS", "place": {"before": gid(other)}}, "TASK_MOVED"),
        ({"assigneeId": gid(owner)}, "TASK_ASSIGNED"),
        ({"assigneeId": None, "place": {"after": gid(other)}}, "TASK_MOVED"),
        ({"parentId": gid(other)}, "TASK_UPDATED"),
    ):
        await moved(world, owner, task, **values)
        assert (await events(world, task))[-1].kind == kind, values


async def test_both_ends_of_the_list(world: World, owner: Person) -> None:
    project = await world.project(owner)
    a, b, c = await world.tasks(owner, list("abc"), project_id=project.id)
    assert (await moved(world, owner, c, place={"edge": "START"}))["position"] < a.position
    assert (await moved(world, owner, a, place={"edge": "END"}))["position"] > b.position
    there = await world.project(owner)
    (first,) = await world.tasks(owner, ["first"], project_id=there.id)
    top = await moved(world, owner, b, projectId=gid(there), place={"edge": "START"})
    assert top["position"] < first.position


async def test_a_place_that_it_has_is_no_change(world: World, owner: Person) -> None:
    project = await world.project(owner)
    a, b, c = await world.tasks(owner, list("abc"), project_id=project.id)
    for task, place in (
        (a, {"edge": "START"}),
        (a, {"before": gid(b)}),
        (b, {"after": gid(a)}),
        (b, {"before": gid(c)}),
        (c, {"edge": "END"}),
    ):
        same = await moved(world, owner, task, place=place)
        assert (same["position"], same["version"]) == (task.position, task.version)
    stale = await move(world, owner, b, place={"after": gid(a)}, status="COMPLETED", ifVersion=9)
    assert stale["errors"][0]["conflictingFields"] == ["status"]


async def test_nothing_is_done_if_a_part_is_refused(world: World, owner: Person) -> None:
    editor, outsider = await world.people(2)
    here = await world.project(owner, editors=[editor])
    there = await world.project(owner, editors=[editor])
    closed = await world.project(owner, viewers=[editor])
    task, beside = await world.tasks(owner, ["task", "beside"], project_id=here.id)
    elsewhere = await world.task(owner, project_id=there.id)
    all_else = {"status": "COMPLETED", "place": {"before": gid(beside)}}
    for values, expected in (
        # Assigning somebody who does not see it needs the right to share, there as here.
        ({"assigneeId": gid(outsider)}, [("FORBIDDEN", ["assigneeId"])]),
        (
            {"assigneeId": gid(outsider), "projectId": gid(there), "place": {"edge": "START"}},
            [("FORBIDDEN", ["assigneeId"])],
        ),
        ({"projectId": gid(closed), "place": {"edge": "END"}}, [("FORBIDDEN", ["projectId"])]),
        ({"parentId": gid(elsewhere)}, [("BAD_USER_INPUT", ["parentId"])]),
        ({"parentId": gid(task)}, [("BAD_USER_INPUT", ["parentId"])]),
        ({"projectId": gid(there)}, [("BAD_USER_INPUT", ["place", "before"])]),
    ):
        assert await refused(world, editor, task, **{**all_else, **values}) == expected, values
    seen = (await world.run(SEE, owner, id=gid(task))).good["task"]
    assert (seen["version"], seen["status"], seen["position"]) == (1, "TODO", task.position)
    assert len(await events(world, task)) == 1


async def test_an_editor_gives_nobody_rights_by_the_way(world: World, owner: Person) -> None:
    """A parent that is shared with somebody shows them what is put below it."""
    editor, guest = await world.people(2)
    here = await world.project(owner, editors=[editor])
    there = await world.project(owner, editors=[editor])
    task = await world.task(owner, project_id=here.id)
    shown = await world.task(owner, project_id=there.id)
    await world.share(shown, guest)
    given = {"projectId": gid(there), "parentId": gid(shown), "status": "IN_PROGRESS"}
    assert await refused(world, editor, task, **given) == [("FORBIDDEN", ["parentId"])]
    # The owner may share it, and so may an administrator of the project that it is moved to.
    await moved(world, owner, task, **given)
    assert (await world.run(SEE, guest, id=gid(task))).good["task"]["status"] == "IN_PROGRESS"


async def test_who_sees_it_in_the_end_has_lost_nothing_in_between(
    world: World, owner: Person
) -> None:
    """They lose sight of it by the move, and are given it by the assignment."""
    member, other = await world.people(2)
    here = await world.project(owner, viewers=[member, other])
    there = await world.project(owner)
    task = await world.task(owner, project_id=here.id)
    await moved(world, owner, task, projectId=gid(there), assigneeId=gid(member))
    lost = [event for event in await events(world, task) if event.kind == "ACCESS_LOST"]
    assert [event.audience for event in lost] == [[other.id]]


async def test_subtasks_follow_below_the_new_parent(world: World, owner: Person) -> None:
    here, there = await world.project(owner), await world.project(owner)
    task = await world.task(owner, project_id=here.id)
    child = await world.task(owner, project_id=here.id, parent_id=task.id)
    parent = await world.task(owner, project_id=there.id)
    await moved(world, owner, task, projectId=gid(there), parentId=gid(parent))
    async with world.database.session() as session:
        row = await session.get_one(models.Task, child.id)
        assert (row.project_id, row.parent_id, row.root_id) == (there.id, task.id, parent.id)
    leaf = await world.task(owner, project_id=here.id)
    assert await refused(
        world, owner, leaf, projectId=gid(there), parentId=gid(child), status="COMPLETED"
    ) == [("LIMIT_EXCEEDED", ["parentId"])]


async def test_a_personal_task_goes_below_another_of_ones_own(world: World, owner: Person) -> None:
    project = await world.project(owner)
    task = await world.task(owner, project_id=project.id)
    mine = await world.task(owner)
    out = await moved(world, owner, task, projectId=None, parentId=gid(mine), status="IN_PROGRESS")
    assert (out["project"], out["parent"], out["number"]) == (None, {"id": gid(mine)}, None)
    theirs = await world.task(await world.person())
    assert await refused(world, owner, task, parentId=gid(theirs)) == [("NOT_FOUND", ["parentId"])]
    back = await moved(world, owner, task, projectId=gid(project))
    assert (back["project"], back["parent"]) == ({"id": gid(project)}, None)
