"""Timers, as the people who use them find them."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from sqlalchemy import select

from db import models
from tests.factories import World, fresh_id, gid
from tests.graph.request.api_keys import ask, key_of
from tests.graph.time.time_calls import (
    DELETE,
    LIST,
    NOW,
    RUNNING,
    START,
    STOP,
    UPDATE,
    at,
    failure,
)


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
        "duration": 330,
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
    assert [node["duration"] for node in nodes[1:]] == [60]


async def test_of_twenty_starts_at_once_one_timer_runs(world: World) -> None:
    ada = await world.person()
    replies = await asyncio.gather(
        *(world.run(START, ada, input={"description": f"No. {n}"}) for n in range(20))
    )
    assert {bool(reply.good) for reply in replies} == {True}
    reply = await world.run(LIST, ada, filter={"isRunning": True})
    assert reply.good["timeEntries"]["totalCount"] == 1
    assert (await world.run(LIST, ada)).good["timeEntries"]["totalCount"] == 20
    reply = await world.run(LIST, ada, filter={"hasOverlap": True})
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
    query = "{ viewer { runningTimer { id } } }"
    assert (await world.run(query, bob)).good["viewer"]["runningTimer"] is None
    assert (await world.run(query, ada)).good["viewer"]["runningTimer"]


async def test_an_end_stops_a_timer_and_cannot_be_taken_back(world: World) -> None:
    ada = await world.person()
    entry = (await world.run(START, ada, at=NOW, input={})).good["timerStart"]["timeEntry"]
    later = NOW + dt.timedelta(hours=1)
    given: Any = {"id": entry["id"], "time": {"endedAt": at(12, 30)}}
    changed = (await world.run(UPDATE, ada, at=later, input=given)).good["timeEntryUpdate"]
    assert changed["timeEntry"]["duration"] == 1800
    assert not changed["timeEntry"]["isRunning"]
    given = {"id": entry["id"], "time": None}
    assert failure(await world.run(UPDATE, ada, at=later, input=given)) == (
        "BAD_USER_INPUT",
        "input.time",
    )


async def test_a_restricted_key_leaves_a_timer_elsewhere_alone(world: World) -> None:
    ada = await world.person()
    inside, outside = await world.project(ada), await world.project(ada)
    key = await key_of(world, ada, "write", projectIds=[gid(inside)])
    there = await world.run(START, ada, input={"projectId": gid(outside)})
    id_ = there.good["timerStart"]["timeEntry"]["id"]

    async def running() -> Any:
        timer = (await world.run(RUNNING, ada)).good["viewer"]["runningTimer"]
        return timer and timer["id"]

    # An equal timer is none that the key could be given.
    for given in ({}, {"projectId": gid(inside)}):
        assert (await ask(world, key, START, input=given)).codes == ["FORBIDDEN"]
    assert failure(await ask(world, key, STOP, input={})) == ("NOT_FOUND", "")
    assert await running() == id_
    assert (await world.run(STOP, ada, input={})).good
    here = await ask(world, key, START, input={"projectId": gid(inside)})
    assert here.good["timerStart"]["timeEntry"]["id"] == await running()
    assert (await ask(world, key, STOP, input={})).good
    assert await running() is None


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
      events(after: $since, filter: {kind: {in: [TIMER_STARTED, TIMER_STOPPED]}}) {
        nodes { kind subject { ... on TimeEntry { id } } task { id } }
      }
    }"""
    member = await world.person()
    async with world._work(bob) as work:
        from domain.projects import project as projects

        await projects.add_member(work, project.id, member.id, models.Role.EDITOR)
    heard = {}
    for person in (ada, bob, member):
        reply = await world.run(query, person, since=cursor)
        heard[person.username] = len(reply.good["events"]["nodes"])
    assert heard == {ada.username: 2, bob.username: 2, member.username: 0}


async def test_changes_of_own_entries_are_told_with_their_kinds(world: World) -> None:
    ada = await world.person()
    cursor = (await world.run("{ eventCursor }", ada)).good["eventCursor"]
    entry = (await world.run(START, ada, input={})).good["timerStart"]["timeEntry"]
    await world.run(STOP, ada, input={})
    for change in ({"description": "x"}, {"tags": ["a"]}):
        assert (await world.run(UPDATE, ada, input={"id": entry["id"], **change})).good
    assert (await world.run(DELETE, ada, input={"id": entry["id"]})).good
    query = """subscription ($after: String) {
      timerChanged(after: $after) { kind timeEntry { id } runningTimer { id } }
    }"""
    heard: list[Any] = []
    async with asyncio.timeout(20):
        async for reply in world.deliveries(query, ada, after=cursor):
            heard.append(reply.good["timerChanged"])
            if len(heard) == 5:
                break
    kinds = ["TIMER_STARTED", "TIMER_STOPPED", *2 * ["TIME_ENTRY_UPDATED"], "TIME_ENTRY_DELETED"]
    # Events show the current entry, which is deleted.
    assert heard == [{"kind": kind, "timeEntry": None, "runningTimer": None} for kind in kinds]


async def test_a_running_timer_counts_up_to_now(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    hour_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    await world.run(START, ada, at=hour_ago, input={"taskId": gid(task)})
    query = "query ($id: ID!) { task(id: $id) { tracked } }"
    seconds = (await world.run(query, ada, id=gid(task))).good["task"]["tracked"]
    assert 3600 <= seconds < 3700


async def test_who_leaves_lets_their_timer_end(world: World) -> None:
    ada, bob = await world.people(2)
    # Time outside of projects is nobody else's to see, and goes with the account.
    project = await world.project(bob, editors=[ada])
    await world.run(START, ada, input={"projectId": gid(project)})
    reply = await world.run(
        'mutation { accountDelete(input: {password: "correct horse battery", confirm: true}) '
        "{ deletedId errors { code } } }",
        ada,
    )
    assert reply.good
    async with world.database.session() as session:
        rows = await session.execute(
            select(models.TimeEntry.ended_at).where(models.TimeEntry.user_id == ada.id)
        )
        assert [row.ended_at is not None for row in rows] == [True]


async def test_a_start_returns_the_running_timer_only_if_all_that_is_given_is_equal(
    world: World,
) -> None:
    ada = await world.person()
    task = await world.task(ada)
    full = {"taskId": gid(task), "description": "Weld", "isBillable": True, "tags": ["Iron", "hot"]}

    async def start(**given: object) -> str:
        reply = await world.run(START, ada, input=given)
        return str(reply.good["timerStart"]["timeEntry"]["id"])

    first = await start(**full)
    # Equal in all that is given, however much that is; tags are a set without regard to case.
    assert await start(**full | {"tags": ["HOT", "iron"]}) == first
    assert await start(taskId=gid(task), isBillable=True) == first
    assert await start(isBillable=True) == first
    seen = {first}
    # A timer is not billable unless that is said, so this is another one.
    seen.add(await start(taskId=gid(task)))
    seen.add(await start(**full))
    for name, value in (
        ("isBillable", False),
        ("tags", ["iron"]),
        ("tags", []),
        ("description", None),
        ("description", "weld"),
        ("taskId", None),
    ):
        other = await start(**full | {name: value})
        assert other not in seen, name
        seen.add(other)
        seen.add(await start(**full))
