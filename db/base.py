"""What all models share: naming, ids, ordered enums, versions.

A convention fixes the names of constraints, so that a migration can name them and an integrity
error can be traced to the rule that was broken (`domain.work.lost_races`).
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable
from enum import IntEnum
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Computed,
    DateTime,
    MetaData,
    SmallInteger,
    Text,
    TypeDecorator,
    func,
    inspect,
)
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
    """Stores an `IntEnum` as a smallint: sorts as declared; new members need no migration."""

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
    """The declarative base. Keys are UUIDv7s made here, unless a table says otherwise."""

    # The columns whose pieces are indexed together; see `pieces`.
    pieces_of: ClassVar[tuple[str, ...]] = ()
    metadata = MetaData(naming_convention=NAMING)
    # Columns that the database computes are not read back after a write: no caller needs them.
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
    """Key, times, and the version that `ifVersion` compares; `domain.work` updates them."""

    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]
    version: Mapped[int] = mapped_column(default=1)


def search_vector(call: str) -> Any:
    """A column for full-text search, computed by the database from others (migration 0003).

    The mapper never loads it; only statements use it.
    """
    return mapped_column(TSVECTOR, Computed(call, persisted=True), deferred=True)


def pieces(entity: Any) -> ColumnElement[list[str]]:
    """The pieces of an entity's texts, as their index has them (migration 0036), for `@>` with
    those of a part that one of the texts contains (`domain.folding.pieces`).
    """
    model = inspect(entity).mapper.class_
    function = getattr(func, f"taskloom_pieces_{model.__tablename__}")
    of: ColumnElement[list[str]] = function(
        *(getattr(entity, column) for column in model.pieces_of), type_=ARRAY(Text())
    )
    return of


def sort_key(column: str) -> Any:
    """A column that orders the texts of another column as people expect, computed by the database
    (migration 0019). Compared byte by byte; equal only for texts that people would call equal.
    """
    computed = Computed(f"taskloom_sort_key({column})", persisted=True)
    return mapped_column(Text(collation="C"), computed, deferred=True)


def new_id(now: dt.datetime, randbits: Callable[[int], int] = secrets.randbits) -> UUID:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then version, variant and 74 random bits.

    Sorts by time of creation, so that index pages fill in order. `randbits(n)` returns n random
    bits; the demo data passes its own, so that its ids are always the same.
    """
    millis = int(now.timestamp() * 1000)
    value = (millis & (1 << 48) - 1) << 80 | randbits(80)
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return UUID(int=value)
