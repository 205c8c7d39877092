"""The append-only event log. See `events.log` for how it is read."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from db.base import Base


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id; asyncpg reads it as int."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in DDL and casts."""
        return "xid8"


class Event(Base):
    """One change by one actor. No foreign keys: the log outlives the objects that it refers to.

    Partitioned by month (`events.months`). IDs are unique within each partition.
    """

    __tablename__ = "events"

    # Read in the order (xid, position); clients only see the id.
    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    xid: Mapped[int] = mapped_column(Xid8, server_default=text("pg_current_xact_id()"))
    id: Mapped[UUID]
    at: Mapped[dt.datetime]
    kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    session_id: Mapped[UUID | None]
    api_key_id: Mapped[UUID | None]
    # The integration that did it by itself, with its owner's session or key.
    integration_id: Mapped[UUID | None]
    request_id: Mapped[str | None]
    # The `traceparent` of the request, if its trace is exported: for what follows from the event.
    trace: Mapped[str | None]
    ip: Mapped[str | None]
    subject_type: Mapped[str]
    subject_id: Mapped[UUID]
    # The task that the subject belongs to (for a task, itself), and the project.
    task_id: Mapped[UUID | None]
    project_id: Mapped[UUID | None]
    # Users who may read this event regardless of the access rules for its subject: a user who
    # just lost access, or the user whose account it is about.
    audience: Mapped[list[UUID]] = mapped_column(
        ARRAY(PgUUID(as_uuid=True)), server_default=text("'{}'")
    )
    # [{"field": name, "from": value, "to": value}], with the schema's names.
    changes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))

    __table_args__ = (
        Index("ix_events_xid_position", "xid", "position"),
        Index("ix_events_actor_id_xid_position", "actor_id", "xid", "position"),
        Index("ix_events_subject_id_at", "subject_id", "at"),
        Index("ix_events_task_id_xid_position", "task_id", "xid", "position"),
        Index("ix_events_project_id_xid_position", "project_id", "xid", "position"),
        Index("ix_events_kind_at", "kind", "at"),
        Index("ix_events_at", "at"),
        {"postgresql_partition_by": "RANGE (position)"},
    )


class EventMonth(Base):
    """A month's partition of the log, in which positions begin with `first_position`.

    Events of `first_xid` and later transactions are in this month or later ones; null if the month
    has not begun, or that is not known.
    """

    __tablename__ = "event_months"

    # As 202611.
    month: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    first_position: Mapped[int] = mapped_column(BigInteger)
    first_xid: Mapped[int | None] = mapped_column(Xid8)


class LogEpoch(Base):
    """One row: the epoch that cursors of the log belong to. Restoring a dump begins a new one."""

    __tablename__ = "log_epoch"

    id: Mapped[int] = mapped_column(primary_key=True)
    epoch: Mapped[UUID]
    # The server's identifier when the epoch began. A different one means that the data was
    # restored on another server, where transaction ids start again.
    system_identifier: Mapped[str]
    # The last event that was deleted, if old events were. Cursors before it are no longer valid.
    pruned_xid: Mapped[int | None] = mapped_column(Xid8)
    pruned_position: Mapped[int | None] = mapped_column(BigInteger)
