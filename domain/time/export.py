"""Report exports: requested by a user, created by a worker, kept for a day.

The worker reports its progress, and learns from the result whether the export was cancelled. Every
step is a recorded change with an event to the owner, so progress is delivered like every other
event.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, update

from auth import access
from db.models import ExportFormat, ExportState, ReportExport, StoredFile, WeekDay
from domain import locks
from domain.work import Work
from errors import ErrorCode, Failure, Forbidden
from events.kinds import EventKind

JOB = "report_export"
KEPT = dt.timedelta(hours=24)
# How long a finished export stays in the list.
REMEMBERED = dt.timedelta(days=30)
MAX_UNFINISHED = 5
_CHUNK_SIZE = 1_000


@dataclass(frozen=True, slots=True)
class Rights:
    """The IDs that access to a file depends on; see `domain.time.export_rows.rights`."""

    managed_project_ids: set[UUID]
    seen_project_ids: set[UUID]
    seen_task_ids: set[UUID]


_RIGHTS = tuple(field.name for field in fields(Rights))


async def create(
    work: Work,
    *,
    filter_json: dict[str, Any] | None,
    group_by: Sequence[str],
    timezone: str,
    week_start: WeekDay,
    format_: ExportFormat,
    bom: bool = False,
) -> ReportExport:
    """Request an export. The arguments of the report have been validated."""
    user_id = work.viewer.require()
    if work.viewer.restricted:
        raise Forbidden("An API key that is restricted to projects cannot create exports.")
    await locks.lock_owner(work)
    unfinished = await work.session.scalar(
        select(func.count()).where(
            ReportExport.user_id == user_id, ReportExport.status <= ExportState.RUNNING
        )
    )
    if unfinished is not None and unfinished >= MAX_UNFINISHED:
        raise Failure(
            f"You have {MAX_UNFINISHED} unfinished exports, the most allowed; wait for one to "
            "finish or cancel one.",
            code=ErrorCode.LIMIT_EXCEEDED,
            limit=MAX_UNFINISHED,
            actual=unfinished,
        )
    export = ReportExport(
        id=work.new_id(),
        user_id=user_id,
        filter=filter_json,
        group_by=list(group_by),
        timezone=timezone,
        week_start=week_start,
        format=format_,
        bom=bom,
        status=ExportState.QUEUED,
        progress=0,
        created_at=work.now,
        updated_at=work.now,
    )
    work.session.add(export)
    await work.session.flush()
    _record(work, export, [("status", None, export.status)])
    await work.enqueue(JOB, {"export_id": export.id})
    await work.session.flush()
    return export


async def cancel(work: Work, export_id: UUID, if_version: int | None) -> ReportExport:
    """Cancel an export that is not finished. One that is over stays unchanged."""
    export = await work.permitted(ReportExport, export_id, access.edit, "cancel")
    work.check_version(export, if_version, fields=["status"], ref="report_export")
    if not export.status.is_over:
        _change(work, export, {"status": ExportState.CANCELLED, "finished_at": work.now})
        await work.session.flush()
    return export


# --- for the worker ------------------------------------------------------------------------------


async def advance(work: Work, export_id: UUID, progress: int) -> bool:
    """Report that the export runs, with its progress in percent. Returns False if the worker is to
    stop.
    """
    export = await _unfinished(work, export_id)
    if export is None:
        return False
    _change(work, export, {"status": ExportState.RUNNING, "progress": progress})
    await work.session.flush()
    return True


async def reserve(work: Work, export: ReportExport) -> UUID:
    """Reserve a stored file for the export before its first byte is written."""
    file = StoredFile(
        id=work.new_id(),
        uploader_id=export.user_id,
        created_at=work.now,
        expires_at=work.now + KEPT,
    )
    work.session.add(file)
    await work.session.flush()
    return file.id


async def finish(work: Work, export_id: UUID, file_id: UUID, size: int, rights: Rights) -> None:
    """Mark the export as done: its file is stored, and its owner can fetch it while they have these
    rights. If it was cancelled, the sweep removes the file.
    """
    export = await _unfinished(work, export_id)
    if export is None:
        return
    file = await work.session.get_one(StoredFile, file_id, with_for_update=True)
    _change(
        work,
        export,
        {
            "status": ExportState.DONE,
            "progress": 100,
            "file_id": file_id,
            "byte_size": size,
            "finished_at": work.now,
            "expires_at": file.expires_at,
            **{name: sorted(getattr(rights, name)) for name in _RIGHTS},
        },
    )
    await work.session.flush()


async def fail(work: Work, export_id: UUID, reason: str) -> None:
    """Mark the export as failed for a reason that a retry would not change."""
    export = await _unfinished(work, export_id)
    if export is not None:
        _change(
            work,
            export,
            {"status": ExportState.FAILED, "failure_reason": reason, "finished_at": work.now},
        )
        await work.session.flush()


async def sweep(work: Work) -> int:
    """Expire exports whose file has expired, and delete old ones. Returns how many.

    The files are deleted with all others (`domain.stored_file`).
    """
    expired = await work.session.scalars(
        select(ReportExport)
        .where(ReportExport.status == ExportState.DONE, ReportExport.expires_at <= work.now)
        .order_by(ReportExport.id)
        .limit(_CHUNK_SIZE)
        .with_for_update(skip_locked=True)
    )
    count = 0
    for export in expired:
        _change(work, export, {"status": ExportState.EXPIRED})
        count += 1
    old = select(ReportExport.id).where(ReportExport.created_at <= work.now - REMEMBERED)
    gone = await work.session.scalars(
        delete(ReportExport)
        .where(ReportExport.id.in_(old.limit(_CHUNK_SIZE)))
        .returning(ReportExport.id)
        .execution_options(synchronize_session=False)
    )
    count += len(gone.all())
    await work.session.flush()
    return count


async def delete_some_of(work: Work, user_id: UUID, limit: int) -> int:
    """Delete exports of a user whose account is deleted; returns how many. A worker that writes one
    stops, and the sweep removes the files.
    """
    some = select(ReportExport.id).where(ReportExport.user_id == user_id).limit(limit)
    gone = await work.session.execute(
        delete(ReportExport)
        .where(ReportExport.id.in_(some))
        .returning(ReportExport.id, ReportExport.file_id)
        .execution_options(synchronize_session=False)
    )
    rows = gone.all()
    await work.session.execute(
        update(StoredFile)
        .where(StoredFile.id.in_([row.file_id for row in rows if row.file_id is not None]))
        .values(expires_at=work.now)
        .execution_options(synchronize_session=False)
    )
    return len(rows)


async def _unfinished(work: Work, export_id: UUID) -> ReportExport | None:
    export = await work.session.get(
        ReportExport, export_id, with_for_update=True, populate_existing=True
    )
    return None if export is None or export.status.is_over else export


def _change(work: Work, export: ReportExport, values: dict[str, Any]) -> None:
    changed = work.apply(export, values, ignore=("file_id", *_RIGHTS))
    if changed:
        _record(work, export, changed)


def _record(work: Work, export: ReportExport, changes: Sequence[tuple[str, Any, Any]]) -> None:
    work.record(EventKind.REPORT_EXPORT_UPDATED, export, changes, audience=[export.user_id])
