"""Signed-in devices and their chains of refresh tokens."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Identified, Versioned
from db.models.user import User


class Session(Versioned, Base):
    """One login on one device. Revoking it invalidates every token issued from it."""

    __tablename__ = "sessions"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    device_name: Mapped[str | None]
    ip: Mapped[str | None]
    user_agent: Mapped[str | None]
    last_used_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    revoked_at: Mapped[dt.datetime | None]
    revoked_reason: Mapped[str | None]

    user: Mapped[User] = relationship(lazy="raise", back_populates="sessions")

    __table_args__ = (Index("ix_sessions_user_id_created_at_id", "user_id", "created_at", "id"),)


class RefreshToken(Base):
    """A refresh token in a session's chain. Only its SHA-256 is stored, not the token itself."""

    __tablename__ = "refresh_tokens"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    # Set when the token is exchanged for its successor; a later use is a reuse.
    used_at: Mapped[dt.datetime | None]


class UsedStreamToken(Identified, Base):
    """A stream token that has opened its subscription, by its `jti`. Kept beyond the token's
    lifetime.
    """

    __tablename__ = "used_stream_tokens"

    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
