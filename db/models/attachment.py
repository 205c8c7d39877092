"""Attachments of tasks, and the stored files."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Identified, sort_key
from db.models.task import Task
from db.models.user import User


class StoredFile(Identified, Base):
    """A file in the file store; the row is written before any bytes are.

    Another row refers to it (an attachment, a user's picture), or will do so before `expires_at`.
    After that, a row without a reference is an upload that was not completed or a file whose owner
    was deleted; the sweep removes its bytes and the row.

    An upload in two steps (`attachmentUploadStart`) states its task, name and size at the start;
    other columns hold what arrived.
    """

    __tablename__ = "stored_files"

    uploader_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    # Not CASCADE: the row must outlive its task until the bytes are deleted.
    task_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("tasks.id", ondelete="SET NULL"), index=True
    )
    filename: Mapped[str | None]
    size: Mapped[int | None]
    # When a client began to send the bytes, and when all of them were stored.
    claimed_at: Mapped[dt.datetime | None]
    stored_at: Mapped[dt.datetime | None]
    content_type: Mapped[str | None]
    sha256: Mapped[str | None]
    has_thumbnail: Mapped[bool | None]


class Attachment(Identified, Base):
    """A file on a task. It never changes: a new version is a new attachment."""

    __tablename__ = "attachments"

    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    uploader_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    file_id: Mapped[UUID] = mapped_column(ForeignKey("stored_files.id"), unique=True)
    filename: Mapped[str]
    filename_key: Mapped[str] = sort_key("filename")
    content_type: Mapped[str]
    # In bytes.
    size: Mapped[int]
    # In hexadecimal.
    sha256: Mapped[str]
    has_thumbnail: Mapped[bool]
    created_at: Mapped[dt.datetime]

    task: Mapped[Task] = relationship(lazy="raise", back_populates="attachments")
    uploader: Mapped[User] = relationship(lazy="raise")

    __table_args__ = (
        Index("ix_attachments_task_id_created_at_id", "task_id", "created_at", "id"),
        Index("ix_attachments_uploader_id_created_at", "uploader_id", "created_at"),
    )
