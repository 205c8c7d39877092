"""Projects and their members."""

from __future__ import annotations

import datetime as dt
from enum import IntEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Ordered, Versioned, search_vector, sort_key
from db.models.user import User

if TYPE_CHECKING:
    from db.models.task import Task
    from db.models.time_entry import TimeEntry


class Role(IntEnum):
    """What a member may do; each role includes the rights of the lower ones."""

    VIEWER = 10
    EDITOR = 20
    ADMIN = 30
    OWNER = 40


class Project(Versioned, Base):
    """A container of tasks with members."""

    __tablename__ = "projects"

    name: Mapped[str]
    name_key: Mapped[str] = sort_key("name")
    description: Mapped[str | None]
    key: Mapped[str]
    color: Mapped[str | None]
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    # The last number given to a task; tasks are addressed as KEY-number.
    last_number: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    # Time entries before this day, in their user's time zone, can no longer be changed.
    time_locked_before: Mapped[dt.date | None]
    # Whether a user's time entries in this project may overlap the same user's other entries.
    is_overlap_allowed: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    archived_at: Mapped[dt.datetime | None]
    deleted_at: Mapped[dt.datetime | None] = mapped_column(index=True)
    search: Mapped[Any] = search_vector("taskloom_search_project(name, key, description)")

    owner: Mapped[User] = relationship(lazy="raise")
    members: Mapped[list[ProjectMember]] = relationship(lazy="raise", back_populates="project")
    tasks: Mapped[list[Task]] = relationship("Task", lazy="raise", back_populates="project")
    time_entries: Mapped[list[TimeEntry]] = relationship(
        "TimeEntry", lazy="raise", back_populates="project", passive_deletes="all"
    )

    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_projects_created_at_id", "created_at", "id"),
        Index("ix_projects_name_key_id", "name_key", "id"),
        Index("ix_projects_updated_at_id", "updated_at", "id"),
        Index("ix_projects_archived_at_id", "archived_at", "id"),
        Index("ix_projects_owner_id_id", "owner_id", "id"),
        Index(
            "ix_projects_search",
            "search",
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": 256},
        ),
    )


class ProjectMember(Versioned, Base):
    """One user's role in one project."""

    __tablename__ = "project_members"

    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    role: Mapped[Role] = mapped_column(Ordered(Role))

    project: Mapped[Project] = relationship(lazy="raise", back_populates="members")
    user: Mapped[User] = relationship(lazy="raise")

    __table_args__ = (
        UniqueConstraint("project_id", "user_id"),
        Index(
            "uq_project_members_one_owner",
            "project_id",
            unique=True,
            postgresql_where=text("role = 40"),
        ),
        Index("ix_project_members_user_id_role_project_id", "user_id", "role", "project_id"),
        Index("ix_project_members_project_id_created_at_id", "project_id", "created_at", "id"),
    )
