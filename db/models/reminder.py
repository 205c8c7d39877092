"""Reminders, and the due dates that users were notified of."""

from __future__ import annotations

import datetime as dt
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Ordered, Versioned
from db.models.project import Project
from db.models.task import Task
from db.models.user import User


class RuleKind(IntEnum):
    """The kind of rule that sets a reminder's times."""

    DUE = 1
    START = 2
    ONCE = 3
    DAILY = 4
    WEEKLY = 5
    MONTHLY = 6


class ReminderChannel(Enum):
    """A channel through which a reminder is sent to its owner."""

    IN_APP = "IN_APP"
    EMAIL = "EMAIL"
    PUSH = "PUSH"
    WEBHOOK = "WEBHOOK"


class Reminder(Versioned, Base):
    """Notifies one user at times that they chose; no other user can see it.

    `next_run_at` is null while the reminder is off, and after its last time. The worker finds due
    reminders by it.
    """

    __tablename__ = "reminders"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    task_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("tasks.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    message: Mapped[str | None]
    kind: Mapped[RuleKind] = mapped_column(Ordered(RuleKind))
    # The rule's parameters, depending on the kind; see `domain.tasks.schedule.to_json`.
    rule: Mapped[dict[str, Any]] = mapped_column(JSONB)
    channels: Mapped[list[str]]
    is_enabled: Mapped[bool] = mapped_column(default=True)
    # Why the server disabled it.
    disabled_reason: Mapped[str | None]
    next_run_at: Mapped[dt.datetime | None]
    last_run_at: Mapped[dt.datetime | None]

    owner: Mapped[User] = relationship(lazy="raise")
    task: Mapped[Task | None] = relationship(lazy="raise")
    project: Mapped[Project | None] = relationship(lazy="raise")

    __table_args__ = (
        CheckConstraint("task_id IS NULL OR project_id IS NULL", name="one_target"),
        CheckConstraint("kind > 2 OR task_id IS NOT NULL", name="task_of_relative"),
        CheckConstraint("is_enabled OR next_run_at IS NULL", name="off_has_no_run"),
        Index("ix_reminders_user_id_created_at_id", "user_id", "created_at", "id"),
        Index("ix_reminders_user_id_next_run_at_id", "user_id", "next_run_at", "id"),
        Index(
            "ix_reminders_next_run_at",
            "next_run_at",
            postgresql_where=text("next_run_at IS NOT NULL"),
        ),
    )


class DueNotice(Base):
    """The due date that a TASK_DUE_SOON notification was last sent for; one row per task."""

    __tablename__ = "due_notices"

    task_id: Mapped[UUID] = mapped_column(
        ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True
    )
    due_at: Mapped[dt.datetime]
