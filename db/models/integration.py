"""Integrations: a project connected with another service, and what is known of its things there."""

from __future__ import annotations

import datetime as dt
from enum import IntEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Identified, Ordered, Versioned
from db.models.api_key import ApiKey
from db.models.project import Project


class Connector(IntEnum):
    """The services that there are connectors for."""

    GITHUB = 1
    SLACK = 2


class IntegrationStatus(IntEnum):
    """Whether an integration is at work."""

    ACTIVE = 1
    PAUSED = 2
    FAILED = 3


class Integration(Versioned, Base):
    """A project and its counterpart elsewhere; what it does, it does with its user's rights."""

    __tablename__ = "integrations"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    # The key that made it or changed it last; null if its user did, with a session.
    api_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    connector: Mapped[Connector] = mapped_column(Ordered(Connector))
    # By the connector's names (`domain.integration`); nothing in it is secret.
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # Sealed (`auth.sealing`).
    credentials: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[IntegrationStatus] = mapped_column(Ordered(IntegrationStatus))
    # When a synchronisation was last complete, and what went wrong since.
    last_sync_at: Mapped[dt.datetime | None]
    last_error: Mapped[str | None]
    # What of the other service a project can be connected with but once; null where that is all
    # the same.
    target: Mapped[str | None]
    # How far the synchronisation has come: the connector's own, so that a killed one goes on.
    progress: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    # Where the log stood when it was connected or last switched on: it is told what came after.
    since_position: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))

    project: Mapped[Project] = relationship(lazy="raise")
    api_key: Mapped[ApiKey | None] = relationship(lazy="raise")

    __table_args__ = (
        UniqueConstraint("project_id", "target"),
        Index("ix_integrations_user_id_created_at_id", "user_id", "created_at", "id"),
        Index("ix_integrations_api_key_id", "api_key_id"),
    )


class ExternalLink(Identified, Base):
    """A thing of ours and the one elsewhere that it stands for."""

    __tablename__ = "external_links"

    integration_id: Mapped[UUID] = mapped_column(ForeignKey("integrations.id", ondelete="CASCADE"))
    kind: Mapped[str]
    external_id: Mapped[str]
    # No foreign key: what was deleted here for good must not be imported again.
    local_id: Mapped[UUID]
    # What the other service said last, or was told: only what differs from it has changed there.
    seen: Mapped[dict[str, Any]] = mapped_column(JSONB)

    __table_args__ = (
        UniqueConstraint("integration_id", "kind", "external_id"),
        Index("ix_external_links_local_id", "local_id"),
    )
