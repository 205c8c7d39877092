"""Tasks shared with users who are not members of the project."""

from __future__ import annotations

import datetime as dt
from enum import IntEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Ordered, Versioned
from db.models.task import Task
from db.models.user import User


class Permission(IntEnum):
    """What a share allows; EDIT includes VIEW."""

    VIEW = 10
    EDIT = 20


class TaskShare(Versioned, Base):
    """One user's access to one task and its subtasks."""

    __tablename__ = "task_shares"

    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    permission: Mapped[Permission] = mapped_column(Ordered(Permission))
    shared_by_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    expires_at: Mapped[dt.datetime | None]

    task: Mapped[Task] = relationship(lazy="raise", back_populates="shares")
    user: Mapped[User] = relationship(lazy="raise", foreign_keys=[user_id])
    shared_by: Mapped[User] = relationship(lazy="raise", foreign_keys=[shared_by_id])

    __table_args__ = (
        UniqueConstraint("task_id", "user_id"),
        Index("ix_task_shares_user_id_task_id", "user_id", "task_id"),
        # For the orderings that lists are paged by.
        Index("ix_task_shares_user_id_created_at_id", "user_id", "created_at", "id"),
        Index("ix_task_shares_task_id_created_at_id", "task_id", "created_at", "id"),
    )
