"""The events of `timerChanged`: your timer started or stopped, or one of your entries changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Sequence
from enum import Enum
from typing import Any

import strawberry

from auth.viewer import Viewer
from db import models
from events.filter import LogFilter
from events.kinds import KIND_DESCRIPTIONS, EventKind
from events.log import cursor_of
from events.subscription import Subscription as Source
from graph.core.fields import BatchInfo, batch, derived
from graph.core.node import described_enum
from graph.kit.loading import load_objects
from graph.types.time.running_timer import read_running
from graph.types.time.time_entry import TimeEntry


class TimerEventKind(Enum):
    """The kinds of events that are about a user's timer, as the log names them."""

    TIMER_STARTED = EventKind.TIMER_STARTED.value
    TIMER_STOPPED = EventKind.TIMER_STOPPED.value
    TIME_ENTRY_UPDATED = EventKind.TIME_ENTRY_UPDATED.value
    TIME_ENTRY_DELETED = EventKind.TIME_ENTRY_DELETED.value


described_enum(
    TimerEventKind,
    "The kind of a change of your timer. Kinds may be added, but are never removed.",
    {kind: KIND_DESCRIPTIONS[EventKind(kind.value)] for kind in TimerEventKind},
)
KINDS = frozenset(kind.value for kind in TimerEventKind)


def own_time(viewer: Viewer) -> LogFilter:
    """The events about one user's timer: those caused by the user; no one else can change it."""
    within = None if viewer.projects is None else frozenset(viewer.projects)
    return LogFilter(kinds=KINDS, actors=frozenset({viewer.require()}), within=within)


async def about_time(source: Source) -> AsyncGenerator[Any, None]:
    """Skip lost-access events, which pass every filter but do not concern time."""
    try:
        async for row in source:
            if row.kind in KINDS:
                yield row
    finally:
        await source.aclose()


async def _running(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    return [await read_running(info)] * len(parents)


async def _entries(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.TimeEntry, [parent.subject_id for parent in parents])


@strawberry.type(description="A change of your timer, on any of your devices.")
class TimerEvent:
    """Reads from the row of an event."""

    cursor: str = derived(
        ("epoch", "xid", "position"),
        cursor_of,
        "Pass it as `after` to resume from here.",
    )
    at: dt.datetime = derived((), lambda event: event.at, "When the change happened.")
    kind: TimerEventKind = derived((), lambda event: TimerEventKind(event.kind), "What happened.")
    time_entry: TimeEntry | None = batch(
        _entries, "The time entry as it is now; null if it was deleted."
    )
    running_timer: TimeEntry | None = batch(
        _running, "Your running timer as it is now; null if none is running."
    )
