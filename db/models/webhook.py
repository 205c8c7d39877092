"""Webhooks: receivers of other people's programs, and what was sent to them."""

from __future__ import annotations

import datetime as dt
from enum import IntEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import Base, Identified, Ordered, Versioned
from db.models.api_key import ApiKey
from db.models.user import User


class WebhookStatus(IntEnum):
    """Whether events are sent."""

    ACTIVE = 1
    DISABLED = 2


class DeliveryState(IntEnum):
    """What has become of a delivery."""

    PENDING = 1
    DELIVERED = 2
    FAILED = 3
    SKIPPED = 4


class Webhook(Versioned, Base):
    """An address that events are sent to, in the shape of a GraphQL selection on them."""

    __tablename__ = "webhooks"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    # The key that made it or changed it last; null if its user did, with a session.
    api_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    url: Mapped[str]
    # Kinds of events; null for all.
    events: Mapped[list[str] | None]
    # A `EventFilter` as JSON, by the schema's names.
    filter: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # The selection; null for the default one.
    payload: Mapped[str | None]
    status: Mapped[WebhookStatus] = mapped_column(Ordered(WebhookStatus))
    disabled_reason: Mapped[str | None]
    disabled_at: Mapped[dt.datetime | None]
    # Sealed (`auth.encryption`).
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    # Those before it, sealed, the latest first, each with the moment up to which it signs as well.
    old_secrets: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary), server_default="{}")
    old_secrets_until: Mapped[list[dt.datetime]] = mapped_column(
        ARRAY(DateTime(timezone=True)), server_default="{}"
    )
    # Since when no attempt has succeeded; null while they do.
    failing_since: Mapped[dt.datetime | None]
    # Where the log stood when it was made or last switched on: it gets what came after.
    since_position: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))

    user: Mapped[User] = relationship(lazy="raise")
    api_key: Mapped[ApiKey | None] = relationship(lazy="raise")
    deliveries: Mapped[list[WebhookDelivery]] = relationship(
        lazy="raise", back_populates="webhook", passive_deletes=True
    )

    __table_args__ = (
        Index("ix_webhooks_user_id_created_at_id", "user_id", "created_at", "id"),
        Index("ix_webhooks_active", "user_id", postgresql_where=text("status = 1")),
        Index("ix_webhooks_api_key_id", "api_key_id"),
    )


class WebhookDelivery(Identified, Base):
    """One event for one webhook, however often it was attempted; what was sent is the latest."""

    __tablename__ = "webhook_deliveries"

    webhook_id: Mapped[UUID] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    # No foreign key: the log may be pruned.
    event_id: Mapped[UUID]
    is_test: Mapped[bool]
    state: Mapped[DeliveryState] = mapped_column(Ordered(DeliveryState))
    created_at: Mapped[dt.datetime]
    # Of all attempts, and of those since it was last asked for.
    attempt: Mapped[int] = mapped_column(SmallInteger, default=0)
    tries: Mapped[int] = mapped_column(SmallInteger, default=0)
    next_attempt_at: Mapped[dt.datetime | None]
    # The latest attempt.
    attempted_at: Mapped[dt.datetime | None]
    request_headers: Mapped[dict[str, str] | None] = mapped_column(JSONB(none_as_null=True))
    request_body: Mapped[str | None]
    # What an API key needs to read the body; null for those from before this was noted.
    scopes: Mapped[list[str] | None]
    response_status: Mapped[int | None] = mapped_column(SmallInteger)
    response_body: Mapped[str | None]
    duration_ms: Mapped[int | None]
    error: Mapped[str | None]
    # The replay that asked for it last, so that one that is interrupted can go on.
    replay_id: Mapped[UUID | None]

    webhook: Mapped[Webhook] = relationship(lazy="raise", back_populates="deliveries")

    __table_args__ = (
        # However often an event is acted on, it is sent to a webhook once.
        UniqueConstraint("webhook_id", "event_id"),
        Index("ix_webhook_deliveries_webhook_id_created_at_id", "webhook_id", "created_at", "id"),
        Index("ix_webhook_deliveries_created_at", "created_at"),
    )
