"""Keys under which a mutation was done already."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base


class IdempotencyKey(Base):
    """Written in the transaction of the change; a repeat within 24 hours finds it."""

    __tablename__ = "idempotency_keys"

    # Who: the user's id, or the address for the signed-out.
    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    mutation: Mapped[str]
    # Keyed hash (HMAC-SHA-256) of the mutation's canonical input, without the idempotency key.
    input_hash: Mapped[bytes] = mapped_column(LargeBinary)
    # What the payload referred to: {field: id or plain value}, secrets left out.
    result: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[dt.datetime] = mapped_column(index=True)
