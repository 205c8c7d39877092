"""Report exports in the schema: creating, cancelling and following them."""

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
from db.statements import Plan, Statement
from domain.time import export as domain
from domain.time.report import GroupBy
from domain.work import Work
from errors import BadInput, NotFound
from events.filter import LogFilter
from events.kinds import EventKind
from events.log import cursor_of
from events.subscription import Subscription as Source
from graph.core import ids
from graph.core.context import Context
from graph.core.fields import BatchInfo, batch, column, derived
from graph.core.inputs import MutationInput, UpdateInput, given, optional, required
from graph.core.node import Node, described_enum, node_id, node_type
from graph.core.scalars import URL, TimeZone
from graph.engine.sql_json import KEY_ONLY
from graph.kit import filtering, ordering, paging
from graph.kit.comparators import DateTimeFilter, IDFilter, comparator
from graph.kit.loading import by_id, load_objects, read_by_keys
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref, shared_payload
from graph.kit.ordering import Key
from graph.kit.stored_input import to_json
from graph.types.time.report import TimeReportFilter, wanted_of

described_enum(
    ExportFormat,
    "The file format of an export.",
    {
        ExportFormat.CSV: (
            "One entry per row (RFC 4180, UTF-8), readable by `timeEntryImport`. Entries are "
            "cut to the days of the export; the columns `originalStart` and `originalEnd` hold "
            "their full times."
        ),
        ExportFormat.JSON: "The groups and the entries, as JSON.",
        ExportFormat.PDF: "A printable document with a chart of hours, the groups and totals.",
    },
    name="ReportExportFormat",
)
described_enum(
    ExportState,
    "The status of an export.",
    {
        ExportState.QUEUED: "The export waits for a worker.",
        ExportState.RUNNING: "A worker is creating the file.",
        ExportState.DONE: "The file can be downloaded until `expiresAt`.",
        ExportState.FAILED: "The export failed; `failureReason` says why.",
        ExportState.CANCELLED: "The export was cancelled.",
        ExportState.EXPIRED: "The file was deleted. Create a new export.",
    },
    name="ReportExportStatus",
)


def export_path(export_id: UUID) -> str:
    """The path of an export's file (served by `web.exports`)."""
    return f"/exports/{ids.encode(models.ReportExport, export_id)}"


@lru_cache(maxsize=1)
def _fetchable() -> Statement:
    export = models.ReportExport
    keys = bindparam("keys", type_=ARRAY(Uuid()))
    query = select(export.id).where(export.id == keys.any_(), access.could_export_again())
    return Statement(query, plan=Plan.ONCE)


async def _urls(parents: Sequence[Any], info: BatchInfo) -> list[str | None]:
    context = info.context
    links = context.services.files.links
    kept = {
        row.id for row in parents if row.status == ExportState.DONE and row.expires_at > context.now
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


@node_type(models.ReportExport, "A file with a time report. Only its creator can see it.")
class ReportExport(Node):
    id: strawberry.ID = node_id(models.ReportExport)
    status: ExportState = column("The status of the export.", convert=ExportState)
    format: ExportFormat = column("The file format.", convert=ExportFormat)
    progress: int = column("The progress, in percent.")
    group_by: list[GroupBy] = derived(
        (models.ReportExport.group_by,),
        lambda row: [GroupBy[name] for name in row.group_by],
        "How the report is grouped.",
    )
    timezone: TimeZone = column("The time zone whose midnights separate the days.")
    week_start: WeekDay = column("The first day of the week.", convert=WeekDay)
    download_url: URL | None = batch(
        _urls,
        "The signed URL of the file; no header is needed. It works until `expiresAt`, as long "
        "as your account is active and you could still create the same export: you manage the "
        "projects of other users' entries in it, and can see the projects and tasks it names. "
        "Null if there is no file or you cannot download it.",
        requires=("id", "status", "expires_at"),
    )
    byte_size: int | None = column("The size of the file, in bytes.")
    failure_reason: str | None = column("Why the export failed.")
    finished_at: dt.datetime | None = column("When the export was done, failed or was cancelled.")
    expires_at: dt.datetime | None = column(
        "When the file is deleted: one day after it was created."
    )
    created_at: dt.datetime = column("When the export was created.")
    updated_at: dt.datetime = column("When the export last changed.")
    version: int = column("Increases with each change; pass it as `ifVersion`.")


@paging.connection_type(
    "A page of report exports.", edge="A report export in a list, with its cursor."
)
class ReportExportConnection:
    node: ReportExport


# --- queries -------------------------------------------------------------------------------------


@comparator("Compares statuses of report exports.", ExportState)
class ReportExportStatusFilter: ...


@comparator("Compares formats of report exports.", ExportFormat)
class ReportExportFormatFilter: ...


@filtering.filter_input("Filter for report exports.")
class ReportExportFilter:
    id: IDFilter | None = filtering.by_id(
        models.ReportExport.id, models.ReportExport, "The export's ID."
    )
    status: ReportExportStatusFilter | None = filtering.by(
        models.ReportExport.status, "The status of the export."
    )
    format: ReportExportFormatFilter | None = filtering.by(
        models.ReportExport.format, "The file format."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.ReportExport.created_at, "When the export was created.", order="creation time"
    )
    finished_at: DateTimeFilter | None = filtering.by(
        models.ReportExport.finished_at,
        "When the export was done, failed or was cancelled; use `isNull` for unfinished ones.",
        order="when the export was done, failed or was cancelled",
    )


@ordering.order_input(
    "Sort key for report exports. Provide exactly one field.", of=ReportExportFilter
)
class ReportExportOrder: ...


def report_exports() -> Any:
    """The field `Viewer.reportExports`."""
    return paging.connection(
        models.ReportExport,
        "Your report exports, newest first by default. An export is listed for 30 days and its "
        "file kept for one.",
        filter_type=ReportExportFilter,
        order_type=ReportExportOrder,
        default_order=(Key(ordering.source(models.ReportExport.created_at), descending=True),),
    )


@strawberry.type
class ReportExportQuery:
    report_export: ReportExport | None = by_id(
        models.ReportExport,
        "The export's ID.",
        "One of your exports by ID; null with `NOT_FOUND` if it does not exist.",
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


async def progress_of(
    context: Context, export_id: UUID, after: str | None
) -> AsyncGenerator[Any, None]:
    """The events of an export up to the one that ends it: those after a cursor, or else its latest
    event and new ones. Raises `NotFound` unless the export is the viewer's.
    """
    user_id = context.viewer.require()
    visible = await read_by_keys(context, models.ReportExport, KEY_ONLY, [export_id])
    if not visible:
        raise NotFound("report export", path=("id",))
    live = context.services.live
    # Subscribe before reading the latest event, so that no event is missed in between.
    wanted = LogFilter(kinds=frozenset({_KIND}), losses=False)
    source = await live.subscribe(user_id, wanted, after=after)
    rows = await context.services.database.reader.fetch(_latest(), {"export_id": export_id})
    latest = None
    if rows and rows[0].position is not None:
        latest = await live.log.read_at(rows[0].position)
    if after is None or latest is None:
        return _steps(source, export_id, latest)
    place = (await live.log.resume(after, context.now)).place
    ended = _ends(latest) and (latest.xid, latest.position) <= place
    return _steps(source, export_id, None, ended=ended)


async def _steps(
    source: Source, export_id: UUID, latest: Any, *, ended: bool = False
) -> AsyncGenerator[Any, None]:
    seen = 0
    try:
        if ended:
            return
        if latest is not None:
            seen = latest.position
            yield latest
            if _ends(latest):
                return
        async for row in source:
            if row.subject_id == export_id and row.position > seen:
                yield row
                if _ends(row):
                    return
    finally:
        await source.aclose()


def _ends(event: Any) -> bool:
    return any(change["field"] == "status" and change["to"] in _OVER for change in event.changes)


async def _of_event(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.ReportExport, [parent.subject_id for parent in parents])


@strawberry.type(description="A change in the status or progress of an export.")
class ReportExportEvent:
    """Reads from the row of an event."""

    cursor: str = derived(
        ("epoch", "xid", "position"),
        cursor_of,
        "Pass it as `after` to resume from here.",
    )
    at: dt.datetime = derived((), lambda event: event.at, "When the change happened.")
    report_export: ReportExport | None = batch(_of_event, "The export as it is now.")


# --- mutations -----------------------------------------------------------------------------------


@strawberry.input(description="Input for `reportExportCreate`.")
class ReportExportCreateInput(MutationInput):
    """See `domain.time.export.create`; the arguments are those of `timeReport`."""

    format: ExportFormat = required("The file format.")
    filter: TimeReportFilter | None = optional(
        "The time to include; all time that you can see by default."
    )
    group_by: list[GroupBy] | None = optional(
        "How to group, from the outermost to the innermost level."
    )
    timezone: TimeZone | None = optional(
        "The time zone whose midnights separate the days. Defaults to your own."
    )
    week_start: WeekDay | None = optional(
        "The first day of the week. Defaults to the one in your profile."
    )
    include_bom: bool = strawberry.field(
        default=False,
        description=(
            "Starts a CSV file with a byte order mark, which some spreadsheet programs "
            "need to read it as UTF-8."
        ),
    )


@strawberry.input(description="Input for `reportExportCancel`.")
class ReportExportCancelInput(UpdateInput):
    """See `domain.time.export.cancel`."""

    id: strawberry.ID = required("The export to cancel.")


@shared_payload()
class _ExportPayload(MutationPayload):
    report_export: ReportExport | None = ref(
        models.ReportExport, "The export; null if nothing was changed."
    )


@payload("Payload of `reportExportCancel`. An export that was already over is returned unchanged.")
class ReportExportCancelPayload(_ExportPayload):
    """`reportExportCancel`."""


async def _create(work: Work, data: ReportExportCreateInput) -> Refs:
    filter_ = given(data.filter)
    if data.include_bom and data.format is not ExportFormat.CSV:
        raise BadInput("includeBom can be true only if format is CSV.", path=("include_bom",))
    group_by = given(data.group_by) or []
    wanted = wanted_of(work.viewer, filter_, group_by, given(data.timezone), given(data.week_start))
    export = await domain.create(
        work,
        filter_json=None if filter_ is None else to_json(filter_),
        group_by=[by.name for by in group_by],
        timezone=wanted.timezone,
        week_start=wanted.week_start,
        format_=data.format,
        bom=data.include_bom,
    )
    return {"report_export": export.id}


async def _cancel(work: Work, data: ReportExportCancelInput) -> Refs:
    export_id = ids.decode(models.ReportExport, data.id, ("id",))
    return {"report_export": (await domain.cancel(work, export_id, given(data.if_version))).id}


@strawberry.type
class ReportExportMutation:
    report_export_create: _ExportPayload = mutation(
        _create,
        ReportExportCreateInput,
        "Creates a report as a file in the background. Follow its progress with "
        "`reportExportChanged` or `reportExport`. The file is kept for one day and contains "
        "what you can see while it is created.",
    )
    report_export_cancel: ReportExportCancelPayload = mutation(
        _cancel, ReportExportCancelInput, "Cancels an export that is not finished."
    )
