"""Notifications, and each user's preferences for them."""

from __future__ import annotations

import datetime as dt
from enum import Enum, IntEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Identified, Ordered, Versioned
from db.models.task import Task
from db.models.user import User


class NotificationKind(IntEnum):
    """The reason for a notification."""

    TASK_SHARED_WITH_ME = 1
    TASK_ASSIGNED_TO_ME = 2
    TASK_COMPLETED = 3
    COMMENT_ON_MY_TASK = 4
    MENTIONED = 5
    TASK_DUE_SOON = 6
    REMINDER = 7
    WEBHOOK_DISABLED = 8
    INTEGRATION_FAILED = 9


class Channel(Enum):
    """A channel that notifications are sent through."""

    IN_APP = "in_app"
    EMAIL = "email"
    PUSH = "push"


class Notification(Identified, Base):
    """A notification of one user, sent once through up to three channels.

    It is in the inbox if `in_app` is set. One mail covers all notifications about a task that wait
    to be mailed: `email` marks those, and `mail_id` is the mail that covered this one.
    """

    __tablename__ = "notifications"

    recipient_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    kind: Mapped[NotificationKind] = mapped_column(Ordered(NotificationKind))
    # The event that it is about; no foreign key, since the log may be pruned.
    event_id: Mapped[UUID | None]
    actor_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    task_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("tasks.id", ondelete="CASCADE"), index=True
    )
    comment_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("comments.id", ondelete="CASCADE"), index=True
    )
    # What to open, by its model's name, if it is neither the comment nor the task; no foreign key.
    subject_type: Mapped[str | None]
    subject_id: Mapped[UUID | None]
    # For a notification without a task.
    message: Mapped[str | None]
    created_at: Mapped[dt.datetime]
    read_at: Mapped[dt.datetime | None]
    in_app: Mapped[bool]
    email: Mapped[bool]
    mail_id: Mapped[UUID | None]

    recipient: Mapped[User] = relationship(lazy="raise", foreign_keys=[recipient_id])
    actor: Mapped[User | None] = relationship(lazy="raise", foreign_keys=[actor_id])
    task: Mapped[Task | None] = relationship(lazy="raise")

    __table_args__ = (
        # An event that is processed again does not notify a user twice.
        UniqueConstraint("event_id", "recipient_id", "kind"),
        Index("ix_notifications_recipient_id_created_at_id", "recipient_id", "created_at", "id"),
        Index("ix_notifications_recipient_id_read_at_id", "recipient_id", "read_at", "id"),
        Index(
            "ix_notifications_unread",
            "recipient_id",
            "created_at",
            postgresql_where=text("read_at IS NULL AND in_app"),
        ),
        Index(
            "ix_notifications_unmailed",
            "recipient_id",
            "task_id",
            postgresql_where=text("email AND mail_id IS NULL"),
        ),
        Index("ix_notifications_mail_id", "mail_id", postgresql_where=text("mail_id IS NOT NULL")),
    )


class NotificationPreferences(Versioned, Base):
    """One user's preferences; the id is the user's. A user without a row has the defaults."""

    __tablename__ = "notification_preferences"

    id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    is_email_enabled: Mapped[bool] = mapped_column(default=True)
    # {"TASK_COMPLETED": {"email": true}}: only what differs from the kind's default.
    choices: Mapped[dict[str, dict[str, bool]]] = mapped_column(
        JSONB, default=dict, server_default=text("'{}'")
    )
