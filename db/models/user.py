"""Users."""

from __future__ import annotations

import datetime as dt
from enum import IntEnum
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import ForeignKey, Index, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Ordered, Versioned, sort_key

if TYPE_CHECKING:
    from db.models.api_key import ApiKey
    from db.models.project import Project
    from db.models.session import Session
    from db.models.task import Task


class WeekDay(IntEnum):
    """ISO 8601 day of the week."""

    MONDAY = 1
    TUESDAY = 2
    WEDNESDAY = 3
    THURSDAY = 4
    FRIDAY = 5
    SATURDAY = 6
    SUNDAY = 7


class User(Versioned, Base):
    """A user. A deleted user stays as a row without a name: what they wrote needs an author."""

    __tablename__ = "users"
    pieces_of = ("username", "full_name")

    username: Mapped[str]
    username_key: Mapped[str] = sort_key("username")
    email: Mapped[str]
    full_name: Mapped[str | None]
    full_name_key: Mapped[str | None] = sort_key("full_name")
    # The file of the profile picture; the two tables reference each other (a file its uploader).
    avatar_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("stored_files.id", name="fk_users_avatar_id_stored_files", use_alter=True),
        index=True,
    )
    # bcrypt over base64(HMAC-SHA-256(pepper, password)); the next column is the pepper's version.
    password_hash: Mapped[str]
    pepper_version: Mapped[int] = mapped_column(SmallInteger, default=1)
    password_changed_at: Mapped[dt.datetime]
    # Codes and links that were requested before this time are invalid
    # (`domain.accounts.credentials`).
    codes_voided_at: Mapped[dt.datetime | None]
    timezone: Mapped[str] = mapped_column(default="UTC", server_default=text("'UTC'"))
    week_start: Mapped[WeekDay] = mapped_column(Ordered(WeekDay), default=WeekDay.MONDAY)
    locale: Mapped[str] = mapped_column(default="en", server_default=text("'en'"))
    is_active: Mapped[bool] = mapped_column(default=True)
    is_admin: Mapped[bool] = mapped_column(default=False)
    email_verified_at: Mapped[dt.datetime | None]
    deleted_at: Mapped[dt.datetime | None]

    sessions: Mapped[list[Session]] = relationship("Session", lazy="raise", back_populates="user")
    api_keys: Mapped[list[ApiKey]] = relationship("ApiKey", lazy="raise", back_populates="user")
    assigned_tasks: Mapped[list[Task]] = relationship(
        "Task", lazy="raise", foreign_keys="Task.assignee_id", back_populates="assignee"
    )
    owned_tasks: Mapped[list[Task]] = relationship(
        "Task", lazy="raise", foreign_keys="Task.owner_id", viewonly=True
    )
    owned_projects: Mapped[list[Project]] = relationship("Project", lazy="raise", viewonly=True)

    __table_args__ = (
        Index("uq_users_username_lower", func.lower(text("username")), unique=True),
        Index("uq_users_email_lower", func.lower(text("email")), unique=True),
        # For the prefix search of `users(search:)`, by username or full name.
        Index(
            "ix_users_username_prefix",
            func.lower(text("username")).label("lowered"),
            postgresql_ops={"lowered": "text_pattern_ops"},
        ),
        Index(
            "ix_users_full_name_prefix",
            func.lower(text("full_name")).label("lowered"),
            postgresql_ops={"lowered": "text_pattern_ops"},
        ),
        Index(
            "ix_users_pieces",
            func.taskloom_pieces_users(text("username"), text("full_name")),
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": 256},
        ),
        Index("ix_users_created_at_id", "created_at", "id"),
        Index("ix_users_username_key_id", "username_key", "id"),
        Index("ix_users_full_name_key_id", "full_name_key", "id"),
        # For administrators.
        Index("ix_users_updated_at_id", "updated_at", "id"),
        Index("ix_users_email_verified_at_id", "email_verified_at", "id"),
        Index("ix_users_inactive", "id", postgresql_where=text("NOT is_active")),
        Index("ix_users_admins", "id", postgresql_where=text("is_admin")),
    )
