"""What tasks are called in other systems."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base
from db.models.task import Task


class TaskExternalReference(Base):
    """A task's counterpart in another system.

    A counterpart has one task in each scope: in a project, or among a user's personal tasks. A
    trigger keeps the scope when a task gets another project or owner.
    """

    __tablename__ = "task_external_references"

    task_id: Mapped[UUID] = mapped_column(
        ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True
    )
    source: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str | None]
    # The task's project, or its owner if it has none.
    scope_id: Mapped[UUID]

    task: Mapped[Task] = relationship(lazy="raise", back_populates="references")

    __table_args__ = (
        UniqueConstraint(
            "scope_id", "source", "external_id", name="uq_task_external_references_scope"
        ),
        Index("ix_task_external_references_source_external_id", "source", "external_id"),
    )
