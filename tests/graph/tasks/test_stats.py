"""Statistics: right, private, and never older than one's own last change."""

from __future__ import annotations

from typing import Any

import pytest

from db.models import TaskPriority, TaskStatus
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, gid

STATS = """
query ($filter: TaskFilter) {
  taskStats(filter: $filter) {
    total completed open overdue sharedByMe sharedWithMe commentsPosted
    byStatus { status count } byPriority { priority count } byTag { name taskCount }
  }
}
"""
COMPLETE = "mutation ($id: ID!) { taskComplete(input: {id: $id}) { errors { code } } }"
COMMENT = (
    'mutation ($id: ID!) { commentCreate(input: {taskId: $id, body: "x"}) { errors { code } } }'
)


async def _stats(world: World, person: Person, **options: Any) -> Any:
    return (await world.run(STATS, person, **options)).good["taskStats"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_numbers_are_those_of_the_tasks(world: World, engine: Engine) -> None:
    ada, ben = await world.people(2)
    await world.task(ada, status=TaskStatus.COMPLETED, tags=["Red", "blue"])
    await world.task(ada, status=TaskStatus.CANCELLED, tags=["red"])
    mine = await world.task(ada, priority=TaskPriority.URGENT, tags=["RED"])
    theirs = await world.task(ben)
    await world.share(mine, ben)
    await world.share(theirs, ada)
    await world.run(COMMENT, ada, id=gid(mine))
    await world.run(COMMENT, ben, id=gid(mine))
    stats = (await world.run(STATS, ada, engine=engine)).good["taskStats"]
    assert (stats["total"], stats["completed"], stats["open"]) == (4, 1, 2)
    assert {bar["status"]: bar["count"] for bar in stats["byStatus"]} == {
        "TODO": 2,
        "IN_PROGRESS": 0,
        "COMPLETED": 1,
        "CANCELLED": 1,
    }
    assert {bar["priority"]: bar["count"] for bar in stats["byPriority"] if bar["count"]} == {
        "NONE": 3,
        "URGENT": 1,
    }
    assert [(bar["name"].lower(), bar["taskCount"]) for bar in stats["byTag"]] == [
        ("red", 3),
        ("blue", 1),
    ]
    assert (stats["sharedByMe"], stats["sharedWithMe"], stats["commentsPosted"]) == (1, 1, 1)


async def test_every_answer_is_of_now(world: World) -> None:
    ada, ben = await world.people(2)
    project = await world.project(ada, editors=[ben])
    task = await world.task(ada, project_id=project.id)
    assert (await _stats(world, ben))["completed"] == 0
    assert len((await world.run(STATS, ben)).statements) == 1
    await world.run(COMPLETE, ada, id=gid(task))
    assert (await _stats(world, ben))["completed"] == 1
    assert (await _stats(world, ada))["completed"] == 1
    await world.run(COMPLETE, ben, id=gid(task))
    await world.task(ben)
    assert (await _stats(world, ben))["total"] == 2
    assert (await _stats(world, ada))["total"] == 1


async def test_a_filter_narrows_the_numbers(world: World) -> None:
    ada = await world.person()
    await world.task(ada, tags=["a"])
    await world.task(ada, tags=["b"])
    wanted = {"tags": {"some": {"eq": "A"}}}
    assert (await _stats(world, ada, filter=wanted))["total"] == 1
    other = {"tags": {"some": {"eq": "c"}}}
    assert (await _stats(world, ada, filter=other))["total"] == 0
    assert (await _stats(world, ada))["total"] == 2


async def test_all_projects_of_a_page_take_one_statement(world: World) -> None:
    ada = await world.person()
    projects = [await world.project(ada) for _ in range(5)]
    for count, project in enumerate(projects[1:], start=1):
        await world.many_tasks(ada, project, count)
    query = "{ projects(orderBy: [{createdAt: ASC}]) { nodes { stats { total } } } }"
    reply = await world.run(query, ada)
    assert [n["stats"]["total"] for n in reply.good["projects"]["nodes"]] == [0, 1, 2, 3, 4]
    assert len(reply.statements) == 2


async def test_numbers_tell_nothing_of_hidden_tasks(world: World) -> None:
    ada, eve = await world.people(2)
    await world.task(ada, tags=["secret"])
    stats = await _stats(world, eve)
    assert stats["total"] == 0
    assert stats["byTag"] == []
