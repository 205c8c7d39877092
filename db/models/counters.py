"""Counters of tasks, kept by triggers of the database (migration 0035).

A row of `TaskCounters` belongs to each task. The other tables count the tasks of a *list*: those of
a project, or a user's personal tasks; `list_id` is the ID of the project or user. Tasks in the
trash are not counted.

Counts of lists are sums. A change of a task only adds rows to `ListCountChange` and
`TagCountChange`, so that changes of tasks of one list do not wait for each other. The worker moves
these rows into `ListCount` and `TagCount` (`domain.tasks.counters`); readers add both up.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Ordered
from db.models.task import TaskPriority, TaskStatus


class TaskCounters(Base):
    """The numbers of a task's comments, without placeholders, and attachments."""

    __tablename__ = "task_counters"

    # Not a foreign key: a trigger writes and deletes the row with its task.
    task_id: Mapped[UUID] = mapped_column(primary_key=True)
    comments: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    attachments: Mapped[int] = mapped_column(default=0, server_default=text("0"))

    __table_args__ = (
        Index("ix_task_counters_comments_task_id", "comments", "task_id"),
        Index("ix_task_counters_attachments_task_id", "attachments", "task_id"),
    )


class ListCount(Base):
    """How many tasks of a list have a status and a priority."""

    __tablename__ = "list_counts"

    list_id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[TaskStatus] = mapped_column(Ordered(TaskStatus), primary_key=True)
    priority: Mapped[TaskPriority] = mapped_column(Ordered(TaskPriority), primary_key=True)
    tasks: Mapped[int]


class ListCountChange(Base):
    """A change that is not in `ListCount` yet; `tasks` may be negative."""

    __tablename__ = "list_count_changes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    list_id: Mapped[UUID]
    status: Mapped[int] = mapped_column(SmallInteger)
    priority: Mapped[int] = mapped_column(SmallInteger)
    tasks: Mapped[int]


class TagCount(Base):
    """How many tasks of a list have a tag in one spelling; `tag_key` is the tag casefolded."""

    __tablename__ = "tag_counts"

    list_id: Mapped[UUID] = mapped_column(primary_key=True)
    tag_key: Mapped[str] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    tasks: Mapped[int]


class TagCountChange(Base):
    """A change that is not in `TagCount` yet; `tasks` may be negative."""

    __tablename__ = "tag_count_changes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    list_id: Mapped[UUID]
    tag_key: Mapped[str]
    tag: Mapped[str]
    tasks: Mapped[int]
