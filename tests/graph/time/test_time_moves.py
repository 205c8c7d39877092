"""Time entries of tasks that move to another project."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from db import models
from tests.accounts import Person
from tests.factories import Reply, World, gid
from tests.graph.tasks.test_placement import MOVE
from tests.graph.time.time_calls import (
    CREATE,
    DELETE,
    NOW,
    START,
    UPDATE,
    at,
    created,
    during,
    on_day,
)

SET = "mutation ($input: ProjectUpdateInput!) { projectUpdate(input: $input) { errors { code } } }"


async def move(world: World, person: Person, task: models.Task, **given: Any) -> Reply:
    return await world.run(MOVE, person, input={"id": gid(task), **given})


async def places(world: World, *tasks: models.Task) -> dict[UUID, tuple[UUID | None, UUID | None]]:
    """By entry, its project and the project of its task."""
    entry, task = models.TimeEntry, models.Task
    async with world.database.session() as session:
        rows = await session.execute(
            select(entry.id, entry.project_id, task.project_id)
            .join(task, task.id == entry.task_id)
            .where(task.id.in_([one.id for one in tasks]))
        )
        return {id_: (mine, of_task) for id_, mine, of_task in rows}


async def tracked(world: World, person: Person, *projects: models.Project) -> list[int]:
    query = "query ($id: ID!) { project(id: $id) { tracked(all: true) } }"
    return [
        (await world.run(query, person, id=gid(project))).good["project"]["tracked"]
        for project in projects
    ]


async def test_time_follows_a_task_and_its_subtasks(world: World) -> None:
    ada, bob = await world.people(2)
    here, there = [await world.project(ada, editors=[bob]) for _ in range(2)]
    task = await world.task(ada, project_id=here.id)
    below = await world.task(ada, project_id=here.id, parent_id=task.id)
    lowest = await world.task(ada, project_id=here.id, parent_id=below.id)
    beside = await world.task(ada, project_id=here.id)
    for person, on, minutes in (
        (ada, task, 1),
        (bob, below, 2),
        (bob, lowest, 4),
        (bob, beside, 8),
    ):
        await created(world, person, at(8), at(8, minutes), taskId=gid(on))
    await created(world, bob, at(9), at(9, 16), projectId=gid(here))
    started = (await world.run(START, bob, input={"taskId": gid(lowest)})).good
    timer = started["timerStart"]["timeEntry"]
    cursor = (await world.run("{ eventCursor }", ada)).good["eventCursor"]
    assert not (await move(world, bob, task, projectId=gid(there))).codes
    running = "query ($id: ID!) { timeEntry(id: $id) { project { id } isRunning version } }"
    assert (await world.run(running, bob, id=timer["id"])).good["timeEntry"] == {
        "project": {"id": gid(there)},
        "isRunning": True,
        "version": 2,
    }
    assert (await world.run("mutation { timerStop(input: {}) { errors { code } } }", bob)).good
    first, second = await tracked(world, ada, here, there)
    assert first == 24 * 60
    assert 7 * 60 <= second < 8 * 60
    query = """query ($after: String!) { events(after: $after) { nodes {
      kind project { id } changes { field ... on NodeChange { oldId newId } } } } }"""
    reply = await world.run(query, ada, after=cursor)
    told = [
        (event["project"]["id"], *event["changes"][0].values())
        for event in reply.good["events"]["nodes"]
        if event["kind"] == "TIME_ENTRY_UPDATED"
    ]
    change = ("project", gid(here), gid(there))
    assert sorted(told) == sorted([(gid(here), *change), (gid(there), *change)] * 4)


@pytest.mark.parametrize("in_bulk", [False, True])
async def test_whoever_loses_sight_of_an_entry_is_told(world: World, in_bulk: bool) -> None:
    """Its user gives it to another project; the managers of the first one cannot see that one."""
    ada, bob, eve = await world.people(3)
    here, there = await world.project(ada, editors=[bob]), await world.project(eve, editors=[bob])
    made = await created(world, bob, at(8), at(9), projectId=gid(here))
    cursor = (await world.run("{ eventCursor }", ada)).good["eventCursor"]
    change: dict[str, object] = {"id": made["id"], "projectId": gid(there)}
    mutation = "timeEntryBulkUpdate" if in_bulk else "timeEntryUpdate"
    updating = f"""mutation ($input: {mutation[0].upper()}{mutation[1:]}Input!) {{
      {mutation}(input: $input) {{ errors {{ code }} }} }}"""
    given = {"items": [change]} if in_bulk else change
    assert (await world.run(updating, bob, input=given)).good
    assert (await world.run("{ timeEntries { totalCount } }", ada)).good["timeEntries"] == {
        "totalCount": 0
    }
    reading = """query ($after: String!, $project: ID!) {
      events(after: $after, filter: {project: {id: {eq: $project}}}) { nodes {
        kind subject { __typename } changes { field ... on NodeChange { oldId newId } } } } }"""
    reply = await world.run(reading, ada, after=cursor, project=gid(here))
    assert reply.good["events"]["nodes"] == [
        {
            "kind": "TIME_ENTRY_UPDATED",
            "subject": None,
            "changes": [{"field": "project", "oldId": gid(here), "newId": None}],
        }
    ]


@pytest.mark.parametrize("closed", ["here", "there"])
async def test_time_in_a_locked_period_keeps_its_task(world: World, closed: str) -> None:
    ada, bob = await world.person(), await world.person(timezone="Asia/Tokyo")
    projects = {name: await world.project(ada, editors=[bob]) for name in ("here", "there")}
    task = await world.task(ada, project_id=projects["here"].id)
    below = await world.task(ada, project_id=projects["here"].id, parent_id=task.id)
    # In Tokyo this is the 17th, and the day is the 17th everywhere.
    await created(world, bob, at(15, day=16), at(16, day=16), taskId=gid(below))
    day = {"time": on_day("2026-11-17", 60), "taskId": gid(below)}
    assert not (await world.run(CREATE, bob, at=NOW, input=day)).codes

    async def lock(date: str | None) -> None:
        given = {"id": gid(projects[closed]), "timeLockedBefore": date}
        assert not (await world.run(SET, ada, input=given)).codes

    await lock("2026-11-18")
    before = await places(world, below)
    reply = await move(world, ada, task, projectId=gid(projects["there"]))
    (error,) = reply.user_errors
    assert (error["code"], error["path"]) == ("TIME_LOCKED", ["input", "projectId"])
    assert "timeEntries: KEEP" in error["message"]
    assert await places(world, below) == before
    await lock("2026-11-17")
    there = {"projectId": gid(projects["there"])}
    assert not (await move(world, ada, task, **there)).codes
    assert await tracked(world, ada, *projects.values()) == [0, 3660]
    await lock("2026-11-18")
    back = {"projectId": gid(projects["here"])}
    assert (await move(world, ada, task, **back)).codes == ["TIME_LOCKED"]
    assert not (await move(world, ada, task, timeEntries="KEEP", **back)).codes
    assert await tracked(world, ada, *projects.values()) == [0, 3660]


async def test_time_follows_a_task_out_of_all_projects_and_back(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, editors=[bob])
    task = await world.task(ada, project_id=project.id)
    await created(world, ada, at(8), at(9), taskId=gid(task))
    await created(world, bob, at(8), at(9), taskId=gid(task))
    for where, seconds in ((None, 0), (gid(project), 7200)):
        assert not (await move(world, ada, task, projectId=where)).codes
        assert await tracked(world, ada, project) == [seconds]


async def test_a_project_without_overlaps_gets_none_by_a_move(world: World) -> None:
    ada, bob = await world.people(2)
    here, there = [await world.project(ada, editors=[bob]) for _ in range(2)]
    strict = {"id": gid(there), "isOverlapAllowed": False}
    assert not (await world.run(SET, ada, input=strict)).codes
    task = await world.task(ada, project_id=here.id)
    await created(world, bob, at(8), at(9), taskId=gid(task))
    # Another person's time is not in the way; one's own is, wherever it lies.
    await created(world, ada, at(8), at(9))
    other = await created(world, bob, at(8, 59), at(10))
    reply = await move(world, ada, task, projectId=gid(there))
    (error,) = reply.user_errors
    assert (error["code"], error["path"]) == ("TIME_OVERLAP", ["input", "projectId"])
    assert not (await world.run(DELETE, bob, at=NOW, input={"id": other["id"]})).codes
    assert not (await move(world, ada, task, projectId=gid(there))).codes
    assert await tracked(world, ada, here, there) == [0, 3600]


async def test_time_that_changes_while_its_task_moves(world: World) -> None:
    ada, *people = await world.people(4)
    projects = [await world.project(ada, editors=people) for _ in range(2)]
    task = await world.task(ada, project_id=projects[0].id)
    below = await world.task(ada, project_id=projects[0].id, parent_id=task.id)
    dice = random.Random(7)
    made = {
        person.id: [
            await created(world, person, at(hour), at(hour, 30), taskId=gid(below))
            for hour in range(1, 6)
        ]
        for person in people
    }

    async def moves() -> list[str]:
        return [
            code
            for turn in range(8)
            for code in (await move(world, ada, task, projectId=gid(projects[1 - turn % 2]))).codes
        ]

    async def changes(person: Person) -> list[str]:
        codes: list[str] = []
        for entry in made[person.id]:
            on = {"taskId": gid(dice.choice([task, below]))}
            new = {"time": during(at(7), at(8)), **on}
            codes += (await world.run(CREATE, person, at=NOW, input=new)).codes
            codes += (
                await world.run(UPDATE, person, at=NOW, input={"id": entry["id"], **on})
            ).codes
            codes += (await world.run(START, person, input=on)).codes
        codes += (await world.run(DELETE, person, at=NOW, input={"id": entry["id"]})).codes
        return codes

    async with asyncio.timeout(60):
        found = await asyncio.gather(moves(), *(changes(person) for person in people))
    assert {code for codes in found for code in codes} <= {"CONFLICT"}
    found_places = await places(world, task, below)
    assert len(found_places) > len(people) * 4
    assert all(mine == of_task for mine, of_task in found_places.values())
