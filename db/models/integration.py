"""Integrations: projects connected to other services, and links to the objects there."""

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
    """The services that have a connector."""

    GITHUB = 1
    SLACK = 2


class IntegrationStatus(IntEnum):
    """Whether an integration is active."""

    ACTIVE = 1
    PAUSED = 2
    FAILED = 3


class Integration(Versioned, Base):
    """A project connected to another service. The integration acts with its user's rights."""

    __tablename__ = "integrations"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    # The API key that created it or changed it last; null if its user did so in a session.
    api_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    connector: Mapped[Connector] = mapped_column(Ordered(Connector))
    # Under the connector's names (`domain.integrations.integration`); contains no secrets.
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # Encrypted (`auth.encryption`).
    credentials: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[IntegrationStatus] = mapped_column(Ordered(IntegrationStatus))
    # When a synchronization last completed, and the error since then.
    last_sync_at: Mapped[dt.datetime | None]
    last_error: Mapped[str | None]
    # The target in the other service, to which a project can be connected only once; null if
    # several connections are allowed.
    target: Mapped[str | None]
    # The target by the other service's own id, which survives a rename; null until known.
    external_id: Mapped[str | None]
    # No requests are sent before this time, as the other service demanded.
    wait_until: Mapped[dt.datetime | None]
    # The connector's progress in a synchronization, so that one that was killed can resume.
    progress: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    # The log's position when it was connected or last enabled; it receives only later events.
    since_position: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))

    project: Mapped[Project] = relationship(lazy="raise")
    api_key: Mapped[ApiKey | None] = relationship(lazy="raise")
    problems: Mapped[list[ExternalLink]] = relationship(
        lazy="raise",
        back_populates="integration",
        passive_deletes="all",
        primaryjoin="Integration.id == foreign(ExternalLink.integration_id)",
    )

    __table_args__ = (
        UniqueConstraint("project_id", "target"),
        UniqueConstraint("project_id", "external_id"),
        Index("ix_integrations_user_id_created_at_id", "user_id", "created_at", "id"),
        Index("ix_integrations_api_key_id", "api_key_id"),
    )


class ExternalLink(Identified, Base):
    """A link between an object of a project and its counterpart in the other service.

    It outlives its integration, so that a new connection to the same target imports nothing twice.
    """

    __tablename__ = "external_links"

    # Null, or of a deleted one, while project and target are not connected. No foreign key: a
    # deletion would have to change all links, which can be hundreds of thousands.
    integration_id: Mapped[UUID | None]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    # The server that `external_id` belongs to. The id survives a rename or a move of the object.
    source: Mapped[str]
    kind: Mapped[str]
    external_id: Mapped[str]
    # The number in the connected repository; null for other services.
    number: Mapped[int | None]
    # The address of an object that was moved to another place on the same server; null if it
    # follows from the repository and the number.
    url: Mapped[str | None]
    # Its web page.
    page_url: Mapped[str | None]
    # No foreign key: an object that was deleted here for good must not be imported again. Null
    # until the object could be imported.
    local_id: Mapped[UUID | None]
    # The state last received from or sent to the other service: a difference is a change there.
    seen: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # Why the two sides differ, and since when; null if they agree.
    problem: Mapped[str | None]
    problem_at: Mapped[dt.datetime | None]
    # When to retry reading and sending it; null if a retry is not needed or useless.
    retry_at: Mapped[dt.datetime | None]
    # When it was last sent to the other service, by the database's clock.
    written_at: Mapped[dt.datetime | None]

    integration: Mapped[Integration | None] = relationship(
        lazy="raise",
        back_populates="problems",
        primaryjoin="Integration.id == foreign(ExternalLink.integration_id)",
    )

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
