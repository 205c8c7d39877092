"""Time entries and timers, as the people who use them find them."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from sqlalchemy import select

from db import models
from tests.accounts import Person
from tests.factories import ENGINES, Engine, Reply, World, fresh_id, gid, missing

NOW = dt.datetime(2026, 11, 18, 12, 0, 0, 400_000, tzinfo=dt.UTC)

START = """mutation ($input: TimerStartInput!) {
  timerStart(input: $input) {
    timeEntry { id startedAt endedAt isRunning description task { id } project { id } }
    errors { code path message }
  }
}"""
STOP = """mutation ($input: TimerStopInput!) {
  timerStop(input: $input) {
    timeEntry { id endedAt durationSeconds isRunning } errors { code path message }
  }
}"""
CREATE = """mutation ($input: TimeEntryCreateInput!) {
  timeEntryCreate(input: $input) {
    timeEntry { id startedAt endedAt day durationSeconds overlaps billable tags project { id } }
    errors { code path message }
  }
}"""
UPDATE = """mutation ($input: TimeEntryUpdateInput!) {
  timeEntryUpdate(input: $input) {
    timeEntry { id startedAt endedAt day durationSeconds description version isRunning
      task { id } project { id } }
    errors { code path message fields }
  }
}"""
DELETE = """mutation ($input: TimeEntryDeleteInput!) {
  timeEntryDelete(input: $input) { deletedId errors { code path message } }
}"""
LIST = """query ($filter: TimeEntryFilter, $orderBy: [TimeEntryOrder!]) {
  timeEntries(filter: $filter, orderBy: $orderBy) {
    totalCount nodes { id durationSeconds overlaps user { username } }
  }
}"""
RUNNING = "{ viewer { runningTimer { id description } } }"


def at(hour: int, minute: int = 0, second: int = 0, *, day: int = 18) -> str:
    return f"2026-11-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"


async def create(world: World, person: Person, **given: Any) -> Reply:
    return await world.run(CREATE, person, at=NOW, input=given)


async def created(world: World, person: Person, start: str, end: str, **given: Any) -> Any:
    reply = await create(world, person, startedAt=start, endedAt=end, **given)
    return reply.good["timeEntryCreate"]["timeEntry"]


def failure(reply: Reply) -> tuple[str, str]:
    assert not reply.errors, reply.errors
    (error,) = reply.user_errors
    return error["code"], ".".join(error["path"])


# --- timers --------------------------------------------------------------------------------------


async def test_a_timer_is_started_and_stopped(world: World) -> None:
    ada = await world.person()
    started = (await world.run(START, ada, at=NOW, input={"description": "Write"})).good
    entry = started["timerStart"]["timeEntry"]
    assert entry["startedAt"] == at(12)
    assert entry["isRunning"]
    running = (await world.run(RUNNING, ada)).good["viewer"]["runningTimer"]
    assert running == {"id": entry["id"], "description": "Write"}
    later = NOW + dt.timedelta(minutes=5, seconds=30)
    stopped = (await world.run(STOP, ada, at=later, input={})).good["timerStop"]["timeEntry"]
    assert stopped == {
        "id": entry["id"],
        "endedAt": at(12, 5, 30),
        "durationSeconds": 330,
        "isRunning": False,
    }
    assert (await world.run(RUNNING, ada)).good["viewer"]["runningTimer"] is None
    assert failure(await world.run(STOP, ada, input={})) == ("NOT_FOUND", "")


async def test_a_start_stops_the_other_timer_and_is_safe_to_repeat(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    first = (await world.run(START, ada, at=NOW, input={"taskId": gid(task)})).good["timerStart"]
    again = await world.run(
        START, ada, at=NOW + dt.timedelta(seconds=9), input={"taskId": gid(task)}
    )
    assert again.good["timerStart"] == first
    later = NOW + dt.timedelta(minutes=1)
    other = await world.run(START, ada, at=later, input={"description": "Something else"})
    assert other.good["timerStart"]["timeEntry"]["id"] != first["timeEntry"]["id"]
    nodes = (await world.run(LIST, ada)).good["timeEntries"]["nodes"]
    assert [node["durationSeconds"] for node in nodes[1:]] == [60]


async def test_of_twenty_starts_at_once_one_timer_runs(world: World) -> None:
    ada = await world.person()
    replies = await asyncio.gather(
        *(world.run(START, ada, input={"description": f"No. {n}"}) for n in range(20))
    )
    assert {bool(reply.good) for reply in replies} == {True}
    reply = await world.run(LIST, ada, filter={"isRunning": True})
    assert reply.good["timeEntries"]["totalCount"] == 1
    assert (await world.run(LIST, ada)).good["timeEntries"]["totalCount"] == 20
    reply = await world.run(LIST, ada, filter={"overlaps": True})
    assert reply.good["timeEntries"]["totalCount"] == 0


async def test_of_twenty_equal_starts_one_counts(world: World) -> None:
    ada = await world.person()
    replies = await asyncio.gather(
        *(world.run(START, ada, input={"description": "The same"}) for _ in range(20))
    )
    assert len({reply.good["timerStart"]["timeEntry"]["id"] for reply in replies}) == 1
    assert (await world.run(LIST, ada)).good["timeEntries"]["totalCount"] == 1


async def test_the_database_holds_one_running_timer(world: World) -> None:
    ada = await world.person()
    await world.run(START, ada, input={})
    now = dt.datetime.now(dt.UTC)
    second = models.TimeEntry(
        id=fresh_id(), user_id=ada.id, started_at=now, created_at=now, updated_at=now
    )
    with pytest.raises(Exception, match="uq_time_entries_running"):
        await world.rows(second)


async def test_the_timer_of_another_is_nobodys_to_see(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(bob, viewers=[ada])
    await world.run(START, ada, input={"projectId": gid(project)})
    query = "query ($id: ID!) { user(id: $id) { runningTimer { id } } }"
    assert (await world.run(query, bob, id=gid(ada))).good["user"]["runningTimer"] is None
    assert (await world.run(query, ada, id=gid(ada))).good["user"]["runningTimer"]


async def test_an_end_stops_a_timer_and_cannot_be_taken_back(world: World) -> None:
    ada = await world.person()
    entry = (await world.run(START, ada, at=NOW, input={})).good["timerStart"]["timeEntry"]
    later = NOW + dt.timedelta(hours=1)
    given = {"id": entry["id"], "endedAt": at(12, 30)}
    changed = (await world.run(UPDATE, ada, at=later, input=given)).good["timeEntryUpdate"]
    assert changed["timeEntry"]["durationSeconds"] == 1800
    assert not changed["timeEntry"]["isRunning"]
    given = {"id": entry["id"], "endedAt": None}
    assert failure(await world.run(UPDATE, ada, at=later, input=given)) == (
        "BAD_USER_INPUT",
        "input.endedAt",
    )


async def test_timers_are_told_of_live_to_their_own_user(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(bob, viewers=[ada])
    cursor = (await world.run("{ eventCursor }", ada)).good["eventCursor"]
    task = await world.task(bob, project_id=project.id)
    entry = (await world.run(START, ada, input={"taskId": gid(task)})).good["timerStart"]
    await world.run(STOP, ada, input={})
    query = """subscription ($after: String) {
      timerChanged(after: $after) { kind timeEntry { id } runningTimer { id } }
    }"""
    kinds = []
    async with asyncio.timeout(20):
        async for reply in world.deliveries(query, ada, after=cursor):
            kinds.append(reply.good["timerChanged"]["kind"])
            assert reply.good["timerChanged"]["timeEntry"]["id"] == entry["timeEntry"]["id"]
            if len(kinds) == 2:
                break
    assert kinds == ["TIMER_STARTED", "TIMER_STOPPED"]
    # Owner and admins of the project hear of it as of other events; members and strangers do not.
    query = """query ($since: String!) {
      changes(since: $since, filter: {kinds: [TIMER_STARTED, TIMER_STOPPED]}) {
        nodes { kind subject { ... on TimeEntry { id } } task { id } }
      }
    }"""
    member = await world.person()
    async with world._work(bob) as work:
        from domain import project as projects

        await projects.add_member(work, project.id, member.id, None, models.Role.EDITOR)
    heard = {}
    for person in (ada, bob, member):
        reply = await world.run(query, person, since=cursor)
        heard[person.username] = len(reply.good["changes"]["nodes"])
    assert heard == {ada.username: 2, bob.username: 2, member.username: 0}


# --- entries -------------------------------------------------------------------------------------


async def test_time_is_entered_by_moments_or_a_duration(world: World) -> None:
    ada = await world.person()
    whole = await created(world, ada, at(8), at(9, 30), billable=True, tags=["a", "A", "b"])
    assert whole["durationSeconds"] == 5400
    assert whole["billable"]
    assert whole["tags"] == ["a", "b"]
    reply = await create(world, ada, startedAt=at(10), durationSeconds=60)
    assert reply.good["timeEntryCreate"]["timeEntry"]["endedAt"] == at(10, 1)
    reply = await create(world, ada, day="2026-11-17", durationSeconds=3 * 3600)
    entry = reply.good["timeEntryCreate"]["timeEntry"]
    assert (entry["day"], entry["durationSeconds"]) == ("2026-11-17", 10_800)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, "startedAt"),
        ({"startedAt": at(8)}, "endedAt"),
        ({"startedAt": at(8), "endedAt": at(9), "durationSeconds": 1}, "endedAt"),
        ({"startedAt": at(9), "endedAt": at(8)}, "endedAt"),
        ({"startedAt": at(9), "durationSeconds": -1}, "durationSeconds"),
        ({"startedAt": at(11), "endedAt": at(12, 0, 1)}, "endedAt"),
        ({"startedAt": at(8, day=17), "endedAt": at(8, 0, 1)}, "force"),
        ({"day": "2026-11-17"}, "durationSeconds"),
        ({"day": "2026-11-19", "durationSeconds": 5}, "day"),
        ({"day": "2026-11-17", "startedAt": at(8), "durationSeconds": 5}, "day"),
        ({"startedAt": at(8), "durationSeconds": 5, "tags": [""]}, "tags.0"),
        ({"startedAt": at(8), "durationSeconds": 5, "description": "x" * 501}, "description"),
    ],
    ids=str,
)
async def test_what_cannot_be_is_refused(world: World, given: dict[str, Any], path: str) -> None:
    ada = await world.person()
    assert failure(await create(world, ada, **given)) == ("BAD_USER_INPUT", f"input.{path}")


async def test_a_day_and_more_needs_force(world: World) -> None:
    ada = await world.person()
    entry = await created(world, ada, at(8, day=16), at(8, 0, 1), force=True)
    assert entry["durationSeconds"] == 2 * 86_400 + 1


async def test_overlaps_are_flagged(world: World) -> None:
    ada = await world.person()
    for start, end in ((8, 9), (9, 10), (10, 12), (11, 12)):
        await created(world, ada, at(start), at(end))
    await create(world, ada, day="2026-11-18", durationSeconds=86_400)
    long = await created(world, ada, at(8, day=2), at(8, day=4), force=True)
    inside = await created(world, ada, at(9, day=3), at(10, day=3))
    assert inside["overlaps"]
    order: Any = [{"startedAt": {}}]
    reply = await world.run(LIST, ada, orderBy=order, filter={"day": {"isNull": True}})
    nodes = reply.good["timeEntries"]["nodes"]
    assert [node["overlaps"] for node in nodes] == [True, True, False, False, True, True]
    assert nodes[0]["id"] == long["id"]


async def test_a_strict_project_refuses_overlaps(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, editors=[bob])
    await world.run(
        """mutation ($input: ProjectUpdateInput!) {
          projectUpdate(input: $input) { project { allowOverlaps } errors { code } }
        }""",
        ada,
        input={"id": gid(project), "allowOverlaps": False},
    )
    here = {"projectId": gid(project)}
    first = await created(world, ada, at(8), at(9), **here)
    assert failure(
        await create(world, ada, startedAt=at(8, 59, 59), durationSeconds=5, **here)
    ) == ("OVERLAP", "input.startedAt")
    # Nor may time elsewhere be put over it.
    assert failure(await create(world, ada, startedAt=at(8), durationSeconds=5))[0] == "OVERLAP"
    # Others have time of their own; touching is no overlap.
    await created(world, bob, at(8), at(9), **here)
    second = await created(world, ada, at(9), at(10), **here)
    reply = await world.run(UPDATE, ada, at=NOW, input={"id": second["id"], "startedAt": at(8, 30)})
    assert failure(reply) == ("OVERLAP", "input.startedAt")
    reply = await world.run(UPDATE, ada, at=NOW, input={"id": first["id"], "endedAt": at(8, 30)})
    assert reply.good
    # Of many at one moment one is made.
    replies = await asyncio.gather(
        *(create(world, ada, startedAt=at(11), endedAt=at(12), **here) for _ in range(8))
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
    reply = await create(world, bob, startedAt=at(23, 59, 59, day=16), durationSeconds=5, **here)
    assert failure(reply) == ("LOCKED", "input.startedAt")
    change = {"id": old["id"], "description": "x"}
    assert failure(await world.run(UPDATE, bob, at=NOW, input=change)) == ("LOCKED", "input.id")
    assert failure(await world.run(DELETE, bob, at=NOW, input={"id": old["id"]}))[0] == "LOCKED"
    change = {"id": new["id"], "startedAt": at(23, day=16)}
    assert failure(await world.run(UPDATE, bob, at=NOW, input=change)) == (
        "LOCKED",
        "input.startedAt",
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
    reply = await create(world, ada, startedAt=at(8), durationSeconds=5, projectId=gid(project))
    assert failure(reply) == ("ARCHIVED", "input.projectId")
    assert failure(await world.run(DELETE, ada, input={"id": entry["id"]}))[0] == "ARCHIVED"
    assert (await world.run(STOP, ada, input={})).good


async def test_an_entry_goes_with_its_task(world: World) -> None:
    ada = await world.person()
    here, there = await world.project(ada), await world.project(ada)
    task = await world.task(ada, project_id=here.id)
    entry = await created(world, ada, at(8), at(9), taskId=gid(task))
    assert entry["project"] == {"id": gid(here)}
    wrong = {"startedAt": at(8), "durationSeconds": 1, "projectId": gid(there)}
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
    query = "query ($id: ID!) { timeEntry(id: $id) { durationSeconds task { id } } }"
    gone = {"durationSeconds": 3600, "task": None}
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

    assert (await change(startedAt=at(8, 30)))["durationSeconds"] == 1800
    assert (await change(durationSeconds=60))["endedAt"] == at(8, 31)
    moved = await change(day="2026-11-10")
    assert (moved["day"], moved["durationSeconds"]) == ("2026-11-10", 60)
    longer = await change(durationSeconds=120)
    assert (longer["day"], longer["durationSeconds"]) == ("2026-11-10", 120)
    back = await change(startedAt=at(7), day=None)
    assert (back["day"], back["endedAt"]) == (None, at(7, 2))
    reply = await world.run(UPDATE, ada, at=NOW, input={"id": entry["id"], "ifVersion": 1})
    assert reply.codes == ["CONFLICT"]


async def test_many_are_entered_at_once(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    query = """mutation ($input: TimeEntryBulkCreateInput!) {
      timeEntryBulkCreate(input: $input) {
        doneCount errors { code path }
        results { index timeEntry { durationSeconds } errors { code path } }
      }
    }"""
    good = {"startedAt": at(8), "durationSeconds": 60, "projectId": gid(project)}
    bad = {"startedAt": at(8), "durationSeconds": -1}
    hidden = good | {"projectId": missing(gid(project))}
    items = [good, bad, hidden, good]
    reply = await world.run(query, ada, at=NOW, input={"items": items})
    assert reply.data["timeEntryBulkCreate"]["doneCount"] == 0
    assert [error["path"] for error in reply.user_errors] == [
        ["input", "items", "1", "durationSeconds"],
        ["input", "items", "2", "projectId"],
    ]
    reply = await world.run(query, ada, at=NOW, input={"items": items, "onError": "CONTINUE"})
    results = reply.data["timeEntryBulkCreate"]["results"]
    assert [bool(result["timeEntry"]) for result in results] == [True, False, False, True]
    assert results[1]["errors"][0]["code"] == "BAD_USER_INPUT"
    many = [good | {"startedAt": at(8, 0, n % 60)} for n in range(200)]
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
    query = "query ($id: ID!) { timeEntry(id: $id) { viewerCanEdit overlaps } }"
    seen = {}
    for person in (owner, admin, editor, other, stranger):
        reply = await world.run(query, person, id=entry["id"])
        seen[person.username] = reply.data["timeEntry"] or reply.codes
    assert list(seen.values()) == [
        # That the editor did something else at that time is not theirs to know.
        {"viewerCanEdit": False, "overlaps": False},
        {"viewerCanEdit": False, "overlaps": False},
        {"viewerCanEdit": True, "overlaps": True},
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
        mine: trackedSeconds all: trackedSeconds(all: true)
        tasks(orderBy: [{number: {}}]) { nodes {
          mine: trackedSeconds
          all: trackedSeconds(all: true)
          below: trackedSeconds(includeSubtasks: true)
          everything: trackedSeconds(includeSubtasks: true, all: true)
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
    here = {"projectId": {"eq": gid(project)}}
    order = [{"trackedSeconds": {"direction": "DESC"}}]
    reply = await world.run(tasks, owner, engine=engine, filter=here, orderBy=order)
    assert [task["title"] for task in reply.good["tasks"]["nodes"]] == ["lowest", "below"]
    reply = await world.run(
        tasks, editor, engine=engine, filter=here | {"trackedSeconds": {"gte": 120}}, orderBy=order
    )
    assert [task["title"] for task in reply.good["tasks"]["nodes"]] == ["below", "top"]
    mine = {"timeEntries": {"some": {"userId": {"eq": gid(other)}}}}
    reply = await world.run(tasks, owner, engine=engine, filter=here | mine)
    assert [task["title"] for task in reply.good["tasks"]["nodes"]] == ["lowest"]
    assert not (await world.run(tasks, editor, engine=engine, filter=here | mine)).good["tasks"][
        "nodes"
    ]


async def test_a_running_timer_counts_up_to_now(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    hour_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    await world.run(START, ada, at=hour_ago, input={"taskId": gid(task)})
    query = "query ($id: ID!) { task(id: $id) { trackedSeconds } }"
    seconds = (await world.run(query, ada, id=gid(task))).good["task"]["trackedSeconds"]
    assert 3600 <= seconds < 3700


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_list_takes_the_same_statements_however_long(world: World, engine: Engine) -> None:
    ada = await world.person()
    project = await world.project(ada)
    task = await world.task(ada, project_id=project.id)
    for hour in range(8):
        await created(world, ada, at(hour), at(hour + 1), taskId=gid(task))
    query = """{ timeEntries(orderBy: [{startedAt: {}}]) { nodes {
      id startedAt durationSeconds overlaps viewerCanEdit
      user { username } project { name } task { title }
    } } }"""
    reply = await world.run(query, ada, engine=engine)
    assert len(reply.good["timeEntries"]["nodes"]) == 8
    assert len(reply.statements) <= 4, reply.statements


async def test_who_leaves_lets_their_timer_end(world: World) -> None:
    ada = await world.person()
    await world.run(START, ada, input={})
    reply = await world.run(
        'mutation { userDelete(input: {password: "correct horse battery"}) { errors { code } } }',
        ada,
    )
    assert reply.good
    async with world.database.session() as session:
        rows = await session.execute(
            select(models.TimeEntry.ended_at).where(models.TimeEntry.user_id == ada.id)
        )
        assert [row.ended_at is not None for row in rows] == [True]
