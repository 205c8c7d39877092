"""The queue of background jobs, and the progress of each consumer of the event log.

A job is *due* at `due_at`. Claiming it moves that to the end of a lease, and the worker that runs
it extends the lease while it is alive. So a job whose worker was killed becomes due again by
itself, and one index finds both waiting and abandoned jobs. See `jobs.queue`.
"""

from __future__ import annotations

import datetime as dt
from enum import IntEnum
from typing import Any

from sqlalchemy import BigInteger, Index, SmallInteger, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Identified, Ordered
from db.models.event import Xid8


class JobState(IntEnum):
    """The state of a job."""

    WAITING = 1
    RUNNING = 2
    DONE = 3
    FAILED = 4


class Job(Identified, Base):
    """One job, with the name of its handler."""

    __tablename__ = "jobs"

    name: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    # While a job with this key waits for its first attempt, no other is queued.
    key: Mapped[str | None]
    # Whether the key holds until the job has finished or was given up.
    one_at_a_time: Mapped[bool] = mapped_column(server_default=text("false"), default=False)
    # Whether it was queued again while it ran.
    again: Mapped[bool] = mapped_column(server_default=text("false"), default=False)
    state: Mapped[JobState] = mapped_column(Ordered(JobState), default=JobState.WAITING)
    created_at: Mapped[dt.datetime]
    due_at: Mapped[dt.datetime]
    attempts: Mapped[int] = mapped_column(SmallInteger, default=0)
    # The process that runs the job, or ran it last.
    worker: Mapped[str | None]
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]
    # Why the latest attempt failed.
    reason: Mapped[str | None]

    __table_args__ = (
        Index(
            "uq_jobs_key",
            "key",
            unique=True,
            postgresql_where=text("state = 1 AND attempts = 0 AND NOT one_at_a_time"),
        ),
        Index(
            "uq_jobs_key_one_at_a_time",
            "key",
            unique=True,
            postgresql_where=text("state <= 2 AND one_at_a_time"),
        ),
        # For jobs with priority, which workers look for before all others.
        Index(
            "ix_jobs_name_due_at_id", "name", "due_at", "id", postgresql_where=text("state <= 2")
        ),
        Index("ix_jobs_due_at_id", "due_at", "id", postgresql_where=text("state <= 2")),
        Index("ix_jobs_state_created_at_id", "state", "created_at", "id"),
        Index("ix_jobs_finished_at", "finished_at", postgresql_where=text("state = 3")),
        Index("ix_jobs_created_at_id", "created_at", "id"),
    )


class LogConsumer(Base):
    """A reader of the event log that must not miss an event, and the position that it has reached.

    The position moves in the same transaction as the work on the events before it.
    """

    __tablename__ = "log_consumers"

    name: Mapped[str] = mapped_column(primary_key=True)
    xid: Mapped[int] = mapped_column(Xid8)
    position: Mapped[int] = mapped_column(BigInteger)


class Worker(Base):
    """A process that runs jobs; it updates its row every few seconds while it is alive."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[dt.datetime]
    seen_at: Mapped[dt.datetime]
    # How many destinations it suspends because they hang, by kind (`jobs.bulkheads`).
    circuits: Mapped[dict[str, int]] = mapped_column(JSONB, server_default=text("'{}'"))
