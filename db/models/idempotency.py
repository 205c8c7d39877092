"""Idempotency keys of mutations that were executed."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base


class IdempotencyKey(Base):
    """Written in the transaction of the change; a repeat within 24 hours finds the row."""

    __tablename__ = "idempotency_keys"

    # The user's id, or the IP address of a client that is not signed in.
    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    mutation: Mapped[str]
    # Keyed hash (HMAC-SHA-256) of the mutation's canonical input, without the idempotency key.
    input_hash: Mapped[bytes] = mapped_column(LargeBinary)
    # The payload's references: {field: id or plain value}, without secrets.
    result: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[dt.datetime] = mapped_column(index=True)
