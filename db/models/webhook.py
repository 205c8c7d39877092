"""Webhooks, and the deliveries to them."""

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
    """Whether a webhook receives events."""

    ACTIVE = 1
    DISABLED = 2


class DeliveryState(IntEnum):
    """The state of a delivery."""

    PENDING = 1
    DELIVERED = 2
    FAILED = 3
    SKIPPED = 4


class Webhook(Versioned, Base):
    """A URL that events are sent to, each as the result of a GraphQL selection on it."""

    __tablename__ = "webhooks"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    # The API key that created it or changed it last; null if its user did so in a session.
    api_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    # The URL's host unless its owner chose another.
    name: Mapped[str]
    url: Mapped[str]
    # A `EventFilter` as JSON, with the schema's names.
    filter: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # The selection; null for the default one.
    payload: Mapped[str | None]
    status: Mapped[WebhookStatus] = mapped_column(Ordered(WebhookStatus))
    disabled_reason: Mapped[str | None]
    disabled_at: Mapped[dt.datetime | None]
    # Encrypted (`auth.encryption`).
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    # Earlier secrets, encrypted, the latest first, each with the time until which it also signs.
    old_secrets: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary), server_default="{}")
    old_secrets_until: Mapped[list[dt.datetime]] = mapped_column(
        ARRAY(DateTime(timezone=True)), server_default="{}"
    )
    # Since when every attempt has failed; null while attempts succeed.
    failing_since: Mapped[dt.datetime | None]
    # The log's position when it was created or last enabled; it receives only later events.
    since_position: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))

    user: Mapped[User] = relationship(lazy="raise")
    api_key: Mapped[ApiKey | None] = relationship(lazy="raise")
    deliveries: Mapped[list[WebhookDelivery]] = relationship(
        lazy="raise",
        back_populates="webhook",
        passive_deletes="all",
        primaryjoin="Webhook.id == foreign(WebhookDelivery.webhook_id)",
    )

    __table_args__ = (
        Index("ix_webhooks_user_id_created_at_id", "user_id", "created_at", "id"),
        Index("ix_webhooks_active", "user_id", postgresql_where=text("status = 1")),
        Index("ix_webhooks_api_key_id", "api_key_id"),
    )


class WebhookDelivery(Identified, Base):
    """One event for one webhook; the stored request is that of the latest attempt."""

    __tablename__ = "webhook_deliveries"

    # No foreign key: a job deletes the deliveries of a deleted webhook, which can be millions.
    webhook_id: Mapped[UUID]
    # No foreign key: the log may be pruned.
    event_id: Mapped[UUID]
    is_test: Mapped[bool]
    state: Mapped[DeliveryState] = mapped_column(Ordered(DeliveryState))
    created_at: Mapped[dt.datetime]
    # Counts of all attempts, and of those since the delivery was last requested.
    attempt: Mapped[int] = mapped_column(SmallInteger, default=0)
    tries: Mapped[int] = mapped_column(SmallInteger, default=0)
    next_attempt_at: Mapped[dt.datetime | None]
    # The latest attempt.
    attempted_at: Mapped[dt.datetime | None]
    request_headers: Mapped[dict[str, str] | None] = mapped_column(JSONB(none_as_null=True))
    request_body: Mapped[str | None]
    # The scopes that an API key needs to read the body; null for deliveries older than this column.
    scopes: Mapped[list[str] | None]
    response_status: Mapped[int | None] = mapped_column(SmallInteger)
    response_body: Mapped[str | None]
    duration_ms: Mapped[int | None]
    error: Mapped[str | None]
    # The replay that last requested it, so that an interrupted replay can resume.
    replay_id: Mapped[UUID | None]

    webhook: Mapped[Webhook] = relationship(
        lazy="raise",
        back_populates="deliveries",
        primaryjoin="Webhook.id == foreign(WebhookDelivery.webhook_id)",
    )
    attempts: Mapped[list[WebhookAttempt]] = relationship(
        lazy="raise", back_populates="delivery", passive_deletes=True
    )

    __table_args__ = (
        # An event that is processed again is sent to a webhook only once.
        UniqueConstraint("webhook_id", "event_id"),
        Index("ix_webhook_deliveries_webhook_id_created_at_id", "webhook_id", "created_at", "id"),
        Index("ix_webhook_deliveries_created_at", "created_at"),
    )


class WebhookAttempt(Identified, Base):
    """One attempt of a delivery. Its request body is not stored: it is that of the delivery, unless
    the event's objects changed in between.
    """

    __tablename__ = "webhook_attempts"

    delivery_id: Mapped[UUID] = mapped_column(
        ForeignKey("webhook_deliveries.id", ondelete="CASCADE")
    )
    # Counted from 1; as `WebhookDelivery.attempt` after it.
    number: Mapped[int] = mapped_column(SmallInteger)
    attempted_at: Mapped[dt.datetime]
    request_headers: Mapped[dict[str, str] | None] = mapped_column(JSONB(none_as_null=True))
    # See `WebhookDelivery.scopes`.
    scopes: Mapped[list[str] | None]
    response_status: Mapped[int | None] = mapped_column(SmallInteger)
    response_body: Mapped[str | None]
    duration_ms: Mapped[int | None]
    error: Mapped[str | None]

    delivery: Mapped[WebhookDelivery] = relationship(lazy="raise", back_populates="attempts")

    __table_args__ = (UniqueConstraint("delivery_id", "number"),)
