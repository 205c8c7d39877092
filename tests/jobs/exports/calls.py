"""Asking for exports, making them as a worker does, and reading what they hold."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import insert

from db import models
from db.models import ReportExport
from domain.time.export import JOB
from jobs.exports import export
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext
from tests.accounts import Person
from tests.factories import World, fresh_id

EXPORT = """mutation ($input: ReportExportCreateInput!) {
  reportExportCreate(input: $input) {
    reportExport { id status progress downloadUrl } errors { code path message }
  }
}"""
READ = """query ($id: ID!) { reportExport(id: $id) {
  status progress downloadUrl byteSize failureReason groupBy timezone format expiresAt
} }"""
START = dt.datetime(2026, 3, 2, 22, 30, tzinfo=dt.UTC)


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
