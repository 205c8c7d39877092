"""Files that hang on tasks, and the files themselves."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Identified, sort_key
from db.models.task import Task
from db.models.user import User


class StoredFile(Identified, Base):
    """A place in the store of files, written before any bytes are.

    Something refers to it (an attachment, a user's picture), or will until `expires_at`. A row
    that nothing refers to after that is an upload that came to nothing or a file whose owner went;
    the sweep removes its bytes and the row.

    An upload in two steps (`attachmentUploadStart`) says its task, name and size when it starts;
    what arrived is written beside it.
    """

    __tablename__ = "stored_files"

    uploader_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    # Not CASCADE: the row has to outlive its task until the bytes are gone.
    task_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("tasks.id", ondelete="SET NULL"), index=True
    )
    filename: Mapped[str | None]
    size: Mapped[int | None]
    # When somebody began to send the bytes, and when all of them were kept.
    claimed_at: Mapped[dt.datetime | None]
    stored_at: Mapped[dt.datetime | None]
    content_type: Mapped[str | None]
    sha256: Mapped[str | None]
    has_thumbnail: Mapped[bool | None]


class Attachment(Identified, Base):
    """A file on a task. It never changes: another version is another attachment."""

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
