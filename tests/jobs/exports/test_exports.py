"""Exports: who gets them, how they end, and that they are made whatever happens."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from sqlalchemy import select, update

from auth.viewer import NOBODY
from db import models
from db.models import ExportState, Job, ReportExport
from domain import stored_file
from domain.time import export_pdf
from domain.time.export import sweep
from jobs.queue import Queue
from jobs.runner import Runner
from jobs.worker_context import WorkerContext
from tests.accounts import House
from tests.factories import World
from tests.forks import Fork
from tests.graph.time.test_time_report import entry
from tests.jobs.exports.calls import EXPORT, READ, START, ask, fetched, key_of, make, many_entries


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
