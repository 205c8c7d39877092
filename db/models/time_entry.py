"""The time that people spend.

Moments are whole seconds, so that durations are whole numbers and every sum of parts is exactly
the whole, however entries are split at midnights.
"""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    Text,
    cast,
    func,
    literal,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Versioned
from db.models.project import Project
from db.models.task import Task
from db.models.user import User

# Entries that last longer have to be forced, and so are few: they have an index of their own, by
# which overlaps are found without looking at all that came before.
LONG = "24 hours"


class TimeEntry(Versioned, Base):
    """A stretch of one person's time; a running timer while `ended_at` is null.

    An entry belongs to a project: that of its task, unless the task was moved and was to leave its
    entries behind (`domain.time.time_moves`). When the task or the project is deleted for good, the
    entry stays with its user, without it.
    """

    __tablename__ = "time_entries"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
    task_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="SET NULL"))
    description: Mapped[str | None]
    started_at: Mapped[dt.datetime] = mapped_column(TIMESTAMP(timezone=True, precision=0))
    ended_at: Mapped[dt.datetime | None] = mapped_column(TIMESTAMP(timezone=True, precision=0))
    # For time that was given as a day and a duration: it counts on this day in every zone, and
    # overlaps nothing, since nobody said when it was. `started_at` is then the day's midnight in
    # the zone of its user, and says no more than the day does.
    day: Mapped[dt.date | None]
    is_billable: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    tags: Mapped[list[str]] = mapped_column(default=list, server_default=text("'{}'"))
    # The tags casefolded, in the same order: what filters and groups compare.
    tag_keys: Mapped[list[str]] = mapped_column(default=list, server_default=text("'{}'"))

    user: Mapped[User] = relationship(lazy="raise")
    project: Mapped[Project | None] = relationship(lazy="raise", back_populates="time_entries")
    task: Mapped[Task | None] = relationship(lazy="raise", back_populates="time_entries")

    __table_args__ = (
        CheckConstraint("ended_at >= started_at", name="ends_after_start"),
        CheckConstraint("day IS NULL OR ended_at IS NOT NULL", name="day_is_over"),
        Index(
            "uq_time_entries_running",
            "user_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        # The orderings that lists are paged by.
        Index("ix_time_entries_started_at_id", "started_at", "id"),
        Index("ix_time_entries_user_id_started_at_id", "user_id", "started_at", "id"),
        Index("ix_time_entries_project_id_started_at_id", "project_id", "started_at", "id"),
        Index("ix_time_entries_task_id_started_at_id", "task_id", "started_at", "id"),
        Index(
            "ix_time_entries_long",
            "user_id",
            "started_at",
            postgresql_where=text(f"ended_at - started_at > interval '{LONG}'"),
        ),
        Index("ix_time_entries_tag_keys", "tag_keys", postgresql_using="gin"),
    )


def ends(entry: Any) -> ColumnElement[dt.datetime]:
    """When an entry ends; for a running one, this second."""
    return func.coalesce(entry.ended_at, func.date_trunc(literal("second", Text()), func.now()))


def seconds(entry: Any) -> ColumnElement[int]:
    """How long an entry is, in whole seconds; a running one counts up to now."""
    return func.greatest(
        cast(func.date_part(literal("epoch", Text()), ends(entry) - entry.started_at), BigInteger),
        0,
    )
