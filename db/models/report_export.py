"""Reports exported to files, in the background."""

from __future__ import annotations

import datetime as dt
from enum import IntEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ForeignKey, Index, SmallInteger, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Ordered, Versioned
from db.models.user import WeekDay


class ExportFormat(IntEnum):
    """The file format of an export."""

    CSV = 10
    JSON = 20
    PDF = 30


class ExportState(IntEnum):
    """The state of an export."""

    QUEUED = 10
    RUNNING = 20
    DONE = 30
    FAILED = 40
    CANCELLED = 50
    EXPIRED = 60

    @property
    def is_over(self) -> bool:
        """Whether the export has ended."""
        return self > ExportState.RUNNING


class ReportExport(Versioned, Base):
    """A report that a worker writes to a file, which is kept for a day.

    The file's row in `stored_files` expires with the export, so that it is swept like every other
    file that is no longer needed.
    """

    __tablename__ = "report_exports"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    # As the client sent it: a TimeReportFilter as JSON, or null.
    filter: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    group_by: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    timezone: Mapped[str]
    week_start: Mapped[WeekDay] = mapped_column(Ordered(WeekDay), default=WeekDay.MONDAY)
    format: Mapped[ExportFormat] = mapped_column(Ordered(ExportFormat))
    # Whether the file begins with a byte order mark.
    bom: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    status: Mapped[ExportState] = mapped_column(Ordered(ExportState), default=ExportState.QUEUED)
    # In percent.
    progress: Mapped[int] = mapped_column(SmallInteger, default=0)
    # Why it failed, as shown to the user.
    failure_reason: Mapped[str | None]
    file_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("stored_files.id", ondelete="SET NULL"), index=True
    )
    # In bytes.
    byte_size: Mapped[int | None]
    finished_at: Mapped[dt.datetime | None]
    expires_at: Mapped[dt.datetime | None]
    # The rights that the file depends on (`domain.time.export_rows.rights`); NULL before it exists.
    managed_project_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid()))
    seen_project_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid()))
    seen_task_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid()))

    __table_args__ = (
        Index("ix_report_exports_user_id_created_at_id", "user_id", "created_at", "id"),
        Index("ix_report_exports_expires_at", "expires_at", postgresql_where=text("status = 30")),
        Index("ix_report_exports_created_at", "created_at"),
    )
