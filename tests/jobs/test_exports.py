"""Exports: what their files say, who gets them, and that they are made whatever happens."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import gc
import io
import os
import shutil
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import orjson
import pytest
from pypdf import PdfReader
from sqlalchemy import insert, select, text, update

from auth.viewer import NOBODY
from db import models
from db.models import ExportState, Job, ReportExport
from domain import stored_file
from domain.accounts.user_deletion import delete_oneself
from domain.time import export_pdf
from domain.time.export import JOB, sweep
from jobs.exports import export
from jobs.queue import Queue, RunningJob
from jobs.runner import Runner
from jobs.worker import worker_context
from jobs.worker_context import WorkerContext
from tests.accounts import PASSWORD, House, Person
from tests.factories import World, fresh_id, gid
from tests.forks import Fork
from tests.graph.time.test_time_report import entry

EXPORT = """mutation ($input: ReportExportCreateInput!) {
  reportExportCreate(input: $input) {
    reportExport { id status progress downloadUrl } errors { code path message }
  }
}"""
READ = """query ($id: ID!) { reportExport(id: $id) {
  status progress downloadUrl byteSize failureReason groupBy timezone format expiresAt
} }"""
IMPORT = """mutation ($input: TimeEntryImportInput!) {
  timeEntryImport(input: $input) {
    doneCount validCount errors { code path }
    results { row timeEntry { duration tags description day task { title } }
      errors { code } }
  }
}"""
START = dt.datetime(2026, 3, 2, 22, 30, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
async def context(world: World) -> AsyncIterator[WorkerContext]:
    """A worker's, of the application's own database."""
    async with worker_context(world.services.settings) as made:
        yield made


async def ask(world: World, person: Person, **given: Any) -> str:
    reply = await world.run(EXPORT, person, input=given)
    return str(reply.good["reportExportCreate"]["reportExport"]["id"])


def key_of(export_id: str) -> Any:
    from graph.core import ids

    return ids.decode(ReportExport, export_id, ())


async def make(context: WorkerContext, export_id: str) -> None:
    """What the worker does."""
    now = context.clock()
    await export(context, RunningJob(fresh_id(), JOB, {"export_id": key_of(export_id).hex}, 1, now))


async def fetched(world: World, person: Person, export_id: str) -> tuple[Any, bytes]:
    found = (await world.run(READ, person, id=export_id)).good["reportExport"]
    assert found["status"] == "DONE", found
    parts = urlsplit(found["downloadUrl"])
    response = await world.http.get(f"{parts.path}?{parts.query}")
    assert response.status_code == 200
    assert len(response.content) == found["byteSize"]
    return response, response.content


# --- what they say -------------------------------------------------------------------------------


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


@pytest.mark.parametrize("projects", [1, 40])
async def test_pdf_is_a_document(world: World, context: WorkerContext, projects: int) -> None:
    ada = await world.person()
    for n in range(projects):
        project = await world.project(ada, name=f"Project {n} Żółć")
        await world.rows(entry(ada, START + dt.timedelta(days=n), 7200, project=project))
    export_id = await ask(world, ada, format="PDF", groupBy=["PROJECT", "DAY"])
    await make(context, export_id)
    response, body = await fetched(world, ada, export_id)
    assert response.headers["content-type"] == "application/pdf"
    assert body.startswith(b"%PDF-")
    assert body.rstrip().endswith(b"%%EOF")
    assert body.count(b"/Type /Page\n") == (1 if projects == 1 else 3)


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


# --- their lives ---------------------------------------------------------------------------------


async def test_an_export_is_its_owners_alone(world: World, context: WorkerContext) -> None:
    ada, bob = await world.people(2)
    export_id = await ask(world, ada, format="CSV")
    assert (await world.run(READ, bob, id=export_id)).codes == ["NOT_FOUND"]
    cancel = """mutation ($id: ID!) { reportExportCancel(input: {id: $id}) {
      reportExport { status } errors { code } } }"""
    assert (await world.run(cancel, bob, id=export_id)).codes == ["NOT_FOUND"]
    query = "subscription ($id: ID!) { reportExportChanged(id: $id) { at } }"
    assert (await world.first_delivery(query, bob, id=export_id)).codes == ["NOT_FOUND"]
    await make(context, export_id)
    url = (await world.run(READ, ada, id=export_id)).good["reportExport"]["downloadUrl"]
    parts = urlsplit(url)
    other = await ask(world, ada, format="CSV")
    await make(context, other)
    for address in (
        parts.path,
        f"{parts.path}?{parts.query[:-3]}abc",
        f"/exports/{other}?{parts.query}",
    ):
        assert (await world.http.get(address)).status_code == 403
    async with world.database.session() as session, session.begin():
        users = update(models.User).where(models.User.id == ada.id)
        await session.execute(users.values(is_active=False))
    assert (await world.http.get(f"{parts.path}?{parts.query}")).status_code == 404


async def test_progress_is_told_until_it_is_over(world: World, context: WorkerContext) -> None:
    ada = await world.person()
    await world.rows(*(entry(ada, START + dt.timedelta(hours=n), 60) for n in range(30)))
    export_id = await ask(world, ada, format="CSV")
    query = """subscription ($id: ID!) {
      reportExportChanged(id: $id) { reportExport { status progress } }
    }"""

    async def listen() -> list[str]:
        return [
            reply.good["reportExportChanged"]["reportExport"]["status"]
            async for reply in world.deliveries(query, ada, id=export_id)
        ]

    async with asyncio.timeout(30):
        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.2)
        await make(context, export_id)
        heard = await listening
        # Who comes late hears how it ended.
        assert await listen() == ["DONE"]
    assert heard[0] == "QUEUED"
    assert heard[-1] == "DONE"


async def test_progress_goes_on_from_a_cursor(world: World, context: WorkerContext) -> None:
    ada = await world.person()
    await world.rows(*(entry(ada, START + dt.timedelta(hours=n), 60) for n in range(30)))
    before = (await world.run("{ eventCursor }", ada)).good["eventCursor"]
    export_id = await ask(world, ada, format="CSV")
    await make(context, export_id)
    query = """subscription ($id: ID!, $after: String) {
      reportExportChanged(id: $id, after: $after) { cursor at }
    }"""

    async def heard(after: str | None) -> list[Any]:
        replies = world.deliveries(query, ada, id=export_id, after=after)
        return [reply.good["reportExportChanged"] async for reply in replies]

    async with asyncio.timeout(30):
        every = await heard(before)
        assert len(every) >= 2
        for number, event in enumerate(every):
            assert await heard(event["cursor"]) == every[number + 1 :]
        assert await heard(None) == every[-1:]


async def test_a_cancelled_export_is_not_made(world: World, context: WorkerContext) -> None:
    ada = await world.person()
    export_id = await ask(world, ada, format="CSV")
    cancel = """mutation ($id: ID!) { reportExportCancel(input: {id: $id}) {
      reportExport { status downloadUrl } errors { code } } }"""
    for _ in range(2):
        reply = await world.run(cancel, ada, id=export_id)
        assert reply.good["reportExportCancel"]["reportExport"]["status"] == "CANCELLED"
    await make(context, export_id)
    found = (await world.run(READ, ada, id=export_id)).good["reportExport"]
    assert (found["status"], found["downloadUrl"]) == ("CANCELLED", None)


async def test_a_worker_that_stops_does_not_wait_for_a_long_pdf(
    world: World, context: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread ends at the next page; 50,000 lines take a quarter of a minute."""
    begun, ended = threading.Event(), threading.Event()
    write = export_pdf._write

    def slowly(paper: Any, file: Any, stopped: Callable[[], bool]) -> None:
        begun.set()
        while not stopped():
            time.sleep(0.01)
        with pytest.raises(export_pdf.Stopped):
            write(paper, file, stopped)
        ended.set()

    monkeypatch.setattr(export_pdf, "_write", slowly)
    ada = await world.person()
    await world.rows(entry(ada, START, 7200))
    making = asyncio.create_task(make(context, await ask(world, ada, format="PDF")))
    assert await asyncio.to_thread(begun.wait, 60)
    making.cancel()
    assert await asyncio.to_thread(ended.wait, 60)
    await asyncio.wait([making])


async def test_few_exports_wait_at_a_time(world: World) -> None:
    ada = await world.person()
    for _ in range(5):
        await ask(world, ada, format="CSV")
    reply = await world.run(EXPORT, ada, input={"format": "CSV"})
    assert reply.codes == ["LIMIT_EXCEEDED"]


async def test_an_export_expires_and_its_file_goes(world: World, context: WorkerContext) -> None:
    ada = await world.person()
    export_id = await ask(world, ada, format="CSV")
    await make(context, export_id)
    _, body = await fetched(world, ada, export_id)
    assert body
    url = (await world.run(READ, ada, id=export_id)).good["reportExport"]["downloadUrl"]
    parts = urlsplit(url)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=25)
    found = (await world.run(READ, ada, id=export_id, at=later)).good["reportExport"]
    assert found["downloadUrl"] is None
    house = House(world.services.settings, world.database)
    house.clock.now = later
    try:
        async with house.work() as work:
            assert await sweep(work) >= 1
        store = world.services.files.store
        while await stored_file.sweep(partial(house.do, NOBODY), store):
            pass
    finally:
        house.auth.close()
    found = (await world.run(READ, ada, id=export_id)).good["reportExport"]
    assert found["status"] == "EXPIRED"
    assert (await world.http.get(f"{parts.path}?{parts.query}")).status_code == 404


async def many_entries(world: World, person: Person, count: int) -> None:
    now = dt.datetime.now(dt.UTC)
    first = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    async with world.database.session() as session, session.begin():
        for chunk in range(0, count, 5_000):
            await session.execute(
                insert(models.TimeEntry),
                [
                    {
                        "id": fresh_id(),
                        "user_id": person.id,
                        "description": f"Entry number {n}",
                        "started_at": first + dt.timedelta(minutes=n * 5),
                        "ended_at": first + dt.timedelta(minutes=n * 5 + 4),
                        "is_billable": n % 2 == 0,
                        "tags": ["one", "two"],
                        "tag_keys": ["one", "two"],
                        "created_at": now,
                        "updated_at": now,
                        "version": 1,
                    }
                    for n in range(chunk, min(chunk + 5_000, count))
                ],
            )


def resident() -> int:
    """Bytes of memory of this process."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def memory_stays_flat(world: World, context: WorkerContext, count: int) -> None:
    ada = await world.person()
    small = await world.person()
    await many_entries(world, small, 10)
    await many_entries(world, ada, count)
    for format_ in ("CSV", "JSON", "PDF"):
        # What a first export of this kind loads is not what one of many entries takes.
        await make(context, await ask(world, small, format=format_, groupBy=["DAY"]))
    gc.collect()
    idle = resident()
    most = idle
    made: dict[str, str] = {}
    for format_ in ("CSV", "JSON", "PDF"):
        export_id = await ask(world, ada, format=format_, groupBy=["DAY"])
        task = asyncio.create_task(make(context, export_id))
        while not task.done():
            most = max(most, resident())
            await asyncio.sleep(0.02)
        await task
        found = (await world.run(READ, ada, id=export_id)).good["reportExport"]
        assert found["status"] == "DONE", found
        made[format_] = export_id
    assert most - idle < 64 * 2**20, f"{(most - idle) / 2**20:.0f} MiB above idle"
    _, body = await fetched(world, ada, made["CSV"])
    assert body.count(b"\r\n") == count + 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
async def test_many_entries_take_little_memory(world: World, context: WorkerContext) -> None:
    await memory_stays_flat(world, context, 20_000)


@pytest.mark.nightly
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
async def test_a_hundred_thousand_entries_take_little_memory(
    world: World, context: WorkerContext
) -> None:
    await memory_stays_flat(world, context, 100_000)


async def test_a_worker_killed_in_the_middle_leaves_an_export_that_is_finished(
    world: World,
) -> None:
    ada = await world.person()
    await many_entries(world, ada, 20_000)
    # Only this export is due, so that the workers of this test begin with it.
    async with world.database.session() as session, session.begin():
        await session.execute(update(Job).values(state=models.JobState.DONE))
    export_id = await ask(world, ada, format="JSON", groupBy=["DAY", "TAG"])
    settings = world.services.settings
    variables = {
        **os.environ,
        "DATABASE_URL": settings.database.dsn,
        "TASKLOOM_DATA_DIR": str(settings.server.data_dir),
        "TASKLOOM_STORAGE_URL": settings.storage.url or "",
        "TASKLOOM_PUBLIC_URL": settings.server.public_url,
        "TASKLOOM_JOB_LEASE_SECONDS": "1",
    }

    async def worker() -> Fork:
        return await asyncio.to_thread(Fork, ["worker"], variables)

    async def state() -> tuple[ExportState, int]:
        async with world.database.session() as session:
            rows = await session.execute(
                select(ReportExport.status, ReportExport.progress).where(
                    ReportExport.id == key_of(export_id)
                )
            )
            state_, progress = rows.one()
            return state_, progress

    async with asyncio.timeout(120):
        first = await worker()
        try:
            while (await state())[1] < 10:
                await asyncio.sleep(0.005)
        finally:
            first.kill()
            await asyncio.to_thread(first.wait)
        assert (await state())[0] is ExportState.RUNNING
        second = await worker()
        try:
            while (await state())[0] is not ExportState.DONE:
                await asyncio.sleep(0.05)
        finally:
            second.terminate()
            await asyncio.to_thread(second.wait)
    made = orjson.loads((await fetched(world, ada, export_id))[1])
    assert (made["count"], len(made["entries"])) == (20_000, 20_000)


# --- import --------------------------------------------------------------------------------------


async def test_an_import_says_what_is_wrong_with_which_row(world: World) -> None:
    ada, bob = await world.people(2)
    hidden = await world.project(bob)
    rows = [
        "start,end,durationSeconds,project,task,user,tags,billable",
        "2026-03-02 09:00,,60,,,,a;b,yes",
        "2026-03-02 09:00,2026-03-02 08:00,,,,,,",
        f"2026-03-02 09:00,,60,{hidden.key},,,,",
        "yesterday,,60,,,,,",
        f"2026-03-02 09:00,,60,,,{bob.username},,",
        "2026-03-02 09:00,,60,,NO-1,,,maybe",
        ",,,,,,,",
        "2026-03-02T09:00:00+01:00,2026-03-02T10:00:00Z,,,,,,",
    ]
    given = {"csv": "\n".join(rows), "timezone": "Europe/Zurich"}
    reply = await world.run(IMPORT, ada, input=given | {"dryRun": True})
    found = [(error["code"], error["path"][1:]) for error in reply.user_errors]
    assert found == [
        ("BAD_USER_INPUT", ["csv", "3", "end"]),
        ("NOT_FOUND", ["csv", "4", "project"]),
        ("BAD_USER_INPUT", ["csv", "5", "start"]),
        ("BAD_USER_INPUT", ["csv", "6", "user"]),
        ("NOT_FOUND", ["csv", "7", "task"]),
        ("BAD_USER_INPUT", ["csv", "7", "billable"]),
    ]
    data = reply.data["timeEntryImport"]
    assert [result["row"] for result in data["results"]] == [2, 3, 4, 5, 6, 7, 9]
    assert (data["validCount"], data["doneCount"]) == (2, 0)
    reply = await world.run(IMPORT, ada, input=given)
    assert reply.data["timeEntryImport"]["doneCount"] == 0
    reply = await world.run(IMPORT, ada, input=given | {"onError": "CONTINUE"})
    data = reply.data["timeEntryImport"]
    assert data["doneCount"] == 2
    lengths = [one["timeEntry"]["duration"] for one in data["results"] if one["timeEntry"]]
    assert lengths == [60, 7200]
    times = await world.run("{ timeEntries { nodes { startedAt } } }", ada)
    starts = {node["startedAt"] for node in times.good["timeEntries"]["nodes"]}
    local = dt.datetime(2026, 3, 2, 9, tzinfo=ZoneInfo("Europe/Zurich"))
    assert starts == {f"{local.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"}


async def test_a_row_with_too_few_or_too_many_cells_fails_alone(world: World) -> None:
    ada = await world.person()
    rows = ["start,durationSeconds", "2026-03-02 09:00,60", "2026-03-02 10:00", "a,b,c"]
    reply = await world.run(IMPORT, ada, input={"csv": "\n".join(rows), "onError": "CONTINUE"})
    found = [(error["code"], error["path"][1:]) for error in reply.user_errors]
    assert found == [("BAD_USER_INPUT", ["csv", "3"]), ("BAD_USER_INPUT", ["csv", "4"])]
    data = reply.data["timeEntryImport"]
    assert (data["validCount"], data["doneCount"]) == (1, 1)
    assert [result["row"] for result in data["results"]] == [2, 3, 4]


@pytest.mark.parametrize(
    "content",
    ["", "a,b\n1,2", "start,start\n1,2", "project\nX", 'start\n"un', "start,end\n1", "start\n\0"],
    ids=repr,
)
async def test_what_is_no_file_of_entries_is_refused(world: World, content: str) -> None:
    ada = await world.person()
    reply = await world.run(IMPORT, ada, input={"csv": content})
    assert set(reply.codes) == {"BAD_USER_INPUT"}


async def test_an_export_whose_job_is_given_up_has_failed(
    world: World, context: WorkerContext
) -> None:
    ada = await world.person()
    asked = await ask(world, ada, format="CSV", timezone="UTC")
    full = context.settings.model_copy(
        update={
            # A folder cannot be made below a file; a full disk fails no other way.
            "storage": context.settings.storage.model_copy(update={"url": "file:///dev/null/x"})
        }
    )
    broken = replace(context, settings=full)
    clock = dt.datetime.now(dt.UTC)
    queue = Queue(context.database, "one", dt.timedelta(seconds=30), lambda: clock)
    # Exports that other tests left behind may have their attempts first.
    for _ in range(24):
        runner = Runner(broken, queue, concurrency=5, lease=dt.timedelta(seconds=30))
        while begun := await runner.take():
            await asyncio.wait(begun)
        clock += dt.timedelta(hours=4)
    read = (await world.run(READ, ada, id=asked)).good["reportExport"]
    assert read["status"] == "FAILED"
    assert read["failureReason"].startswith("It could not be made: ")
    assert "/dev" not in read["failureReason"]


# --- weeks ---------------------------------------------------------------------------------------


async def test_a_filter_that_is_no_longer_understood_ends_the_export(
    world: World, context: WorkerContext
) -> None:
    ada = await world.person()
    export_id = await ask(world, ada, format="CSV", filter={"firstDay": "2026-03-01"})
    async with world.database.session() as session, session.begin():
        await session.execute(
            update(ReportExport)
            .where(ReportExport.id == key_of(export_id))
            .values(filter={"entries": {"someday": {"eq": 1}}})
        )
    await make(context, export_id)
    found = (await world.run(READ, ada, id=export_id)).good["reportExport"]
    assert (found["status"], found["downloadUrl"]) == ("FAILED", None)
    assert found["failureReason"].startswith("The filter is no longer valid: ")
    assert "someday" in found["failureReason"]


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


# --- what a PDF says -----------------------------------------------------------------------------


def words_of(body: bytes) -> str:
    return " ".join(PdfReader(io.BytesIO(body)).pages[0].extract_text().split())


@pytest.mark.parametrize(
    ("days", "unit", "labels"),
    [
        # Not every bar has a label.
        (("2026-02-20", "2026-03-20"), "day", ("02-20", "03-19")),
        (("2025-06-04", "2026-03-20"), "week", ("06-02", "03-09")),
        (("2022-01-05", "2026-03-20"), "month", ("2022-01", "2026-01")),
        (("1990-01-05", "2026-03-20"), "year", ("1990", "2026")),
    ],
)
async def test_the_chart_spans_the_days_that_were_asked_for(
    world: World, context: WorkerContext, days: tuple[str, str], unit: str, labels: tuple[str, str]
) -> None:
    ada = await world.person()
    await world.rows(entry(ada, START, 3600))
    export_id = await ask(
        world, ada, format="PDF", filter=dict(zip(("firstDay", "lastDay"), days, strict=True))
    )
    await make(context, export_id)
    text = words_of((await fetched(world, ada, export_id))[1])
    chart = text.partition(f"Hours by {unit}")[2].partition("Time Billable")[0].split()
    shown = [word for word in chart if word != "h" and len(word) > 3 and "." not in word]
    assert (shown[0], shown[-1]) == labels


async def test_a_pdf_is_written_with_the_operator_s_fonts(
    world: World, context: WorkerContext, tmp_path: Path
) -> None:
    spec = find_spec("justmytype_intl_sea")
    assert spec is not None
    assert spec.origin is not None
    (file,) = Path(spec.origin).parent.rglob("NotoSansKhmer*.ttf")
    shutil.copy(file, tmp_path)
    ada = await world.person()
    project = await world.project(ada, name="គម្រោង")
    await world.rows(entry(ada, START, 3600, project=project))

    async def text(fonts_dir: Path | None) -> str:
        exports = context.settings.exports.model_copy(update={"fonts_dir": fonts_dir})
        settings = context.settings.model_copy(update={"exports": exports})
        export_id = await ask(world, ada, format="PDF", groupBy=["PROJECT"])
        await make(replace(context, settings=settings), export_id)
        return words_of((await fetched(world, ada, export_id))[1])

    assert "?" in await text(None)
    assert "?" not in await text(tmp_path)


async def test_a_filter_stands_in_a_pdf_as_a_sentence(world: World, context: WorkerContext) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, name="Bridge")
    hidden = await world.project(bob)
    task = await world.task(ada, "Dig", project_id=project.id)
    entries = {
        "project": {"id": {"in": [gid(project), gid(hidden)]}},
        "isBillable": True,
        "tags": {"some": {"eq": "deep"}},
        "duration": {"gte": 60},
        "or": [{"task": {"isNull": True}}, {"task": {"id": {"eq": gid(task)}}}],
        "not": {"task": {"title": {"contains": "x"}}},
        "startedAt": {"lt": "2026-06-01T00:00:00Z"},
    }
    export_id = await ask(world, ada, format="PDF", filter={"entries": entries})
    await make(context, export_id)
    text = words_of((await fetched(world, ada, export_id))[1])
    for part in (
        "the project is “Bridge” or one that you cannot see",
        "the entry is billable",
        "a tag is “deep”",
        "the duration in seconds is at least 60",
        "(the task is not set or the task is “Dig”)",
        "not (the task's title contains “x”)",
        "the start is before 2026-06-01T00:00:00Z",
    ):
        assert part in text, (part, text)
    assert "Only entries where" in text
    assert "{" not in text
