"""The list of one's own report exports, and what an export holds that waited."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import pytest
from sqlalchemy import select, update

from db import models
from db.models import ExportState
from jobs.worker_context import WorkerContext
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, gid
from tests.graph.time.test_time_report import entry
from tests.jobs.exports.calls import START, ask, fetched, key_of, make
from tests.jobs.exports.test_rights import change, membership

LIST = """query ($filter: ReportExportFilter, $orderBy: [ReportExportOrder!], $first: Int,
               $after: String) {
  viewer {
    reportExports(filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
      totalCount
      nodes { id status format progress timezone downloadUrl byteSize createdAt finishedAt }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""


async def listed(world: World, person: Person, engine: Engine = "batch", **given: Any) -> Any:
    reply = await world.run(LIST, person, engine=engine, **given)
    return reply.good["viewer"]["reportExports"]


def ids_of(page: Any) -> list[str]:
    return [node["id"] for node in page["nodes"]]


@pytest.mark.parametrize("engine", ENGINES)
async def test_ones_exports_are_found_again(
    world: World, context: WorkerContext, engine: Engine
) -> None:
    ada, bob = await world.people(2)
    made = [
        await ask(world, ada, format=format_, timezone="Asia/Tokyo")
        for format_ in ("CSV", "PDF", "JSON")
    ]
    await make(context, made[0])
    page = await listed(world, ada, engine)
    assert (ids_of(page), page["totalCount"]) == (made[::-1], 3)
    assert [node["timezone"] for node in page["nodes"]] == ["Asia/Tokyo"] * 3
    assert [node["status"] for node in page["nodes"]] == ["QUEUED", "QUEUED", "DONE"]
    assert [node["downloadUrl"] is not None for node in page["nodes"]] == [False, False, True]
    assert await listed(world, bob, engine) == {
        "totalCount": 0,
        "nodes": [],
        "pageInfo": {"hasNextPage": False, "endCursor": None},
    }
    # Page by page.
    first = await listed(world, ada, engine, first=2, orderBy=[{"createdAt": "ASC"}])
    assert (ids_of(first), first["pageInfo"]["hasNextPage"]) == (made[:2], True)
    after = first["pageInfo"]["endCursor"]
    rest = await listed(world, ada, engine, after=after, orderBy=[{"createdAt": "ASC"}])
    assert (ids_of(rest), rest["pageInfo"]["hasNextPage"]) == (made[2:], False)


FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"status": {"eq": "DONE"}}, "C"),
    ({"status": {"notEq": "DONE"}}, "PJ"),
    ({"status": {"in": ["QUEUED", "CANCELLED"]}}, "PJ"),
    ({"status": {"notIn": ["QUEUED", "DONE"]}}, "P"),
    ({"format": {"eq": "PDF"}}, "P"),
    ({"format": {"in": ["CSV", "JSON"]}}, "CJ"),
    ({"finishedAt": {"isNull": True}}, "J"),
    ({"createdAt": {"gt": "2199-01-01T00:00:00Z"}}, ""),
    ({"or": [{"format": {"eq": "CSV"}}, {"status": {"eq": "CANCELLED"}}]}, "CP"),
    ({"not": {"status": {"eq": "DONE"}}, "format": {"notEq": "JSON"}}, "P"),
]


async def test_exports_are_filtered_and_ordered(world: World, context: WorkerContext) -> None:
    ada = await world.person()
    made = {format_[0]: await ask(world, ada, format=format_) for format_ in ("CSV", "PDF", "JSON")}
    await make(context, made["C"])
    await change(world, ada, "reportExportCancel", id=made["P"])
    for filter_, wanted in FILTERS:
        page = await listed(world, ada, filter=filter_)
        assert sorted(ids_of(page)) == sorted(made[name] for name in wanted), filter_
        assert page["totalCount"] == len(wanted)
    by_id = await listed(world, ada, filter={"id": {"eq": made["J"]}})
    assert ids_of(by_id) == [made["J"]]
    for order, wanted in (("ASC", "CPJ"), ("DESC_NULLS_FIRST", "JPC")):
        page = await listed(world, ada, orderBy=[{"finishedAt": order}])
        assert ids_of(page) == [made[name] for name in wanted]


async def test_a_page_of_exports_takes_the_same_statements_however_long(
    world: World, context: WorkerContext
) -> None:
    ada = await world.person()
    counts = []
    for _ in range(2):
        for _ in range(3):
            await make(context, await ask(world, ada, format="CSV"))
        reply = await world.run(LIST, ada)
        assert all(node["downloadUrl"] for node in reply.good["viewer"]["reportExports"]["nodes"])
        counts.append(len(reply.statements))
    assert counts[0] == counts[1]


async def test_an_expired_export_is_listed_without_its_file(
    world: World, context: WorkerContext
) -> None:
    ada = await world.person()
    export_id = await ask(world, ada, format="CSV")
    await make(context, export_id)
    past = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    async with world.database.session() as session, session.begin():
        export = models.ReportExport
        mine = export.id == key_of(export_id)
        await session.execute(update(export).where(mine).values(expires_at=past))
    (node,) = (await listed(world, ada))["nodes"]
    assert (node["status"], node["downloadUrl"]) == ("DONE", None)
    async with world.database.session() as session, session.begin():
        await session.execute(update(export).where(mine).values(status=ExportState.EXPIRED))
        assert await session.scalar(select(export.status).where(mine)) is ExportState.EXPIRED
    (node,) = (await listed(world, ada, filter={"status": {"eq": "EXPIRED"}}))["nodes"]
    assert (node["id"], node["downloadUrl"]) == (export_id, None)


@pytest.mark.parametrize("lost", ["lowered", "removed", "deleted"])
async def test_what_is_lost_between_request_and_run_is_not_in_the_file(
    world: World, context: WorkerContext, lost: str
) -> None:
    owner, admin, editor = await world.people(3)
    project = await world.project(owner, admins=[admin], editors=[editor])
    await world.rows(
        entry(editor, START, 60, project=project), entry(admin, START, 5, project=project)
    )
    export_id = await ask(world, admin, format="CSV", groupBy=["USER", "PROJECT"])
    if lost == "deleted":
        await change(world, owner, "projectDelete", id=gid(project))
    else:
        member = await membership(world, project, admin)
        if lost == "removed":
            await change(world, owner, "projectMemberRemove", id=member)
        else:
            await change(world, owner, "projectMemberUpdate", id=member, role="VIEWER")
    await make(context, export_id)
    _, body = await fetched(world, admin, export_id)
    rows = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    assert [(row["user"], row["durationSeconds"]) for row in rows] == [(admin.username, "5")]
    named = project.key if lost == "lowered" else ""
    assert [row["project"] for row in rows] == [named]
    assert ids_of(await listed(world, admin)) == [export_id]
