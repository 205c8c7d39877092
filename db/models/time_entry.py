"""Time entries.

Times are whole seconds, so that durations are whole numbers and the parts of an entry that is split
at midnights add up exactly to the whole.
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

# Longer entries must be forced, so there are few of them. They have an index of their own, so that
# the search for overlaps need not read all earlier entries.
LONG = "24 hours"


class TimeEntry(Versioned, Base):
    """A period of one user's time; a running timer while `ended_at` is null.

    An entry belongs to the project of its task, unless the task was moved without its entries
    (`domain.time.time_moves`). When the task or the project is deleted for good, the entry keeps
    its user and loses the reference.
    """

    __tablename__ = "time_entries"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
    task_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="SET NULL"))
    description: Mapped[str | None]
    started_at: Mapped[dt.datetime] = mapped_column(TIMESTAMP(timezone=True, precision=0))
    ended_at: Mapped[dt.datetime | None] = mapped_column(TIMESTAMP(timezone=True, precision=0))
    # For time entered as a day and a duration: it counts on this day in every time zone, and
    # overlaps nothing, since its time of day is unknown. `started_at` is then midnight of that day
    # in the user's time zone, which carries no further information.
    day: Mapped[dt.date | None]
    is_billable: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    tags: Mapped[list[str]] = mapped_column(default=list, server_default=text("'{}'"))
    # The tags casefolded, in the same order; filters and groups compare these.
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
        # For the orderings that lists are paged by.
        Index("ix_time_entries_started_at_id", "started_at", "id"),
        Index("ix_time_entries_ended_at_id", "ended_at", "id"),
        Index("ix_time_entries_created_at_id", "created_at", "id"),
        Index("ix_time_entries_updated_at_id", "updated_at", "id"),
        Index("ix_time_entries_user_id_id", "user_id", "id"),
        Index("ix_time_entries_project_id_id", "project_id", "id"),
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
    """When an entry ends; for a running one, the current second."""
    return func.coalesce(entry.ended_at, func.date_trunc(literal("second", Text()), func.now()))


def seconds(entry: Any) -> ColumnElement[int]:
    """The duration of an entry in whole seconds; a running one counts up to now."""
    return func.greatest(
        cast(func.date_part(literal("epoch", Text()), ends(entry) - entry.started_at), BigInteger),
        0,
    )
