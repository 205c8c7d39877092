"""What is sent by mail to prove who somebody is."""

from __future__ import annotations

import datetime as dt
from enum import IntEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, SmallInteger, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Identified, Ordered


class CodePurpose(IntEnum):
    """What a code is good for."""

    PASSWORD_RESET = 10
    EMAIL = 20


class AccountCode(Identified, Base):
    """What was sent to a user for a purpose last; the link and the digits follow from the id
    (`auth.codes`).

    Whoever asks again gets others, and the former are worth nothing.
    """

    __tablename__ = "account_codes"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[CodePurpose] = mapped_column(Ordered(CodePurpose))
    # The address that it was sent to, and that it verifies.
    email: Mapped[str]
    # How often a wrong code was given.
    tries: Mapped[int] = mapped_column(SmallInteger, default=0)
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)

    __table_args__ = (UniqueConstraint("user_id", "purpose"),)


class EmailUndo(Identified, Base):
    """A change of a user's address that the former address can undo, by a link made from the id.

    Until then nobody else can have the former address, or it could not be given back.
    """

    __tablename__ = "email_undos"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    # The former address.
    email: Mapped[str]
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)

    __table_args__ = (Index("ix_email_undos_email_lower", func.lower(text("email"))),)
