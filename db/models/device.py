"""Devices that receive push messages."""

from __future__ import annotations

import datetime as dt
from enum import Enum
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Identified
from db.models.user import User


class Platform(Enum):
    """The platform of a device."""

    ANDROID = "ANDROID"
    IOS = "IOS"
    WEB = "WEB"


class Device(Identified, Base):
    """A push token of one app on one device. It belongs to the user who signed in there last.

    For a browser, reached by Web Push, the token is its endpoint, and messages are encrypted with
    its keys (base64url).
    """

    __tablename__ = "devices"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    # The session that registered it last: it is deleted when that is revoked. None if it was
    # registered before this was stored, or if the session is no longer stored.
    session_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("sessions.id", ondelete="SET NULL"), index=True
    )
    token: Mapped[str] = mapped_column(unique=True)
    platform: Mapped[str]
    p256dh: Mapped[str | None]
    auth: Mapped[str | None]
    name: Mapped[str]
    created_at: Mapped[dt.datetime]
    # When the app last registered the token as its current one.
    seen_at: Mapped[dt.datetime]

    user: Mapped[User] = relationship(lazy="raise")

    __table_args__ = (Index("ix_devices_user_id_created_at_id", "user_id", "created_at", "id"),)
