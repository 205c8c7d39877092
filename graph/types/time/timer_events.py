"""What `timerChanged` tells: that one's timer started or stopped, or one's time changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import strawberry

from auth.viewer import Viewer
from db import models
from events.filter import EventFilter
from events.kinds import EventKind
from events.log import cursor_of
from events.subscription import Subscription as Source
from graph.core.fields import BatchInfo, batch, derived
from graph.kit.loading import load_objects
from graph.types.time.running_timer import read_running
from graph.types.time.time_entry import TimeEntry

KINDS = frozenset(
    kind.value
    for kind in (
        EventKind.TIMER_STARTED,
        EventKind.TIMER_STOPPED,
        EventKind.TIME_ENTRY_UPDATED,
        EventKind.TIME_ENTRY_DELETED,
    )
)


def own_time(viewer: Viewer) -> EventFilter:
    """The events about one person's timer: those that they caused, since nobody else may."""
    within = None if viewer.projects is None else frozenset(viewer.projects)
    return EventFilter(kinds=KINDS, actors=frozenset({viewer.require()}), within=within)


async def about_time(source: Source) -> AsyncGenerator[Any, None]:
    """Without the losses of access, which pass every filter and say nothing of time."""
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


@strawberry.type(description="Something happened to your timer, on any of your devices.")
class TimerChange:
    """Reads from the row of an event."""

    cursor: str = derived(
        ("epoch", "xid", "position"),
        cursor_of,
        "Pass it as `after` to go on from here.",
    )
    at: dt.datetime = derived((), lambda event: event.at, "When it was done.")
    kind: EventKind = derived(
        (),
        lambda event: EventKind(event.kind),
        "TIMER_STARTED, TIMER_STOPPED, TIME_ENTRY_UPDATED or TIME_ENTRY_DELETED.",
    )
    time_entry: TimeEntry | None = batch(
        _entries, "The time entry concerned, as it is now; null if it was deleted."
    )
    running_timer: TimeEntry | None = batch(
        _running, "Your running timer, as it is now; null if none runs."
    )
