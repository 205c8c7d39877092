"""Time entries, as the people who make and read them find them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from db import models
from tests.factories import ENGINES, Engine, World, gid, missing
from tests.graph.time.time_calls import (
    DELETE,
    LIST,
    NOW,
    START,
    STOP,
    UPDATE,
    at,
    create,
    created,
    during,
    failure,
    lasting,
    on_day,
)

# --- entries -------------------------------------------------------------------------------------


async def test_time_is_entered_by_moments_or_a_duration(world: World) -> None:
    ada = await world.person()
    whole = await created(world, ada, at(8), at(9, 30), isBillable=True, tags=["a", "A", "b"])
    assert whole["duration"] == 5400
    assert whole["isBillable"]
    assert whole["tags"] == ["a", "b"]
    reply = await create(world, ada, time=lasting(at(10), 60))
    assert reply.good["timeEntryCreate"]["timeEntry"]["endedAt"] == at(10, 1)
    reply = await create(world, ada, time=on_day("2026-11-17", 3 * 3600))
    entry = reply.good["timeEntryCreate"]["timeEntry"]
    assert (entry["day"], entry["duration"]) == ("2026-11-17", 10_800)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"time": during(at(9), at(8))}, "time.range.endedAt"),
        ({"time": lasting(at(9), -1)}, "time.start.duration"),
        ({"time": during(at(11), at(12, 0, 1))}, "time.range.endedAt"),
        ({"time": during(at(8, day=17), at(8, 0, 1))}, "allowOver24Hours"),
        ({"time": during(at(12, 0, 1), at(12))}, "time.range.endedAt"),
        ({"time": during("1899-01-01T00:00:00Z", at(8))}, "time.range.startedAt"),
        ({"time": lasting(at(11), 3602)}, "time.start.duration"),
        ({"time": lasting("2200-01-01T00:00:00Z", 1)}, "time.start.startedAt"),
        ({"time": lasting(at(8), 366 * 86_400 + 1)}, "time.start.duration"),
        ({"time": on_day("2026-11-17", -1)}, "time.day.duration"),
        ({"time": on_day("1899-12-31", 1)}, "time.day.day"),
        ({"time": on_day("2026-11-19", 5)}, "time.day.day"),
        ({"time": lasting(at(8), 5), "tags": [""]}, "tags.0"),
        ({"time": lasting(at(8), 5), "description": "x" * 501}, "description"),
    ],
    ids=str,
)
async def test_what_cannot_be_is_refused(world: World, given: dict[str, Any], path: str) -> None:
    ada = await world.person()
    assert failure(await create(world, ada, **given)) == ("BAD_USER_INPUT", f"input.{path}")


async def test_a_day_and_more_needs_force(world: World) -> None:
    ada = await world.person()
    entry = await created(world, ada, at(8, day=16), at(8, 0, 1), allowOver24Hours=True)
    assert entry["duration"] == 2 * 86_400 + 1


async def test_overlaps_are_flagged(world: World) -> None:
    ada = await world.person()
    for start, end in ((8, 9), (9, 10), (10, 12), (11, 12)):
        await created(world, ada, at(start), at(end))
    await create(world, ada, time=on_day("2026-11-18", 86_400))
    long = await created(world, ada, at(8, day=2), at(8, day=4), allowOver24Hours=True)
    inside = await created(world, ada, at(9, day=3), at(10, day=3))
    assert inside["hasOverlap"]
    order: Any = [{"startedAt": "ASC"}]
    reply = await world.run(LIST, ada, orderBy=order, filter={"day": {"isNull": True}})
    nodes = reply.good["timeEntries"]["nodes"]
    assert [node["hasOverlap"] for node in nodes] == [True, True, False, False, True, True]
    assert nodes[0]["id"] == long["id"]


async def test_a_strict_project_refuses_overlaps(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, editors=[bob])
    await world.run(
        """mutation ($input: ProjectUpdateInput!) {
          projectUpdate(input: $input) { project { isOverlapAllowed } errors { code } }
        }""",
        ada,
        input={"id": gid(project), "isOverlapAllowed": False},
    )
    here = {"projectId": gid(project)}
    first = await created(world, ada, at(8), at(9), **here)
    assert failure(await create(world, ada, time=lasting(at(8, 59, 59), 5), **here)) == (
        "TIME_OVERLAP",
        "input.time.start.startedAt",
    )
    # Nor may time elsewhere be put over it.
    assert failure(await create(world, ada, time=lasting(at(8), 5)))[0] == "TIME_OVERLAP"
    # Others have time of their own; touching is no overlap.
    await created(world, bob, at(8), at(9), **here)
    second = await created(world, ada, at(9), at(10), **here)
    reply = await world.run(
        UPDATE, ada, at=NOW, input={"id": second["id"], "time": {"startedAt": at(8, 30)}}
    )
    assert failure(reply) == ("TIME_OVERLAP", "input.time.startedAt")
    reply = await world.run(
        UPDATE, ada, at=NOW, input={"id": first["id"], "time": {"endedAt": at(8, 30)}}
    )
    assert reply.good
    # Of many at one moment one is made.
    replies = await asyncio.gather(
        *(create(world, ada, time=during(at(11), at(12)), **here) for _ in range(8))
    )
    assert sorted(reply.codes == [] for reply in replies) == [False] * 7 + [True]


async def test_closed_time_stays_as_it_is(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, editors=[bob])
    here = {"projectId": gid(project)}
    old = await created(world, bob, at(8, day=16), at(9, day=16), **here)
    new = await created(world, bob, at(8, day=17), at(9, day=17), **here)
    lock = """mutation ($input: ProjectUpdateInput!) {
      projectUpdate(input: $input) { project { timeLockedBefore } errors { code } }
    }"""
    given = {"id": gid(project), "timeLockedBefore": "2026-11-17"}
    assert (await world.run(lock, bob, input=given)).codes == ["FORBIDDEN"]
    assert (await world.run(lock, ada, input=given)).good["projectUpdate"]["project"] == {
        "timeLockedBefore": "2026-11-17"
    }
    reply = await create(world, bob, time=lasting(at(23, 59, 59, day=16), 5), **here)
    assert failure(reply) == ("TIME_LOCKED", "input.time.start.startedAt")
    change = {"id": old["id"], "description": "x"}
    assert failure(await world.run(UPDATE, bob, at=NOW, input=change)) == (
        "TIME_LOCKED",
        "input.id",
    )
    assert (
        failure(await world.run(DELETE, bob, at=NOW, input={"id": old["id"]}))[0] == "TIME_LOCKED"
    )
    change = {"id": new["id"], "time": {"startedAt": at(23, day=16)}}
    assert failure(await world.run(UPDATE, bob, at=NOW, input=change)) == (
        "TIME_LOCKED",
        "input.time.startedAt",
    )
    change = {"id": new["id"], "description": "x"}
    assert (await world.run(UPDATE, bob, at=NOW, input=change)).good
    assert (await world.run(DELETE, bob, at=NOW, input={"id": new["id"]})).good
    await world.run(lock, ada, input={"id": gid(project), "timeLockedBefore": None})
    assert (await world.run(DELETE, bob, at=NOW, input={"id": old["id"]})).good


async def test_an_archived_project_takes_no_time_but_lets_a_timer_stop(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    entry = await created(world, ada, at(8), at(9), projectId=gid(project))
    await world.run(START, ada, input={"projectId": gid(project)})
    await world.run(
        "mutation ($id: ID!) { projectArchive(input: {id: $id}) { errors { code } } }",
        ada,
        id=gid(project),
    )
    reply = await create(world, ada, time=lasting(at(8), 5), projectId=gid(project))
    assert failure(reply) == ("PROJECT_ARCHIVED", "input.projectId")
    assert failure(await world.run(DELETE, ada, input={"id": entry["id"]}))[0] == "PROJECT_ARCHIVED"
    assert (await world.run(STOP, ada, input={})).good


async def test_an_entry_goes_with_its_task(world: World) -> None:
    ada = await world.person()
    here, there = await world.project(ada), await world.project(ada)
    task = await world.task(ada, project_id=here.id)
    entry = await created(world, ada, at(8), at(9), taskId=gid(task))
    assert entry["project"] == {"id": gid(here)}
    wrong = {"time": lasting(at(8), 1), "projectId": gid(there)}
    assert failure(await create(world, ada, taskId=gid(task), **wrong)) == (
        "BAD_USER_INPUT",
        "input.projectId",
    )
    change: dict[str, Any] = {"id": entry["id"], "projectId": gid(there)}
    assert failure(await world.run(UPDATE, ada, at=NOW, input=change)) == (
        "BAD_USER_INPUT",
        "input.taskId",
    )
    change["taskId"] = None
    reply = await world.run(UPDATE, ada, at=NOW, input=change)
    after = reply.good["timeEntryUpdate"]["timeEntry"]
    assert (after["project"], after["task"]) == ({"id": gid(there)}, None)
    back = {"id": entry["id"], "taskId": gid(task)}
    after = (await world.run(UPDATE, ada, at=NOW, input=back)).good["timeEntryUpdate"]["timeEntry"]
    assert (after["project"], after["task"]) == ({"id": gid(here)}, {"id": gid(task)})
    # The task in the trash, and gone for good: the time stays.
    await world.run(
        "mutation ($id: ID!) { taskDelete(input: {id: $id}) { errors { code } } }",
        ada,
        id=gid(task),
    )
    query = "query ($id: ID!) { timeEntry(id: $id) { duration task { id } } }"
    gone = {"duration": 3600, "task": None}
    assert (await world.run(query, ada, id=entry["id"])).good["timeEntry"] == gone
    async with world.database.session() as session, session.begin():
        await session.delete(await session.get_one(models.Task, task.id))
    assert (await world.run(query, ada, id=entry["id"])).good["timeEntry"] == gone
    async with world.database.session() as session, session.begin():
        await session.execute(
            models.Project.__table__.delete().where(models.Project.id == here.id)  # type: ignore[attr-defined]
        )
    assert (await world.run(query, ada, id=entry["id"])).good["timeEntry"] == gone


async def test_changes_of_time(world: World) -> None:
    ada = await world.person()
    entry = await created(world, ada, at(8), at(9))

    async def change(**given: Any) -> Any:
        reply = await world.run(UPDATE, ada, at=NOW, input={"id": entry["id"], **given})
        return reply.good["timeEntryUpdate"]["timeEntry"]

    assert (await change(time={"startedAt": at(8, 30)}))["duration"] == 1800
    assert (await change(time={"endedAt": at(8, 31)}))["startedAt"] == at(8, 30)
    assert (await change(time=lasting(at(8, 15), 90)))["endedAt"] == at(8, 16, 30)
    moved = await change(time=on_day("2026-11-10", 60))
    assert (moved["day"], moved["duration"]) == ("2026-11-10", 60)
    back = await change(time=during(at(7), at(7, 2)))
    assert (back["day"], back["startedAt"], back["endedAt"]) == (None, at(7), at(7, 2))
    reply = await world.run(UPDATE, ada, at=NOW, input={"id": entry["id"], "ifVersion": 1})
    assert reply.codes == ["CONFLICT"]


@pytest.mark.parametrize(
    ("time", "path"),
    [
        ({"startedAt": at(9, 0, 1)}, "time.startedAt"),
        ({"endedAt": at(7)}, "time.endedAt"),
        ({"endedAt": at(12, 0, 1)}, "time.endedAt"),
        ({"startedAt": at(8, day=17)}, "allowOver24Hours"),
        ({"startedAt": "2025-01-01T00:00:00Z"}, "time.startedAt"),
        ({"startedAt": "1899-01-01T00:00:00Z"}, "time.startedAt"),
        (during(at(9), at(8)), "time.range.endedAt"),
        (lasting(at(11), -1), "time.start.duration"),
        (on_day("2026-11-19", 5), "time.day.day"),
        (None, "time"),
    ],
    ids=str,
)
async def test_a_change_that_cannot_be_names_the_field(
    world: World, time: dict[str, Any] | None, path: str
) -> None:
    ada = await world.person()
    entry = await created(world, ada, at(8), at(9))
    reply = await world.run(UPDATE, ada, at=NOW, input={"id": entry["id"], "time": time})
    assert failure(reply) == ("BAD_USER_INPUT", f"input.{path}")


async def test_one_end_alone_is_for_entries_that_have_both(world: World) -> None:
    ada = await world.person()
    made = await create(world, ada, time=on_day("2026-11-17", 60))
    entry = made.good["timeEntryCreate"]["timeEntry"]
    for name, moment in (("startedAt", at(8)), ("endedAt", at(9))):
        change = {"id": entry["id"], "time": {name: moment}}
        reply = await world.run(UPDATE, ada, at=NOW, input=change)
        assert failure(reply) == ("BAD_USER_INPUT", f"input.time.{name}")


async def test_a_timer_goes_on_from_another_start_and_stops_at_an_end(world: World) -> None:
    ada = await world.person()
    started = await world.run(START, ada, at=NOW, input={})
    timer = started.good["timerStart"]["timeEntry"]

    async def change(**time: Any) -> Any:
        given = {"id": timer["id"], "time": time}
        return await world.run(UPDATE, ada, at=NOW, input=given)

    assert failure(await change(startedAt=at(12, 0, 1)))[1] == "input.time.startedAt"
    earlier = (await change(startedAt=at(11))).good["timeEntryUpdate"]["timeEntry"]
    assert (earlier["isRunning"], earlier["startedAt"]) == (True, at(11))
    ended = (await change(endedAt=at(11, 30))).good["timeEntryUpdate"]["timeEntry"]
    assert (ended["isRunning"], ended["duration"]) == (False, 1800)


async def test_a_place_that_forbids_an_entry_names_the_place(world: World) -> None:
    """Nothing but the project changes, so that is what is wrong."""
    ada, bob = await world.people(2)
    project = await world.project(bob, editors=[ada])
    set_ = """mutation ($input: ProjectUpdateInput!) {
      projectUpdate(input: $input) { errors { code } }
    }"""
    strict = {"id": gid(project), "isOverlapAllowed": False}
    assert (await world.run(set_, bob, input=strict)).good
    await created(world, ada, at(8), at(9), projectId=gid(project))
    entry = await created(world, ada, at(9), at(10))
    meeting = await created(world, ada, at(9, 30), at(10))
    change = {"id": entry["id"], "projectId": gid(project)}
    reply = await world.run(UPDATE, ada, at=NOW, input=change)
    assert failure(reply) == ("TIME_OVERLAP", "input.projectId")
    assert (await world.run(DELETE, ada, at=NOW, input={"id": meeting["id"]})).good
    closed = {"id": gid(project), "timeLockedBefore": "2026-11-19"}
    assert (await world.run(set_, bob, input=closed)).good
    reply = await world.run(UPDATE, ada, at=NOW, input=change)
    assert failure(reply) == ("TIME_LOCKED", "input.projectId")


async def test_many_are_entered_at_once(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    query = """mutation ($input: TimeEntryBulkCreateInput!) {
      timeEntryBulkCreate(input: $input) {
        doneCount errors { code path }
        results { index timeEntry { duration } errors { code path } }
      }
    }"""
    good = {"time": lasting(at(8), 60), "projectId": gid(project)}
    bad = {"time": lasting(at(8), -1)}
    hidden = good | {"projectId": missing(gid(project))}
    items = [good, bad, hidden, good]
    reply = await world.run(query, ada, at=NOW, input={"items": items})
    assert reply.data["timeEntryBulkCreate"]["doneCount"] == 0
    assert [error["path"] for error in reply.user_errors] == [
        ["input", "items", "1", "time", "start", "duration"],
        ["input", "items", "2", "projectId"],
    ]
    reply = await world.run(query, ada, at=NOW, input={"items": items, "onError": "CONTINUE"})
    results = reply.data["timeEntryBulkCreate"]["results"]
    assert [bool(result["timeEntry"]) for result in results] == [True, False, False, True]
    assert results[1]["errors"][0]["code"] == "BAD_USER_INPUT"
    many = [good | {"time": lasting(at(8, 0, n % 60), 60)} for n in range(200)]
    reply = await world.run(query, ada, at=NOW, input={"items": many})
    assert reply.good["timeEntryBulkCreate"]["doneCount"] == 200
    assert len(reply.statements) < 12, reply.statements
    reply = await world.run(query, ada, at=NOW, input={"items": [*many, good]})
    assert reply.codes == ["LIMIT_EXCEEDED"]
    reply = await world.run(query, ada, at=NOW, input={"items": many, "dryRun": True})
    assert reply.good["timeEntryBulkCreate"]["doneCount"] == 0
    assert (await world.run(LIST, ada)).good["timeEntries"]["totalCount"] == 202


# --- who sees it ---------------------------------------------------------------------------------


async def test_owner_and_admins_read_the_time_of_their_project(world: World) -> None:
    owner, admin, editor, other, stranger = await world.people(5)
    project = await world.project(owner, admins=[admin], editors=[editor, other])
    entry = await created(world, editor, at(8), at(9), projectId=gid(project))
    elsewhere = await created(world, editor, at(8), at(9))
    query = "query ($id: ID!) { timeEntry(id: $id) { viewerCanEdit hasOverlap } }"
    seen = {}
    for person in (owner, admin, editor, other, stranger):
        reply = await world.run(query, person, id=entry["id"])
        seen[person.username] = reply.data["timeEntry"] or reply.codes
    assert list(seen.values()) == [
        # That the editor did something else at that time is not theirs to know.
        {"viewerCanEdit": False, "hasOverlap": False},
        {"viewerCanEdit": False, "hasOverlap": False},
        {"viewerCanEdit": True, "hasOverlap": True},
        ["NOT_FOUND"],
        ["NOT_FOUND"],
    ]
    change = {"id": entry["id"], "description": "Mine"}
    assert (await world.run(UPDATE, admin, input=change)).codes == ["FORBIDDEN"]
    assert (await world.run(UPDATE, other, input=change)).codes == ["NOT_FOUND"]
    assert (await world.run(DELETE, owner, input={"id": entry["id"]})).codes == ["FORBIDDEN"]
    assert (await world.run(query, owner, id=elsewhere["id"])).codes == ["NOT_FOUND"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_tracked_time_of_tasks_and_projects(world: World, engine: Engine) -> None:
    owner, editor, other = await world.people(3)
    project = await world.project(owner, editors=[editor, other])
    top = await world.task(owner, "top", project_id=project.id)
    below = await world.task(owner, "below", project_id=project.id, parent_id=top.id)
    lowest = await world.task(owner, "lowest", project_id=project.id, parent_id=below.id)
    for person, task, minutes in (
        (owner, top, 1),
        (editor, top, 2),
        (editor, below, 4),
        (other, lowest, 8),
    ):
        await created(world, person, at(8), at(8, minutes), taskId=gid(task))
    await created(world, editor, at(9), at(9, 16), projectId=gid(project))
    query = """query ($id: ID!) {
      project(id: $id) {
        mine: tracked all: tracked(all: true)
        tasks(orderBy: [{number: ASC}]) { nodes {
          mine: tracked
          all: tracked(all: true)
          below: tracked(includeSubtasks: true)
          everything: tracked(includeSubtasks: true, all: true)
        } }
      }
    }"""
    reply = await world.run(query, editor, engine=engine, id=gid(project))
    found = reply.good["project"]
    assert (found["mine"], found["all"]) == (22 * 60, 31 * 60)
    spent = [[seconds / 60 for seconds in task.values()] for task in found["tasks"]["nodes"]]
    assert spent == [[2, 3, 6, 15], [4, 4, 4, 12], [0, 8, 0, 8]]
    assert len(reply.statements) <= 8, reply.statements
    found = (await world.run(query, owner, engine=engine, id=gid(project))).good["project"]
    assert found["mine"] == found["all"] == 31 * 60
    tasks = """query ($filter: TaskFilter, $orderBy: [TaskOrder!]) {
      tasks(filter: $filter, orderBy: $orderBy, first: 2) { nodes { title } }
    }"""
    here = {"project": {"id": {"eq": gid(project)}}}
    order = [{"tracked": "DESC"}]
    reply = await world.run(tasks, owner, engine=engine, filter=here, orderBy=order)
    assert [task["title"] for task in reply.good["tasks"]["nodes"]] == ["lowest", "below"]
    reply = await world.run(
        tasks, editor, engine=engine, filter=here | {"tracked": {"gte": 120}}, orderBy=order
    )
    assert [task["title"] for task in reply.good["tasks"]["nodes"]] == ["below", "top"]
    mine = {"timeEntries": {"some": {"user": {"id": {"eq": gid(other)}}}}}
    reply = await world.run(tasks, owner, engine=engine, filter=here | mine)
    assert [task["title"] for task in reply.good["tasks"]["nodes"]] == ["lowest"]
    assert not (await world.run(tasks, editor, engine=engine, filter=here | mine)).good["tasks"][
        "nodes"
    ]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_list_takes_the_same_statements_however_long(world: World, engine: Engine) -> None:
    ada = await world.person()
    project = await world.project(ada)
    task = await world.task(ada, project_id=project.id)
    for hour in range(8):
        await created(world, ada, at(hour), at(hour + 1), taskId=gid(task))
    query = """{ timeEntries(orderBy: [{startedAt: ASC}]) { nodes {
      id startedAt duration hasOverlap viewerCanEdit
      user { username } project { name } task { title }
    } } }"""
    reply = await world.run(query, ada, engine=engine)
    assert len(reply.good["timeEntries"]["nodes"]) == 8
    assert len(reply.statements) <= 4, reply.statements


@pytest.mark.parametrize(
    ("zone", "start", "is_locked"),
    [
        # 2026-11-17 begins in Tokyo at 15:00 UTC of the day before, and in Honolulu at 10:00 UTC.
        ("Asia/Tokyo", "2026-11-16T14:59:59Z", True),
        ("Asia/Tokyo", "2026-11-16T15:00:00Z", False),
        ("Pacific/Honolulu", "2026-11-17T09:59:59Z", True),
        ("Pacific/Honolulu", "2026-11-17T10:00:00Z", False),
    ],
)
async def test_a_lock_compares_days_as_the_entrys_user_sees_them(
    world: World, zone: str, start: str, is_locked: bool
) -> None:
    ada, bob = await world.person(), await world.person(timezone=zone)
    project = await world.project(ada, editors=[bob])
    await world.run(
        "mutation ($input: ProjectUpdateInput!) { projectUpdate(input: $input) { replayed } }",
        ada,
        input={"id": gid(project), "timeLockedBefore": "2026-11-17"},
    )
    here = {"projectId": gid(project)}
    reply = await create(world, bob, time=lasting(start, 5), **here)
    assert (reply.codes == ["TIME_LOCKED"]) is is_locked
    # An entry of a day has no other day than that.
    assert not (await create(world, bob, time=on_day("2026-11-17", 5), **here)).codes
    reply = await create(world, bob, time=on_day("2026-11-16", 5), **here)
    assert failure(reply) == ("TIME_LOCKED", "input.time.day.day")
