"""GraphQL documents that the operator registered."""

from __future__ import annotations

import datetime as dt

from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base


class RegisteredDocument(Base):
    """A document by its SHA-256 in hexadecimal digits."""

    __tablename__ = "registered_documents"

    hash: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
    created_at: Mapped[dt.datetime]
