"""What all models share: naming, ids, ordered enums, versions.

Constraint names are fixed by convention, so that a migration can name them and an integrity error
can be traced to the rule that it broke (`domain.work.lost_races`).
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Computed, DateTime, MetaData, SmallInteger, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

E = TypeVar("E", bound=IntEnum)

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Ordered(TypeDecorator[E]):
    """An `IntEnum` kept as a smallint: sorts as declared, and new members need no migration."""

    impl = SmallInteger
    cache_ok = True

    def __init__(self, enum: type[E]) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else int(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> E | None:
        return None if value is None else self.enum(value)


class Base(DeclarativeBase):
    """The declarative base. A table's key is a UUIDv7 made here, unless the table says so."""

    metadata = MetaData(naming_convention=NAMING)
    # What the database computes is not read back after a write: nobody here needs it.
    __mapper_args__ = {"eager_defaults": False}  # noqa: RUF012 - SQLAlchemy reads it from the class
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        dt.datetime: DateTime(timezone=True),
        str: Text,
        list[str]: ARRAY(Text),
    }


class Identified:
    """The primary key."""

    id: Mapped[UUID] = mapped_column(primary_key=True)


class Versioned(Identified):
    """Key, times and the version that `ifVersion` compares; `domain.work` advances them."""

    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]
    version: Mapped[int] = mapped_column(default=1)


def search_vector(call: str) -> Any:
    """A column for full-text search, computed by the database from others (migration 0003).

    The mapper never loads it: it is compared in statements only.
    """
    return mapped_column(TSVECTOR, Computed(call, persisted=True), deferred=True)


def sort_key(column: str) -> Any:
    """A column by which texts of another are ordered as people expect, computed by the database
    (migration 0019). Compared byte by byte; equal only for texts that are as good as equal.
    """
    computed = Computed(f"taskloom_sort_key({column})", persisted=True)
    return mapped_column(Text(collation="C"), computed, deferred=True)


def new_id(now: dt.datetime, randbits: Callable[[int], int] = secrets.randbits) -> UUID:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then version, variant and 74 random bits.

    Sortable by time of creation, so that index pages fill in order. `randbits` gives as many
    random bits as it is asked for; the demo brings its own, so that its ids are always the same.
    """
    millis = int(now.timestamp() * 1000)
    value = (millis & (1 << 48) - 1) << 80 | randbits(80)
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return UUID(int=value)
