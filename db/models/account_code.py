"""What is sent by mail to prove who somebody is."""

from __future__ import annotations

import datetime as dt
from enum import IntEnum
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, SmallInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Identified, Ordered


class CodePurpose(IntEnum):
    """What a code is good for."""

    PASSWORD_RESET = 10
    EMAIL_VERIFICATION = 20
    EMAIL_CHANGE = 30


class AccountCode(Identified, Base):
    """The latest token (in a link) and code (to be typed) of a user for a purpose, as hashes.

    Whoever asks again gets others, and the former are worth nothing.
    """

    __tablename__ = "account_codes"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[CodePurpose] = mapped_column(Ordered(CodePurpose))
    # The address that it was sent to, and that it verifies.
    email: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    code_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    # How often a wrong code was given.
    tries: Mapped[int] = mapped_column(SmallInteger, default=0)
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)

    __table_args__ = (UniqueConstraint("user_id", "purpose"),)
