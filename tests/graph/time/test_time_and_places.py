"""Time in projects that are archived, locked, deleted, restored, or left by its user."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from db import models
from tests.accounts import Person
from tests.factories import World, gid
from tests.graph.time.test_time_report import entry, membership
from tests.graph.time.time_calls import (
    CREATE,
    DELETE,
    NOW,
    STOP,
    UPDATE,
    at,
    create,
    created,
    during,
    lasting,
    on_day,
)
from tests.graph.time.time_calls import START as START_TIMER

START = dt.datetime(2026, 11, 16, 8, tzinfo=dt.UTC)
RIGHTS = "query ($id: ID!) { timeEntry(id: $id) { viewerCanEdit viewerCanDelete } }"
REPORT = """query ($zone: TimeZone) {
  timeReport(groupBy: [PROJECT], timezone: $zone) {
    total groups { project { name } total count timeEntries { totalCount nodes { id } } }
  }
}"""


async def does(world: World, person: Person, mutation: str, **given: Any) -> None:
    type_ = mutation[0].upper() + mutation[1:] + "Input"
    document = f"mutation ($i: {type_}!) {{ {mutation}(input: $i) {{ errors {{ code }} }} }}"
    assert (await world.run(document, person, i=given)).good


async def bring(
    world: World, state: str, owner: Person, project: models.Project, editor: Person
) -> None:
    """Bring a project, or its editor, into a state."""
    id_ = gid(project)
    if state == "archived":
        await does(world, owner, "projectArchive", id=id_)
    elif state == "locked":
        await does(world, owner, "projectUpdate", id=id_, timeLockedBefore="2026-11-17")
    elif state in {"deleted", "restored"}:
        await does(world, owner, "projectDelete", id=id_)
        if state == "restored":
            await does(world, owner, "projectRestore", id=id_)
    elif state == "left":
        member = await membership(world, owner, project, editor)
        await does(world, owner, "projectMemberRemove", id=member)


@pytest.mark.parametrize("state", ["open", "archived", "locked", "deleted", "restored", "left"])
async def test_single_and_bulk_changes_are_as_the_permission_fields_say(
    world: World, state: str
) -> None:
    owner, editor = await world.people(2)
    project = await world.project(owner, editors=[editor])
    mine = await created(
        world, editor, "2026-11-16T08:00:00Z", "2026-11-16T09:00:00Z", projectId=gid(project)
    )
    await bring(world, state, owner, project, editor)
    shown = (await world.run(RIGHTS, editor, id=mine["id"])).good["timeEntry"]
    tried = {}
    for verb, more in (("Update", {"description": "x"}), ("Delete", {})):
        document = f"""mutation ($i: TimeEntryBulk{verb}Input!) {{
          timeEntryBulk{verb}(input: $i) {{ validCount errors {{ code }} }}
        }}"""
        given = {"items": [{"id": mine["id"], **more}], "dryRun": True}
        reply = await world.run(document, editor, at=NOW, i=given)
        assert not reply.errors
        tried[verb] = reply.data[f"timeEntryBulk{verb}"]["validCount"] == 1
    assert tried == {"Update": shown["viewerCanEdit"], "Delete": shown["viewerCanDelete"]}
    change = {"id": mine["id"], "description": "x"}
    edited = await world.run(UPDATE, editor, at=NOW, input=change)
    assert (edited.codes == []) is shown["viewerCanEdit"]
    deleted = await world.run(DELETE, editor, at=NOW, input={"id": mine["id"]})
    assert (deleted.codes == []) is shown["viewerCanDelete"]
    assert edited.codes == deleted.codes


async def test_time_of_a_deleted_project_is_its_users_alone_until_it_is_restored(
    world: World,
) -> None:
    owner, editor = await world.people(2)
    project = await world.project(owner, name="Bridge", editors=[editor])
    rows = [entry(owner, START, 1, project=project), entry(editor, START, 2, project=project)]
    await world.rows(*rows)

    async def shown(person: Person) -> list[Any]:
        report = (await world.run(REPORT, person)).good["timeReport"]
        return [
            (
                group["project"] and group["project"]["name"],
                group["total"],
                sorted(node["id"] for node in group["timeEntries"]["nodes"]),
            )
            for group in report["groups"]
        ]

    mine, theirs = (gid(row) for row in rows)
    before = [await shown(person) for person in (owner, editor)]
    assert before == [[("Bridge", 3, sorted([mine, theirs]))], [("Bridge", 2, [theirs])]]
    await bring(world, "deleted", owner, project, editor)
    assert await shown(owner) == [(None, 1, [mine])]
    assert await shown(editor) == [(None, 2, [theirs])]
    await does(world, owner, "projectRestore", id=gid(project))
    assert [await shown(person) for person in (owner, editor)] == before


# --- zones ---------------------------------------------------------------------------------------

DAYS = "{ timeReport(groupBy: [DAY]) { groups { day total timeEntries { nodes { id } } } } }"


async def moved(world: World, person: Person, zone: str) -> Any:
    """Somebody in another zone, as their next request finds them."""
    await does(world, person, "accountUpdate", timezone=zone)
    return await world.services.authenticator.viewer(person.header)


async def days_of(world: World, person: Person) -> dict[str, tuple[int, list[str]]]:
    """The seconds and entries of each day, in the zone of the profile."""
    report = (await world.run(DAYS, person)).good["timeReport"]
    return {
        group["day"]: (group["total"], [node["id"] for node in group["timeEntries"]["nodes"]])
        for group in report["groups"]
    }


async def test_a_timer_across_midnight_counts_on_both_days_of_the_profile(world: World) -> None:
    ada = await world.person(timezone="Asia/Tokyo")
    # 23:30 to 01:00 in Tokyo, and one day in UTC.
    begun = dt.datetime(2026, 11, 16, 14, 30, tzinfo=dt.UTC)
    started = await world.run(START_TIMER, ada, at=begun, input={"description": "Night"})
    id_ = started.good["timerStart"]["timeEntry"]["id"]
    ended = begun + dt.timedelta(minutes=90)
    assert (await world.run(STOP, ada, at=ended, input={})).good
    assert await days_of(world, ada) == {"2026-11-16": (1800, [id_]), "2026-11-17": (3600, [id_])}
    assert await days_of(world, await moved(world, ada, "UTC")) == {"2026-11-16": (5400, [id_])}


async def test_a_day_stays_that_day_in_every_zone(world: World) -> None:
    ada = await world.person(timezone="Pacific/Kiritimati")
    made = await create(world, ada, time=on_day("2026-11-17", 3600))
    id_ = made.good["timeEntryCreate"]["timeEntry"]["id"]
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Zurich"):
        there = await moved(world, ada, zone)
        assert await days_of(world, there) == {"2026-11-17": (3600, [id_])}
        change = {"id": id_, "time": on_day("2026-11-17", 3600), "description": zone}
        changed = (await world.run(UPDATE, there, at=NOW, input=change)).good["timeEntryUpdate"]
        assert (changed["timeEntry"]["day"], changed["timeEntry"]["duration"]) == (
            "2026-11-17",
            3600,
        )
    # Today is another day at the other end of the world, and tomorrow cannot be entered.
    noon = dt.datetime(2026, 11, 18, 12, tzinfo=dt.UTC)
    for zone, today in (("Pacific/Kiritimati", "2026-11-19"), ("Pacific/Pago_Pago", "2026-11-18")):
        there = await moved(world, ada, zone)
        tomorrow = (dt.date.fromisoformat(today) + dt.timedelta(days=1)).isoformat()
        for day, codes in ((today, []), (tomorrow, ["BAD_USER_INPUT"])):
            given = {"time": on_day(day, 60)}
            assert (await world.run(CREATE, there, at=noon, input=given)).codes == codes


# --- a closed month ------------------------------------------------------------------------------


async def test_a_bulk_into_a_closed_month_leaves_what_is_closed(world: World) -> None:
    ada = await world.person(timezone="Europe/Zurich")
    project = await world.project(ada)
    here = {"projectId": gid(project)}
    old = await created(world, ada, at(8, day=2), at(9, day=2), **here)
    new = await created(world, ada, at(8, day=17), at(9, day=17), **here)
    free = await created(world, ada, at(8, day=3), at(9, day=3))
    await does(world, ada, "projectUpdate", id=gid(project), timeLockedBefore="2026-11-10")
    items = [
        {"id": old["id"], "isBillable": True},
        {"id": new["id"], "time": {"startedAt": at(8, 30, day=17)}},
        # Into the closed time: by its time, by its day, and by its project.
        {"id": (await created(world, ada, at(9, day=17), at(10, day=17), **here))["id"]}
        | {"time": during(at(8, day=9), at(9, day=9))},
        {"id": (await created(world, ada, at(10, day=17), at(11, day=17), **here))["id"]}
        | {"time": on_day("2026-11-09", 60)},
        {"id": free["id"], **here},
        # Midnight in Zurich is still the day before in UTC.
        {"id": (await created(world, ada, at(11, day=17), at(12, day=17), **here))["id"]}
        | {"time": lasting(at(23, day=9), 60)},
    ]
    document = """mutation ($input: TimeEntryBulkUpdateInput!) {
      timeEntryBulkUpdate(input: $input) {
        doneCount results { timeEntry { id } errors { code path } }
      }
    }"""
    reply = await world.run(document, ada, at=NOW, input={"items": items, "onError": "CONTINUE"})
    done = reply.data["timeEntryBulkUpdate"]
    found = [[(one["code"], *one["path"][3:]) for one in r["errors"]] for r in done["results"]]
    assert found == [
        [("TIME_LOCKED", "id")],
        [],
        [("TIME_LOCKED", "time", "range", "startedAt")],
        [("TIME_LOCKED", "time", "day", "day")],
        [("TIME_LOCKED", "projectId")],
        [],
    ]
    assert done["doneCount"] == 2
    remove = """mutation ($items: [TimeEntryBulkDeleteItem!]!) {
      timeEntryBulkDelete(input: {items: $items, onError: CONTINUE}) {
        doneCount results { deletedId errors { code path } }
      }
    }"""
    items = [{"id": old["id"]}, {"id": new["id"]}]
    deleted = (await world.run(remove, ada, items=items)).data["timeEntryBulkDelete"]
    assert [result["deletedId"] for result in deleted["results"]] == [None, new["id"]]
    (error,) = deleted["results"][0]["errors"]
    assert (error["code"], error["path"]) == ("TIME_LOCKED", ["input", "items", "0", "id"])


async def test_an_import_into_a_closed_month_names_the_column(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    await does(world, ada, "projectUpdate", id=gid(project), timeLockedBefore="2026-11-10")
    await does(world, ada, "projectUpdate", id=gid(project), isOverlapAllowed=False)
    await created(world, ada, at(8, day=17), at(9, day=17), projectId=gid(project))
    rows = [
        "start,end,day,durationSeconds,project",
        f"2026-11-09T08:00:00Z,2026-11-09T09:00:00Z,,,{project.key}",
        f"2026-11-09T08:00:00Z,,,60,{project.key}",
        f",,2026-11-09,60,{project.key}",
        f"2026-11-17T08:30:00Z,2026-11-17T09:30:00Z,,,{project.key}",
        f"2026-11-17T10:00:00Z,,,,{project.key}",
        f",,,60,{project.key}",
        f",,2026-11-16,,{project.key}",
        f",,2027-11-16,60,{project.key}",
        f"2026-11-17T10:00:00Z,2026-11-17T11:00:00Z,,,{project.key}",
    ]
    document = """mutation ($csv: String!) {
      timeEntryImport(input: {csv: $csv, onError: CONTINUE, timezone: "UTC"}) {
        doneCount errors { code path }
      }
    }"""
    reply = await world.run(document, ada, at=NOW, csv="\n".join(rows))
    done = reply.data["timeEntryImport"]
    assert [(error["code"], *error["path"][2:]) for error in done["errors"]] == [
        ("TIME_LOCKED", "2", "start"),
        ("TIME_LOCKED", "3", "start"),
        ("TIME_LOCKED", "4", "day"),
        ("TIME_OVERLAP", "5", "start"),
        ("BAD_USER_INPUT", "6", "end"),
        ("BAD_USER_INPUT", "7", "start"),
        ("BAD_USER_INPUT", "8", "durationSeconds"),
        ("BAD_USER_INPUT", "9", "day"),
    ]
    assert done["doneCount"] == 1
