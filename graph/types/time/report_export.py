"""Exports of reports in the schema: asking for one, and seeing how far it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import ARRAY, Uuid, bindparam, func, select

from auth import access
from db import models
from db.models import ExportFormat, ExportState, WeekDay
from db.read import Statement
from domain.time import export as domain
from domain.time.report import GroupBy
from domain.work import Work
from errors import BadInput, NotFound
from events.filter import EventFilter
from events.kinds import EventKind
from events.subscription import Subscription as Source
from graph.core import ids
from graph.core.context import Context
from graph.core.fields import BatchInfo, batch, column, derived
from graph.core.inputs import MutationInput, UpdateInput, given, optional, required
from graph.core.node import Node, described_enum, node_id, node_type
from graph.engine.sql_json import KEY_ONLY
from graph.kit.loading import by_id, load_objects, read_by_keys
from graph.kit.mutation import Payload, Refs, mutation, payload, ref
from graph.kit.stored_input import to_json
from graph.types.time.report import TimeReportFilter, wanted_of

described_enum(
    ExportFormat,
    "What kind of file an export is.",
    {
        ExportFormat.CSV: "The entries, one a line (RFC 4180, UTF-8); `timeEntryImport` reads it. "
        "Entries are cut to the days of the export; their own times are in `originalStart` and "
        "`originalEnd`.",
        ExportFormat.JSON: "The groups and the entries.",
        ExportFormat.PDF: "For paper: a chart of hours, the groups, totals.",
    },
    name="ReportExportFormat",
)
described_enum(
    ExportState,
    "How far an export is.",
    {
        ExportState.QUEUED: "It waits for a worker.",
        ExportState.RUNNING: "It is being written.",
        ExportState.DONE: "The file can be fetched until `expiresAt`.",
        ExportState.FAILED: "It could not be made; `reason` says why.",
        ExportState.CANCELLED: "It was given up.",
        ExportState.EXPIRED: "Its file is not kept any more; ask for a new export.",
    },
    name="ReportExportState",
)


def export_path(export_id: UUID) -> str:
    """Where the file of an export is fetched from (`web.exports`)."""
    return f"/exports/{ids.encode(models.ReportExport, export_id)}"


@lru_cache(maxsize=1)
def _fetchable() -> Statement:
    export = models.ReportExport
    keys = bindparam("keys", type_=ARRAY(Uuid()))
    query = select(export.id).where(export.id == keys.any_(), access.could_export_again())
    return Statement(query, plan_once=True)


async def _urls(parents: Sequence[Any], info: BatchInfo) -> list[str | None]:
    context = info.context
    links = context.services.files.links
    kept = {
        row.id for row in parents if row.state == ExportState.DONE and row.expires_at > context.now
    }
    if kept:
        rows = await context.services.database.reader.fetch(_fetchable(), {"keys": list(kept)})
        kept = {row.id for row in rows}
    return [
        links.sign("GET", export_path(row.id), context.now, row.expires_at - context.now).url
        if row.id in kept
        else None
        for row in parents
    ]


@node_type(models.ReportExport, "A report that is made into a file. Seen by who asked for it.")
class ReportExport(Node):
    """See `db.models.ReportExport`."""

    id: strawberry.ID = node_id(models.ReportExport)
    state: ExportState = column(models.ReportExport.state, "How far it is.", convert=ExportState)
    format: ExportFormat = column(
        models.ReportExport.format, "What kind of file.", convert=ExportFormat
    )
    progress: int = column(models.ReportExport.progress, "How much is done, in per cent.")
    group_by: list[GroupBy] = derived(
        (models.ReportExport.group_by,),
        lambda row: [GroupBy[name] for name in row.group_by],
        "How the report is grouped.",
    )
    timezone: str = column(
        models.ReportExport.timezone, "The zone whose midnights divide the days."
    )
    week_start: WeekDay = column(
        models.ReportExport.week_start, "The day on which weeks begin.", convert=WeekDay
    )
    url: str | None = batch(
        _urls,
        "Where the file is fetched from, without any header, until `expiresAt`, as long as your "
        "account is active and you could make the same export again: you still manage the "
        "projects of other people's entries in it, and see the projects and tasks that it names. "
        "Null while there is no file, or none that you may fetch.",
        requires=("id", "state", "expires_at"),
    )
    size: int | None = column(models.ReportExport.size, "The size of the file in bytes.")
    reason: str | None = column(models.ReportExport.reason, "Why it failed.")
    finished_at: dt.datetime | None = column(
        models.ReportExport.finished_at, "When it was done, failed or cancelled."
    )
    expires_at: dt.datetime | None = column(
        models.ReportExport.expires_at, "Until when the file is kept: a day."
    )
    created_at: dt.datetime = column(models.ReportExport.created_at, "When it was asked for.")
    updated_at: dt.datetime = column(models.ReportExport.updated_at, "When it went on last.")
    version: int = column(models.ReportExport.version, "Goes up with each step; for `ifVersion`.")


# --- queries -------------------------------------------------------------------------------------


@strawberry.type
class ReportExportQuery:
    """Root fields."""

    report_export: ReportExport | None = by_id(
        models.ReportExport,
        "The export's id.",
        "One of your exports by id; null with `NOT_FOUND` if there is none for you.",
    )


# --- progress ------------------------------------------------------------------------------------

_KIND = EventKind.REPORT_EXPORT_UPDATED.value
_OVER = frozenset(state.name for state in ExportState if state.is_over)


@lru_cache(maxsize=1)
def _latest() -> Statement:
    event = models.Event
    return Statement(
        select(func.max(event.position).label("position")).where(
            event.subject_id == bindparam("export_id", type_=Uuid()), event.kind == _KIND
        )
    )


async def progress_of(context: Context, export_id: UUID) -> AsyncGenerator[Any, None]:
    """The events of an export: its latest, then each that comes, up to the one that ends it.

    Raises `NotFound` where it is none of the viewer's.
    """
    user_id = context.viewer.require()
    visible = await read_by_keys(context, models.ReportExport, KEY_ONLY, [export_id])
    if not visible:
        raise NotFound("report export", path=("id",))
    live = context.services.live
    # Subscribed before the latest is looked up, so that none falls between.
    source = await live.subscribe(user_id, EventFilter(kinds=frozenset({_KIND})))
    rows = await context.services.database.reader.fetch(_latest(), {"export_id": export_id})
    latest = None
    if rows and rows[0].position is not None:
        latest = await live.log.read_at(rows[0].position)
    return _steps(source, export_id, latest)


async def _steps(source: Source, export_id: UUID, latest: Any) -> AsyncGenerator[Any, None]:
    seen = 0
    try:
        if latest is not None:
            seen = latest.position
            yield latest
            if _ends(latest):
                return
        async for row in source:
            if row.kind == _KIND and row.subject_id == export_id and row.position > seen:
                yield row
                if _ends(row):
                    return
    finally:
        await source.aclose()


def _ends(event: Any) -> bool:
    return any(change["field"] == "state" and change["to"] in _OVER for change in event.changes)


async def _of_event(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.ReportExport, [parent.subject_id for parent in parents])


@strawberry.type(description="A step of an export.")
class ReportExportProgress:
    """Reads from the row of an event."""

    at: dt.datetime = derived((), lambda event: event.at, "When it was reached.")
    report_export: ReportExport | None = batch(_of_event, "The export as it is now.")


# --- mutations -----------------------------------------------------------------------------------


@strawberry.input(description="A report to be made into a file.")
class TimeReportExportInput(MutationInput):
    """See `domain.time.export.create`; the arguments are those of `timeReport`."""

    format: ExportFormat = required("What kind of file.")
    filter: TimeReportFilter | None = optional("Which time; all that you may see if left out.")
    group_by: list[GroupBy] | None = optional("How to group, from the outside in.")
    timezone: str | None = optional(
        "The IANA zone whose midnights divide the days; yours if left out."
    )
    week_start: WeekDay | None = optional(
        "The day on which weeks begin; that of your profile if left out."
    )
    bom: bool = strawberry.field(
        default=False,
        description="True: a CSV file begins with a byte order mark, without which spreadsheet "
        "programs may not read it as UTF-8.",
    )


@strawberry.input(description="The export to give up.")
class ReportExportCancelInput(UpdateInput):
    """See `domain.time.export.cancel`."""

    id: strawberry.ID = required("The export.")


@strawberry.type
class _ExportPayload(Payload):
    report_export: ReportExport | None = ref(
        models.ReportExport, "The export; null if nothing was done."
    )


@payload("The export, which a worker begins with now.")
class TimeReportExportPayload(_ExportPayload):
    """`timeReportExport`."""


@payload("The export as it is now; one that was over already stays as it was.")
class ReportExportCancelPayload(_ExportPayload):
    """`reportExportCancel`."""


async def _create(work: Work, data: TimeReportExportInput) -> Refs:
    filter_ = given(data.filter)
    if data.bom and data.format is not ExportFormat.CSV:
        raise BadInput("bom is for CSV only.", path=("bom",))
    group_by = given(data.group_by) or []
    wanted = wanted_of(work.viewer, filter_, group_by, given(data.timezone), given(data.week_start))
    export = await domain.create(
        work,
        filter_json=None if filter_ is None else to_json(filter_),
        group_by=[by.name for by in group_by],
        timezone=wanted.timezone,
        week_start=wanted.week_start,
        format_=data.format,
        bom=data.bom,
    )
    return {"report_export": export.id}


async def _cancel(work: Work, data: ReportExportCancelInput) -> Refs:
    export_id = ids.decode(models.ReportExport, data.id, ("id",))
    return {"report_export": (await domain.cancel(work, export_id, given(data.if_version))).id}


@strawberry.type
class ReportExportMutation:
    """Root fields."""

    time_report_export: TimeReportExportPayload = mutation(
        _create,
        TimeReportExportInput,
        "Have a report made into a file behind the scenes. Follow it by `reportExportProgress` or "
        "`reportExport`; the file is kept for a day. It holds what you may see while it is made.",
    )
    report_export_cancel: ReportExportCancelPayload = mutation(
        _cancel, ReportExportCancelInput, "Give up an export that is not finished."
    )
