"""API keys for programs."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Versioned
from db.models.user import User


class ApiKey(Versioned, Base):
    """A key acts as its user, within its scopes. Only its SHA-256 is stored, not the key itself."""

    __tablename__ = "api_keys"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str]
    # The beginning of the key, by which users recognize it.
    prefix: Mapped[str]
    hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    scopes: Mapped[list[str]]
    # The projects that the key is restricted to; null for no restriction. A deleted one matches
    # nothing.
    project_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))
    expires_at: Mapped[dt.datetime | None]
    last_used_at: Mapped[dt.datetime | None]
    revoked_at: Mapped[dt.datetime | None]

    user: Mapped[User] = relationship("User", lazy="raise", back_populates="api_keys")

    __table_args__ = (Index("ix_api_keys_user_id_created_at_id", "user_id", "created_at", "id"),)
