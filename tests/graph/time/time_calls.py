"""Operations on time, as the tests of it ask for them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.accounts import Person
from tests.factories import Reply, World

NOW = dt.datetime(2026, 11, 18, 12, 0, 0, 400_000, tzinfo=dt.UTC)

START = """mutation ($input: TimerStartInput!) {
  timerStart(input: $input) {
    timeEntry { id startedAt endedAt isRunning description task { id } project { id } }
    errors { code path message }
  }
}"""
STOP = """mutation ($input: TimerStopInput!) {
  timerStop(input: $input) {
    timeEntry { id endedAt duration isRunning } errors { code path message }
  }
}"""
CREATE = """mutation ($input: TimeEntryCreateInput!) {
  timeEntryCreate(input: $input) {
    timeEntry { id startedAt endedAt day duration hasOverlap isBillable tags project { id } }
    errors { code path message }
  }
}"""
UPDATE = """mutation ($input: TimeEntryUpdateInput!) {
  timeEntryUpdate(input: $input) {
    timeEntry { id startedAt endedAt day duration description version isRunning
      task { id } project { id } }
    errors { code path message conflictingFields }
  }
}"""
DELETE = """mutation ($input: TimeEntryDeleteInput!) {
  timeEntryDelete(input: $input) { deletedId errors { code path message } }
}"""
LIST = """query ($filter: TimeEntryFilter, $orderBy: [TimeEntryOrder!]) {
  timeEntries(filter: $filter, orderBy: $orderBy) {
    totalCount nodes { id duration hasOverlap user { username } }
  }
}"""
RUNNING = "{ viewer { runningTimer { id description } } }"


def at(hour: int, minute: int = 0, second: int = 0, *, day: int = 18) -> str:
    return f"2026-11-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"


def during(start: str, end: str) -> dict[str, Any]:
    return {"range": {"startedAt": start, "endedAt": end}}


def lasting(start: str, seconds: int) -> dict[str, Any]:
    return {"start": {"startedAt": start, "duration": seconds}}


def on_day(day: str, seconds: int) -> dict[str, Any]:
    return {"day": {"day": day, "duration": seconds}}


async def create(world: World, person: Person, **given: Any) -> Reply:
    return await world.run(CREATE, person, at=NOW, input=given)


async def created(world: World, person: Person, start: str, end: str, **given: Any) -> Any:
    reply = await create(world, person, time=during(start, end), **given)
    return reply.good["timeEntryCreate"]["timeEntry"]


def failure(reply: Reply) -> tuple[str, str]:
    assert not reply.errors, reply.errors
    (error,) = reply.user_errors
    return error["code"], ".".join(error["path"])
