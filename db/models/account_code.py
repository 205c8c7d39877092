"""Codes and links sent by mail to verify an address or a person."""

from __future__ import annotations

import datetime as dt
from enum import IntEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, SmallInteger, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Identified, Ordered


class CodePurpose(IntEnum):
    """What a code allows its recipient to do."""

    PASSWORD_RESET = 10
    EMAIL = 20


class AccountCode(Identified, Base):
    """The latest code sent to a user for a purpose; link and digits are derived from the id
    (`auth.codes`).

    A new request replaces the code, which invalidates the previous one.
    """

    __tablename__ = "account_codes"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[CodePurpose] = mapped_column(Ordered(CodePurpose))
    # The address that the code was sent to and verifies.
    email: Mapped[str]
    # How often a wrong code was entered.
    tries: Mapped[int] = mapped_column(SmallInteger, default=0)
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)

    __table_args__ = (UniqueConstraint("user_id", "purpose"),)


class EmailUndo(Identified, Base):
    """A change of a user's address that the previous address can undo, by a link made from the id.

    Until the link expires, no other user can take the previous address.
    """

    __tablename__ = "email_undos"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    # The previous address.
    email: Mapped[str]
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)

    __table_args__ = (Index("ix_email_undos_email_lower", func.lower(text("email"))),)
