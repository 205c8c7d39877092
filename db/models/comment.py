"""Comments on tasks, their earlier versions, and mentions in them."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Identified, Versioned, search_vector
from db.models.task import Task
from db.models.user import User


class Comment(Versioned, Base):
    """A comment on a task, or a reply to a comment; threads are one level deep.

    A comment that is deleted while it has replies stays as a placeholder, without its text and
    history and with `removed_at` set. It is deleted with its last reply.
    """

    __tablename__ = "comments"
    pieces_of = ("body",)

    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    author_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("comments.id", ondelete="CASCADE"))
    body: Mapped[str]
    # The body rendered by `domain.markdown`, and the renderer's version; 0: not rendered yet.
    body_html: Mapped[str] = mapped_column(default="", server_default="")
    body_text: Mapped[str] = mapped_column(default="", server_default="")
    rendered_version: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    edited_at: Mapped[dt.datetime | None]
    # Not `deleted_at`, which would hide the placeholder like a row in the trash.
    removed_at: Mapped[dt.datetime | None]
    search: Mapped[Any] = search_vector("taskloom_search_comment(body)")

    task: Mapped[Task] = relationship(lazy="raise", back_populates="comments")
    author: Mapped[User] = relationship(lazy="raise")
    parent: Mapped[Comment | None] = relationship(
        lazy="raise", remote_side="Comment.id", back_populates="replies"
    )
    # The database deletes these with the comment; the session need not load them.
    replies: Mapped[list[Comment]] = relationship(
        lazy="raise", back_populates="parent", passive_deletes="all"
    )
    revisions: Mapped[list[CommentRevision]] = relationship(
        lazy="raise", back_populates="comment", passive_deletes="all"
    )

    __table_args__ = (
        Index("ix_comments_task_id_created_at_id", "task_id", "created_at", "id"),
        Index("ix_comments_author_id_created_at", "author_id", "created_at"),
        Index(
            "ix_comments_parent_id_created_at_id",
            "parent_id",
            "created_at",
            "id",
            postgresql_where=text("parent_id IS NOT NULL"),
        ),
        Index(
            "ix_comments_search",
            "search",
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": 256},
        ),
        Index(
            "ix_comments_pieces",
            func.taskloom_pieces_comments(text("body")),
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": 256},
        ),
    )


class CommentRevision(Identified, Base):
    """A comment's text before an edit."""

    __tablename__ = "comment_revisions"

    comment_id: Mapped[UUID] = mapped_column(ForeignKey("comments.id", ondelete="CASCADE"))
    body: Mapped[str]
    # When this text was written, and when it was replaced.
    written_at: Mapped[dt.datetime]
    replaced_at: Mapped[dt.datetime]

    comment: Mapped[Comment] = relationship(lazy="raise", back_populates="revisions")

    __table_args__ = (
        Index("ix_comment_revisions_comment_id_replaced_at_id", "comment_id", "replaced_at", "id"),
    )


class CommentMention(Base):
    """A user named by `@username` in a comment who could see the task when it was written."""

    __tablename__ = "comment_mentions"

    comment_id: Mapped[UUID] = mapped_column(
        ForeignKey("comments.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
