"""What the files of exports hold."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import io
from functools import partial
from typing import Any

import orjson
from sqlalchemy import text

from db.models import ReportExport
from domain import stored_file
from domain.accounts.user_deletion import delete_oneself
from jobs.worker_context import WorkerContext
from tests.accounts import PASSWORD
from tests.factories import World, gid
from tests.graph.time.test_time_report import entry
from tests.jobs.exports.calls import EXPORT, START, ask, fetched, key_of, make, many_entries

IMPORT = """mutation ($input: TimeEntryImportInput!) {
  timeEntryImport(input: $input) {
    doneCount validCount errors { code path }
    results { row timeEntry { duration tags description day task { title } }
      errors { code } }
  }
}"""


async def test_csv_is_rfc_4180_and_runs_no_formula(world: World, context: WorkerContext) -> None:
    ada = await world.person()
    project = await world.project(ada, name='The "big", one')
    task = await world.task(ada, "=1+1", project_id=project.id)
    one = entry(ada, START, 5400, project=project, tags=["a;b", "-c", "\\d"], is_billable=True)
    one.task_id = task.id
    one.description = '@SUM(A1), "said" Żółć 日本'
    day = entry(ada, START + dt.timedelta(days=1), 60, day=dt.date(2026, 3, 4))
    await world.rows(one, day)
    export_id = await ask(world, ada, format="CSV", timezone="Europe/Zurich")
    await make(context, export_id)
    response, body = await fetched(world, ada, export_id)
    assert response.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert "attachment" in response.headers["content-disposition"]
    content = body.decode("utf-8")
    assert content.count("\r\n") == content.count("\n") == 3
    first, second = csv.DictReader(io.StringIO(content, newline=""))
    assert first["start"] == "2026-03-02T23:30:00+01:00"
    assert first["end"] == "2026-03-03T01:00:00+01:00"
    assert first["durationSeconds"] == "5400"
    assert (first["project"], first["projectName"]) == (project.key, 'The "big", one')
    assert (first["task"], first["taskTitle"]) == (f"{project.key}-1", "'=1+1")
    assert first["description"] == '\'@SUM(A1), "said" Żółć 日本'
    assert first["tags"] == "a\\;b;-c;\\\\d"
    assert (second["day"], second["start"], second["durationSeconds"]) == ("2026-03-04", "", "60")
    # The file can be read back: by somebody else's account nothing, by one's own everything.
    reply = await world.run(IMPORT, ada, input={"csv": content, "dryRun": True})
    assert [done["row"] for done in reply.good["timeEntryImport"]["results"]] == [2, 3]
    assert reply.good["timeEntryImport"]["validCount"] == 0
    async with world.database.session() as session, session.begin():
        await session.execute(
            text("DELETE FROM time_entries WHERE id = ANY(:ids)"), {"ids": [one.id, day.id]}
        )
    reply = await world.run(IMPORT, ada, input={"csv": content, "dryRun": True})
    assert reply.good["timeEntryImport"]["validCount"] == 2
    assert reply.good["timeEntryImport"]["doneCount"] == 0
    reply = await world.run(IMPORT, ada, input={"csv": content})
    done = reply.good["timeEntryImport"]
    assert done["doneCount"] == 2
    back = done["results"][0]["timeEntry"]
    assert back["tags"] == ["a;b", "-c", "\\d"]
    assert back["description"] == one.description
    assert back["task"] == {"title": "=1+1"}
    again = await ask(world, ada, format="CSV", timezone="Europe/Zurich")
    await make(context, again)
    assert (await fetched(world, ada, again))[1] == body


async def test_a_csv_for_spreadsheets_begins_with_a_byte_order_mark(
    world: World, context: WorkerContext
) -> None:
    ada = await world.person()
    await world.rows(entry(ada, START, 60))
    bodies = []
    for bom in (False, True):
        export_id = await ask(world, ada, format="CSV", includeBom=bom)
        await make(context, export_id)
        bodies.append((await fetched(world, ada, export_id))[1])
    assert bodies[1] == b"\xef\xbb\xbf" + bodies[0]
    reply = await world.run(IMPORT, ada, input={"csv": bodies[1].decode()})
    assert [row["row"] for row in reply.good["timeEntryImport"]["results"]] == [2]
    refused = await world.run(EXPORT, ada, input={"format": "PDF", "includeBom": True})
    assert [(error["code"], error["path"]) for error in refused.user_errors] == [
        ("BAD_USER_INPUT", ["input", "includeBom"])
    ]


async def test_json_has_groups_and_entries(world: World, context: WorkerContext) -> None:
    ada = await world.person()
    project = await world.project(ada, name="Bridge")
    await world.rows(
        entry(ada, START, 7200, project=project, tags=["x"]),
        entry(ada, START, 60, is_billable=True),
    )
    export_id = await ask(
        world,
        ada,
        format="JSON",
        timezone="Europe/Zurich",
        groupBy=["PROJECT", "DAY"],
        filter={"firstDay": "2026-03-01", "entries": {"user": {"id": {"eq": gid(ada)}}}},
    )
    await make(context, export_id)
    made = orjson.loads((await fetched(world, ada, export_id))[1])
    assert (made["seconds"], made["billable"], made["count"]) == (7260, 60, 2)
    names = [(group["name"], group["seconds"]) for group in made["groups"]]
    assert names == [("Bridge", 7200), ("No project", 60)]
    days = [(day["name"], day["seconds"]) for day in made["groups"][0]["groups"]]
    assert days == [("2026-03-02", 1800), ("2026-03-03", 5400)]
    assert sum(one["durationSeconds"] for one in made["entries"]) == 7260


async def test_an_export_holds_what_its_owner_sees(world: World, context: WorkerContext) -> None:
    owner, editor = await world.people(2)
    project = await world.project(owner, editors=[editor])
    await world.rows(entry(editor, START, 5, project=project), entry(owner, START, 7))
    lengths = {}
    for person in (owner, editor):
        export_id = await ask(world, person, format="JSON")
        await make(context, export_id)
        made = orjson.loads((await fetched(world, person, export_id))[1])
        lengths[person.username] = sorted(one["durationSeconds"] for one in made["entries"])
    assert list(lengths.values()) == [[5, 7], [5]]


async def test_a_deleted_account_has_no_name(world: World, context: WorkerContext) -> None:
    owner, editor = await world.people(2)
    project = await world.project(owner, editors=[editor])
    await world.rows(entry(editor, START, 5, project=project), entry(owner, START, 7))
    await world.house.do(editor.viewer, delete_oneself, world.house.auth, password=PASSWORD)
    export_id = await ask(world, owner, format="JSON")
    await make(context, export_id)
    made = orjson.loads((await fetched(world, owner, export_id))[1])
    assert {one["durationSeconds"]: one["user"] for one in made["entries"]} == {
        5: None,
        7: owner.username,
    }
    export_id = await ask(world, owner, format="CSV")
    await make(context, export_id)
    rows = csv.DictReader(io.StringIO((await fetched(world, owner, export_id))[1].decode()))
    assert {row["durationSeconds"]: row["user"] for row in rows} == {"5": "", "7": owner.username}


async def test_exports_are_deleted_with_their_owner(world: World, context: WorkerContext) -> None:
    """Those that are made, whose files would be kept for a day, and those that are not."""
    ada = await world.person()
    await world.rows(entry(ada, START, 5))
    made, waiting = [await ask(world, ada, format="JSON") for _ in range(2)]
    await make(context, made)
    async with world.database.session() as session:
        row = await session.get_one(ReportExport, key_of(made))
        assert row.file_id is not None
    store = world.services.files.store
    assert await store.names(row.file_id)
    await world.house.do(ada.viewer, delete_oneself, world.house.auth, password=PASSWORD)
    # Another worker has begun it.
    await make(context, waiting)
    async with world.database.session() as session:
        assert await session.get(ReportExport, key_of(made)) is None
        assert await session.get(ReportExport, key_of(waiting)) is None
    later = world.house.clock() + dt.timedelta(hours=1)
    run = partial(world.services.transactions.run, now=later, request=world.request())
    while await stored_file.sweep(run, store):
        pass
    assert not await store.names(row.file_id)


async def test_a_task_is_named_by_its_own_project(world: World, context: WorkerContext) -> None:
    """Its time can stay in the project that it left."""
    ada = await world.person()
    old, new = await world.project(ada), await world.project(ada)
    moved = await world.task(ada, "Moved", project_id=old.id)
    await world.task(ada, "Other", project_id=old.id)
    await world.task(ada, "First", project_id=new.id)
    spent = entry(ada, START, 5, project=old)
    spent.task_id = moved.id
    await world.rows(spent)
    moving = """mutation ($task: ID!, $project: ID!) {
      taskMove(input: {id: $task, projectId: $project, timeEntries: KEEP}) {
        task { identifier } errors { code }
      }
    }"""
    reply = await world.run(moving, ada, task=gid(moved), project=gid(new))
    # In the old project, another task has this number.
    assert reply.good["taskMove"]["task"]["identifier"] == f"{new.key}-2"
    export_id = await ask(world, ada, format="CSV")
    await make(context, export_id)
    content = (await fetched(world, ada, export_id))[1].decode()
    (row,) = csv.DictReader(io.StringIO(content))
    assert (row["project"], row["task"], row["taskTitle"]) == (old.key, gid(moved), "Moved")


async def test_weeks_begin_as_the_profile_says(world: World, context: WorkerContext) -> None:
    ada = await world.person()
    # A Sunday: the first day of a week, or the last.
    await world.rows(entry(ada, dt.datetime(2026, 3, 8, 12, tzinfo=dt.UTC), 60))
    key = await world.post(
        'mutation { apiKeyCreate(input: {name: "k", scopes: [TIME_READ]}) { secret } }', ada
    )
    headers = [ada.header, f"Bearer {key.good['apiKeyCreate']['secret']}"]

    async def begin_on(day: str) -> None:
        change = """mutation ($day: WeekDay!) {
          accountUpdate(input: {weekStart: $day}) { errors { code } }
        }"""
        assert (await world.post(change, ada, day=day)).good

    async def weeks(given: str = "") -> list[list[str]]:
        query = f"{{ timeReport(groupBy: [WEEK]{given}) {{ groups {{ week }} }} }}"
        found = []
        for header in headers:
            response = await world.http.post(
                "/graphql", json={"query": query}, headers={"Authorization": header}
            )
            groups = response.json()["data"]["timeReport"]["groups"]
            found.append([group["week"] for group in groups])
        return found

    async def exported(**given: Any) -> list[str]:
        reply = await world.post(
            EXPORT, ada, input={"format": "JSON", "groupBy": ["WEEK"], **given}
        )
        export_id = reply.good["reportExportCreate"]["reportExport"]["id"]
        # What the profile says later does not change an export that was asked for before.
        await begin_on("FRIDAY")
        await make(context, export_id)
        made = orjson.loads((await fetched(world, ada, export_id))[1])
        await begin_on("SUNDAY")
        return [group["value"] for group in made["groups"]]

    assert await weeks() == [["2026-03-02"]] * 2
    await begin_on("SUNDAY")
    assert await weeks() == [["2026-03-08"]] * 2
    assert await weeks(", weekStart: MONDAY") == [["2026-03-02"]] * 2
    assert await exported() == ["2026-03-08"]
    assert await exported(weekStart="SATURDAY") == ["2026-03-07"]


async def test_an_export_is_of_one_moment(world: World, context: WorkerContext) -> None:
    ada = await world.person()
    await many_entries(world, ada, 3_000)
    await world.rows(entry(ada, dt.datetime.now(dt.UTC) - dt.timedelta(hours=1), None))
    export_id = await ask(world, ada, format="JSON", groupBy=["DAY"])
    making = asyncio.create_task(make(context, export_id))
    changes = 0
    while not making.done():
        async with world.database.session() as session, session.begin():
            await session.execute(
                text(
                    "UPDATE time_entries SET ended_at = ended_at + interval '1 minute' "
                    "WHERE user_id = :user"
                ),
                {"user": ada.id},
            )
        await world.rows(entry(ada, START + dt.timedelta(hours=changes), 7))
        changes += 1
    await making
    assert changes > 1
    made = orjson.loads((await fetched(world, ada, export_id))[1])
    lengths = [one["durationSeconds"] for one in made["entries"]]
    assert (made["count"], made["seconds"]) == (len(lengths), sum(lengths))
    assert sum(group["seconds"] for group in made["groups"]) == made["seconds"]
    (running,) = [one for one in made["entries"] if one["end"] is None]
    began = dt.datetime.fromisoformat(running["start"])
    until = dt.datetime.fromisoformat(made["generatedAt"]).replace(microsecond=0)
    assert running["durationSeconds"] == (until - began).total_seconds()
