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
    # By the connector's names (`domain.integrations.integration`); nothing in it is secret.
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # Sealed (`auth.encryption`).
    credentials: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[IntegrationStatus] = mapped_column(Ordered(IntegrationStatus))
    # When a synchronisation was last complete, and what went wrong since.
    last_sync_at: Mapped[dt.datetime | None]
    last_error: Mapped[str | None]
    # What of the other service a project can be connected with but once; null where that is all
    # the same.
    target: Mapped[str | None]
    # The same by the other service's own id, which stays where it is renamed; null until known.
    external_id: Mapped[str | None]
    # Until when the other service wants no requests.
    wait_until: Mapped[dt.datetime | None]
    # How far the synchronisation has come: the connector's own, so that a killed one goes on.
    progress: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    # Where the log stood when it was connected or last switched on: it is told what came after.
    since_position: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))

    project: Mapped[Project] = relationship(lazy="raise")
    api_key: Mapped[ApiKey | None] = relationship(lazy="raise")
    problems: Mapped[list[ExternalLink]] = relationship(
        lazy="raise", back_populates="integration", passive_deletes=True
    )

    __table_args__ = (
        UniqueConstraint("project_id", "target"),
        UniqueConstraint("project_id", "external_id"),
        Index("ix_integrations_user_id_created_at_id", "user_id", "created_at", "id"),
        Index("ix_integrations_api_key_id", "api_key_id"),
    )


class ExternalLink(Identified, Base):
    """A thing of a project and the one elsewhere that it stands for.

    It outlives its integration, so that whoever connects the same again imports nothing twice.
    """

    __tablename__ = "external_links"

    # Null while the two are not connected.
    integration_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("integrations.id", ondelete="SET NULL")
    )
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    # The server that `external_id` is an id of; it stays when the thing is renamed or moved.
    source: Mapped[str]
    kind: Mapped[str]
    external_id: Mapped[str]
    # The number in the connected repository; null elsewhere.
    number: Mapped[int | None]
    # The address of what was moved elsewhere on the same server; null where it follows from the
    # repository and the number.
    url: Mapped[str | None]
    # Its page for people.
    page_url: Mapped[str | None]
    # No foreign key: what was deleted here for good must not be imported again. Null while it
    # could not be imported.
    local_id: Mapped[UUID | None]
    # What the other service said last, or was told: only what differs from it has changed there.
    seen: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # Why it is not as it is on the other side, and since when; null if nothing is wrong.
    problem: Mapped[str | None]
    problem_at: Mapped[dt.datetime | None]
    # When it is read, and told, once more by itself; null where that is not needed, or of no use.
    retry_at: Mapped[dt.datetime | None]
    # When the other service was last told of it, by the clock of the database.
    written_at: Mapped[dt.datetime | None]

    integration: Mapped[Integration | None] = relationship(lazy="raise", back_populates="problems")

    __table_args__ = (
        UniqueConstraint("project_id", "source", "kind", "external_id"),
        Index("ix_external_links_local_id", "local_id"),
        Index("ix_external_links_integration_id_number", "integration_id", "number"),
        Index(
            "ix_external_links_problems",
            "integration_id",
            "problem_at",
            "id",
            postgresql_where=text("problem IS NOT NULL"),
        ),
    )
