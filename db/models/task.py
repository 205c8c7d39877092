"""Tasks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    Text,
    and_,
    func,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Ordered, Versioned, search_vector, sort_key
from db.models.project import Project
from db.models.user import User

if TYPE_CHECKING:
    from db.models.attachment import Attachment
    from db.models.comment import Comment
    from db.models.external_reference import TaskExternalReference
    from db.models.share import TaskShare
    from db.models.time_entry import TimeEntry


class TaskStatus(IntEnum):
    """The status of a task."""

    TODO = 10
    IN_PROGRESS = 20
    COMPLETED = 30
    CANCELLED = 40

    @property
    def is_open(self) -> bool:
        """Whether the task is neither completed nor cancelled."""
        return self < TaskStatus.COMPLETED


class TaskPriority(IntEnum):
    """The priority of a task; sorts from NONE up to URGENT."""

    NONE = 0
    LOW = 10
    MEDIUM = 20
    HIGH = 30
    URGENT = 40


class Task(Versioned, Base):
    """A task.

    Subtasks nest at most three levels, so `parent_id` and `root_id` (the topmost ancestor) name
    all ancestors that a task can have; access rules need no recursion.
    """

    __tablename__ = "tasks"
    pieces_of = ("title", "description", "notes")

    # A project or a task is not deleted for good while tasks belong to it (`domain.trash`).
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id"))
    number: Mapped[int | None]
    title: Mapped[str]
    title_key: Mapped[str] = sort_key("title")
    description: Mapped[str | None]
    notes: Mapped[str | None]
    status: Mapped[TaskStatus] = mapped_column(Ordered(TaskStatus), default=TaskStatus.TODO)
    priority: Mapped[TaskPriority] = mapped_column(Ordered(TaskPriority), default=TaskPriority.NONE)
    # When the task is due. For an all-day date this is the end of `due_on` in `due_timezone`, so
    # that "overdue" and sorting need only one column.
    due_at: Mapped[dt.datetime | None]
    due_on: Mapped[dt.date | None]
    due_timezone: Mapped[str | None]
    start_at: Mapped[dt.datetime | None]
    # In seconds.
    estimate: Mapped[int | None]
    tags: Mapped[list[str]] = mapped_column(default=list, server_default=text("'{}'"))
    # The tags casefolded, in the same order; filters and the check for duplicates compare these.
    tag_keys: Mapped[list[str]] = mapped_column(default=list, server_default=text("'{}'"))
    # A rank string, compared byte by byte; see `domain.tasks.ranks`.
    position: Mapped[str] = mapped_column(Text(collation="C"))
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    assignee_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id"))
    root_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id"))
    completed_at: Mapped[dt.datetime | None]
    deleted_at: Mapped[dt.datetime | None]
    # The object whose deletion moved this task to the trash: itself, an ancestor, or its project.
    # Restoring that object restores exactly what was deleted with it.
    deleted_with: Mapped[UUID | None]
    search: Mapped[Any] = search_vector("taskloom_search_task(title, tags, description)")

    project: Mapped[Project | None] = relationship(lazy="raise", back_populates="tasks")
    owner: Mapped[User] = relationship(lazy="raise", foreign_keys=[owner_id])
    assignee: Mapped[User | None] = relationship(
        lazy="raise", foreign_keys=[assignee_id], back_populates="assigned_tasks"
    )
    parent: Mapped[Task | None] = relationship(
        lazy="raise", foreign_keys=[parent_id], remote_side="Task.id", back_populates="subtasks"
    )
    subtasks: Mapped[list[Task]] = relationship(
        lazy="raise", foreign_keys=[parent_id], back_populates="parent"
    )
    # The database deletes these with the task; the session need not load them.
    shares: Mapped[list[TaskShare]] = relationship(
        "TaskShare", lazy="raise", back_populates="task", passive_deletes="all"
    )
    comments: Mapped[list[Comment]] = relationship(
        "Comment", lazy="raise", back_populates="task", passive_deletes="all"
    )
    attachments: Mapped[list[Attachment]] = relationship(
        "Attachment", lazy="raise", back_populates="task", passive_deletes="all"
    )
    time_entries: Mapped[list[TimeEntry]] = relationship(
        "TimeEntry", lazy="raise", back_populates="task", passive_deletes="all"
    )
    references: Mapped[list[TaskExternalReference]] = relationship(
        "TaskExternalReference", lazy="raise", back_populates="task", passive_deletes="all"
    )

    __table_args__ = (
        CheckConstraint("(project_id IS NULL) = (number IS NULL)", name="number_in_project"),
        CheckConstraint("parent_id IS NULL OR root_id IS NOT NULL", name="root_of_subtask"),
        Index("uq_tasks_project_id_number", "project_id", "number", unique=True),
        # For the orderings that lists are paged by; each ends with the id as the last key.
        Index("ix_tasks_project_id_created_at_id", "project_id", "created_at", "id"),
        Index("ix_tasks_project_id_position_id", "project_id", "position", "id"),
        Index("ix_tasks_created_at_id", "created_at", "id"),
        Index("ix_tasks_owner_id_created_at_id", "owner_id", "created_at", "id"),
        # Includes what says whether the assignee sees the task as a member anyway.
        Index(
            "ix_tasks_assignee_id_created_at_id",
            "assignee_id",
            "created_at",
            "id",
            postgresql_include=["project_id", "owner_id"],
            postgresql_where=text("assignee_id IS NOT NULL"),
        ),
        Index(
            "ix_tasks_parent_id_position_id",
            "parent_id",
            "position",
            "id",
            postgresql_where=text("parent_id IS NOT NULL"),
        ),
        Index("ix_tasks_root_id", "root_id", postgresql_where=text("root_id IS NOT NULL")),
        Index("ix_tasks_due_at_id", "due_at", "id"),
        Index("ix_tasks_title_key_id", "title_key", "id"),
        Index("ix_tasks_updated_at_id", "updated_at", "id"),
        Index("ix_tasks_status_id", "status", "id"),
        Index("ix_tasks_priority_id", "priority", "id"),
        Index("ix_tasks_number_id", "number", "id"),
        Index("ix_tasks_position_id", "position", "id"),
        # New tasks usually have no value in these.
        Index(
            "ix_tasks_start_at_id", "start_at", "id", postgresql_where=text("start_at IS NOT NULL")
        ),
        Index(
            "ix_tasks_estimate_id", "estimate", "id", postgresql_where=text("estimate IS NOT NULL")
        ),
        Index(
            "ix_tasks_completed_at_id",
            "completed_at",
            "id",
            postgresql_where=text("completed_at IS NOT NULL"),
        ),
        # For the orderings by assignee, owner and project.
        Index("ix_tasks_assignee_id_id", "assignee_id", "id"),
        Index("ix_tasks_owner_id_id", "owner_id", "id"),
        Index("ix_tasks_project_id_id", "project_id", "id"),
        Index("ix_tasks_tag_keys", "tag_keys", postgresql_using="gin"),
        Index("ix_tasks_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
        Index(
            "ix_tasks_search",
            "search",
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": 256},
        ),
        Index(
            "ix_tasks_pieces",
            func.taskloom_pieces_tasks(text("title"), text("description"), text("notes")),
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": 256},
        ),
        # What is overdue now, of a project and of a user's personal tasks.
        Index(
            "ix_tasks_project_id_open_due_at",
            "project_id",
            "due_at",
            postgresql_include=["status", "priority"],
            postgresql_where=text("deleted_at IS NULL AND status < 30 AND due_at IS NOT NULL"),
        ),
        Index(
            "ix_tasks_owner_id_personal_open_due_at",
            "owner_id",
            "due_at",
            postgresql_include=["status", "priority"],
            postgresql_where=text(
                "project_id IS NULL AND deleted_at IS NULL AND status < 30 AND due_at IS NOT NULL"
            ),
        ),
    )

    @property
    def external_references(self) -> Sequence[Any]:
        """What `domain.tasks.external_references` has read or is to write; nothing by itself."""
        found: Sequence[Any] = self.__dict__.get("_external_references", ())
        return found

    @external_references.setter
    def external_references(self, values: Sequence[Any]) -> None:
        self.__dict__["_external_references"] = values


def was_due(task: Any) -> ColumnElement[bool]:
    """Whether a task is overdue and not in the trash, in the form that the indexes of open tasks
    are found by: with the status as a literal.
    """
    return and_(
        task.deleted_at.is_(None),
        task.status < literal_column(str(int(TaskStatus.COMPLETED))),
        task.due_at.is_not(None),
        task.due_at <= func.now(),
    )


def is_overdue(task: Any) -> ColumnElement[bool]:
    """Whether the task is open and was due before now; an all-day task, once its day is over."""
    return func.coalesce(and_(task.due_at <= func.now(), task.status < TaskStatus.COMPLETED), False)
