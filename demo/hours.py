"""The time entries of people at Larkspur, and Ada's running timer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from uuid import UUID

from demo.company import LOGIN
from domain.time import time_entry, timer
from domain.time.time_entry import NewTimeEntry
from domain.time.times import Range
from domain.work import Work

Doing = tuple[dt.datetime, str, Callable[[Work], Awaitable[object]]]

# About a third of all work is recorded.
_SHARE = 0.35
_MINUTES = (25, 40, 55, 75, 90, 110, 150, 195)
_WORDS = (None, None, None, "First half", "With Bram", "On the phone", "Again, properly", "Rest")
_RUNNING_SINCE = dt.timedelta(minutes=38)


@dataclass(frozen=True, slots=True)
class WorkPeriod:
    """Work on a task by one person, between two moments; `is_open` if it continues."""

    task_id: UUID
    who: str
    begin: dt.datetime
    end: dt.datetime
    is_open: bool


def doings(periods: Sequence[WorkPeriod], random: Random, now: dt.datetime) -> Iterator[Doing]:
    """Who records what, and when. Nobody works on two things at once."""
    busy: dict[str, list[tuple[dt.datetime, dt.datetime]]] = {}
    for period in periods:
        if random.random() > _SHARE:
            continue
        for _ in range(random.randint(1, 2)):
            start = _working_hour(period, random)
            end = start + dt.timedelta(minutes=random.choice(_MINUTES))
            taken = busy.setdefault(period.who, [])
            apart = all(end <= begun or start >= ended for begun, ended in taken)
            if start < period.begin or end > period.end or not apart:
                continue
            taken.append((start, end))
            new = NewTimeEntry(
                Range(start, end),
                task_id=period.task_id,
                description=random.choice(_WORDS),
                is_billable=random.random() < 0.4,
                tags=random.choice(((), (), ("workshop",), ("desk",), ("on the road",))),
            )
            yield end, period.who, _entering(new)
    ada = [period for period in periods if period.who == LOGIN and period.is_open]
    if ada:
        yield now - _RUNNING_SINCE, LOGIN, _starting(ada[-1].task_id)


def _working_hour(period: WorkPeriod, random: Random) -> dt.datetime:
    at = period.begin
    for _ in range(12):
        at = period.begin + (period.end - period.begin) * random.random()
        if at.weekday() < 5 and 7 <= at.hour < 16:
            break
    return at.replace(minute=at.minute // 5 * 5, second=0, microsecond=0)


def _entering(new: NewTimeEntry) -> Callable[[Work], Awaitable[object]]:
    async def enter(work: Work) -> None:
        await time_entry.create(work, new)

    return enter


def _starting(task_id: UUID) -> Callable[[Work], Awaitable[object]]:
    async def start(work: Work) -> None:
        await timer.start(work, {"task_id": task_id})

    return start
