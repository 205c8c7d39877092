"""What changes the time of one person at one moment happens one after the other."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from db import models
from domain.time import time_entry, timer
from domain.time.time_values import NewTimeEntry
from domain.time.times import Range
from graph.core import ids
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, gid
from tests.graph.time.time_calls import (
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
    on_day,
)
from tests.waiting import begun_beside

EIGHT = NOW.replace(hour=8, microsecond=0)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
async def ada(world: World) -> Person:
    return await world.person()


@pytest.fixture
async def strict(world: World, ada: Person) -> models.Project:
    """A project whose entries may not overlap."""
    project = await world.project(ada)
    query = """mutation ($input: ProjectUpdateInput!) {
      projectUpdate(input: $input) { errors { code } }
    }"""
    values = {"id": gid(project), "isOverlapAllowed": False}
    assert (await world.run(query, ada, input=values)).good
    return project


async def count(world: World, person: Person, **filter_: Any) -> int:
    reply = await world.run(LIST, person, filter=filter_ or None)
    found: int = reply.good["timeEntries"]["totalCount"]
    return found


async def test_an_entry_made_beside_another_sees_that_they_overlap(
    world: World, ada: Person, strict: models.Project
) -> None:
    new = NewTimeEntry(Range(EIGHT, EIGHT + HOUR), project_id=strict.id)
    async with world._work(ada) as work:
        await time_entry.create(work, new)
        later = create(world, ada, time=during(at(8, 30), at(9, 30)), projectId=gid(strict))
        running = await begun_beside(world.database, work.session, later)
    assert failure(await running) == ("TIME_OVERLAP", "input.time.range.startedAt")
    assert await count(world, ada) == 1


async def test_an_entry_changed_beside_another_sees_that_they_overlap(
    world: World, ada: Person, strict: models.Project
) -> None:
    other = await created(world, ada, at(10), at(11), projectId=gid(strict))
    new = NewTimeEntry(Range(EIGHT, EIGHT + HOUR), project_id=strict.id)
    async with world._work(ada) as work:
        await time_entry.create(work, new)
        values = {"id": other["id"], "time": {"startedAt": at(8, 30)}}
        later = world.run(UPDATE, ada, at=NOW, input=values)
        running = await begun_beside(world.database, work.session, later)
    assert failure(await running) == ("TIME_OVERLAP", "input.time.startedAt")
    assert await count(world, ada, hasOverlap=True) == 0


async def test_an_entry_made_beside_a_change_sees_that_they_overlap(
    world: World, ada: Person, strict: models.Project
) -> None:
    changed = await created(world, ada, at(10), at(11), projectId=gid(strict))
    async with world._work(ada) as work:
        changes = {"time": Range(EIGHT, EIGHT + HOUR)}
        await time_entry.update_entry(
            work, ids.decode(models.TimeEntry, changed["id"], ()), changes, None
        )
        later = create(world, ada, time=during(at(8, 30), at(9, 30)), projectId=gid(strict))
        running = await begun_beside(world.database, work.session, later)
    assert failure(await running) == ("TIME_OVERLAP", "input.time.range.startedAt")
    assert await count(world, ada) == 1


async def test_a_timer_started_beside_another_stops_it(world: World, ada: Person) -> None:
    async with world._work(ada) as work:
        await timer.start(work, {"description": "The first"})
        later = world.run(START, ada, input={"description": "The second"})
        running = await begun_beside(world.database, work.session, later)
    assert (await running).good["timerStart"]["timeEntry"]["description"] == "The second"
    assert (await count(world, ada), await count(world, ada, isRunning=True)) == (2, 1)


async def test_a_stop_beside_a_start_stops_what_was_started(world: World, ada: Person) -> None:
    async with world._work(ada) as work:
        await timer.start(work)
        running = await begun_beside(world.database, work.session, world.run(STOP, ada, input={}))
    assert (await running).good
    assert await count(world, ada, isRunning=True) == 0


BULK = """mutation ($input: TimeEntryBulkCreateInput!) {
  timeEntryBulkCreate(input: $input) {
    doneCount results { errors { code path } } errors { code path message }
  }
}"""


@pytest.mark.parametrize("order", [1, -1])
async def test_entries_of_one_call_do_not_overlap_where_either_project_forbids_it(
    world: World, ada: Person, strict: models.Project, order: int
) -> None:
    here = {"time": during(at(8), at(9)), "projectId": gid(strict)}
    over = {"time": during(at(8, 59), at(10))}
    beside = {"time": during(at(10), at(11)), "projectId": gid(strict)}
    free = [{"time": during(at(5), at(7))}, {"time": during(at(6), at(7))}]
    items = [*[here, over][::order], beside, *free]
    reply = await world.run(BULK, ada, at=NOW, input={"items": items, "onError": "CONTINUE"})
    results = reply.data["timeEntryBulkCreate"]["results"]
    codes = [[error["code"] for error in result["errors"]] for result in results]
    assert codes == [[], ["TIME_OVERLAP"], [], [], []]
    assert results[1]["errors"][0]["path"] == ["input", "items", "1", "time", "range", "startedAt"]
    reply = await world.run(BULK, ada, at=NOW, input={"items": items})
    assert reply.data["timeEntryBulkCreate"]["doneCount"] == 0
    assert await count(world, ada) == 4


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("timezone", "is_open"), [("UTC", False), ("Europe/Zurich", True), ("America/Lima", False)]
)
async def test_whether_an_entry_can_change_is_told_by_the_day_of_its_user(
    world: World, engine: Engine, timezone: str, is_open: bool
) -> None:
    person = await world.person(timezone=timezone)
    project = await world.project(person)
    late = await created(
        world, person, at(23, 30, day=16), at(23, 45, day=16), projectId=gid(project)
    )
    by_day = await create(world, person, time=on_day("2026-11-16", 60), projectId=gid(project))
    elsewhere = await created(world, person, at(7), at(8))
    lock = """mutation ($input: ProjectUpdateInput!) {
      projectUpdate(input: $input) { errors { code } }
    }"""
    values = {"id": gid(project), "timeLockedBefore": "2026-11-17"}
    assert (await world.run(lock, person, input=values)).good
    can = """query ($ids: [ID!]!) { nodes(ids: $ids) {
      ... on TimeEntry { viewerCanEdit viewerCanDelete description }
    } }"""
    entries = [late, by_day.good["timeEntryCreate"]["timeEntry"], elsewhere]
    reply = await world.run(can, person, engine=engine, ids=[entry["id"] for entry in entries])
    told = [(node["viewerCanEdit"], node["viewerCanDelete"]) for node in reply.good["nodes"]]
    assert told == [(is_open, is_open), (False, False), (True, True)]
    for entry, (edit, _) in zip(entries, told, strict=True):
        values = {"id": entry["id"], "description": "x"}
        reply = await world.run(UPDATE, person, at=NOW, input=values)
        codes = [error["code"] for error in reply.data["timeEntryUpdate"]["errors"]]
        assert codes == ([] if edit else ["TIME_LOCKED"])
