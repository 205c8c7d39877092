"""Every form of a time, and every change from one to another, held against a plain model."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.accounts import Person
from tests.factories import Reply, World
from tests.graph.time.time_calls import CREATE, NOW, START, UPDATE

# At UTC+2, so that days of the user are no days of UTC.
ZONE, OFFSET = "Africa/Johannesburg", dt.timedelta(hours=2)
SECOND = dt.timedelta(seconds=1)
LONGEST = dt.timedelta(days=366)
TODAY = (NOW + OFFSET).date()


# --- the plain model -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """An entry; without an end, a running timer."""

    start: dt.datetime
    end: dt.datetime | None
    day: dt.date | None = None

    def shown(self) -> dict[str, Any]:
        return {
            "startedAt": written(self.start),
            "endedAt": self.end and written(self.end),
            "day": self.day and self.day.isoformat(),
        }


def written(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def read(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(microsecond=0)


@dataclass(frozen=True)
class Told:
    """What a time says: an entry, the fields of its start and its end, and what is wrong with one
    of them by itself.
    """

    entry: Kept
    starts: str
    ends: str
    wrong: str | None = None


def told(entry: Kept | None, form: str, value: Any) -> Told:
    if form == "day":
        day = dt.date.fromisoformat(value["day"])
        midnight = dt.datetime.combine(day, dt.time(), dt.UTC) - OFFSET
        made = Kept(midnight, midnight + value["duration"] * SECOND, day)
        wrong = "duration" if value["duration"] < 0 else "day" if day > TODAY else None
        return Told(made, "time.day.day", "time.day.duration", wrong and f"time.day.{wrong}")
    if form == "start":
        start = read(value["startedAt"])
        made = Kept(start, start + value["duration"] * SECOND)
        ends = "time.start.duration"
        return Told(made, "time.start.startedAt", ends, ends if value["duration"] < 0 else None)
    if form == "range":
        made = Kept(read(value["startedAt"]), read(value["endedAt"]))
        return Told(made, "time.range.startedAt", "time.range.endedAt")
    assert entry is not None
    made = Kept(read(value), entry.end) if form == "startedAt" else Kept(entry.start, read(value))
    place = f"time.{form}"
    return Told(made, place, place, None if entry.day is None else place)


def after(entry: Kept | None, time: dict[str, Any], *, over: bool) -> Kept | str:
    """The entry with this time, or where the error is."""
    ((form, value),) = time.items()
    said = told(entry, form, value)
    made = said.entry
    end = made.end or NOW.replace(microsecond=0)
    length = end - made.start
    if said.wrong is not None:
        return said.wrong
    if end < made.start:
        return said.ends if made.end else said.starts
    if (made.day is None and end > NOW) or length > LONGEST:
        return said.ends
    if length > dt.timedelta(days=1) and made.end and not over:
        return "allowOver24Hours"
    return made


# --- random times --------------------------------------------------------------------------------

MOMENTS = st.builds(
    lambda hours, seconds, fraction: (
        NOW.replace(microsecond=0)
        - dt.timedelta(hours=hours)
        + dt.timedelta(seconds=seconds, microseconds=fraction)
    ).isoformat(),
    st.sampled_from([0, 0, 1, 2, 20, 23, 24, 25, 48, 366 * 24, 367 * 24]),
    st.integers(-2, 2),
    st.sampled_from([0, 0, 1, 999_999]),
)
LENGTHS = st.sampled_from([-1, 0, 1, 3600, 86_400, 86_401, 366 * 86_400])
DAYS = st.sampled_from([0, 0, 1, 2, 400, -1]).map(
    lambda days: (TODAY - dt.timedelta(days=days)).isoformat()
)
WHOLE = [
    st.fixed_dictionaries(
        {"range": st.fixed_dictionaries({"startedAt": MOMENTS, "endedAt": MOMENTS})}
    ),
    st.fixed_dictionaries(
        {"start": st.fixed_dictionaries({"startedAt": MOMENTS, "duration": LENGTHS})}
    ),
    st.fixed_dictionaries({"day": st.fixed_dictionaries({"day": DAYS, "duration": LENGTHS})}),
]
ENDS = [
    st.fixed_dictionaries({"startedAt": MOMENTS}),
    st.fixed_dictionaries({"endedAt": MOMENTS}),
]
CHANGES = st.lists(st.tuples(st.one_of(*WHOLE, *ENDS), st.booleans()), max_size=5)


@pytest.fixture(scope="module")
async def author(world: World) -> Person:
    return await world.person(timezone=ZONE)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(first=st.none() | st.one_of(*WHOLE), over=st.booleans(), changes=CHANGES)
async def test_times_are_as_a_plain_model_says(
    world: World, author: Person, first: Any, over: bool, changes: list[tuple[Any, bool]]
) -> None:
    if first is None:
        # A timer that ran for two hours; of somebody who has none that an earlier example left.
        author = await world.person(timezone=ZONE)
        begun = NOW - dt.timedelta(hours=2)
        reply = await world.run(START, author, at=begun, input={"tags": ["x"]})
        id_ = reply.good["timerStart"]["timeEntry"]["id"]
        entry = Kept(begun.replace(microsecond=0), None)
    else:
        given_ = {"time": first, "allowOver24Hours": over}
        reply = await world.run(CREATE, author, at=NOW, input=given_)
        wanted = after(None, first, over=over)
        if isinstance(wanted, str):
            assert places(reply) == [wanted]
            return
        entry = wanted
        id_ = shown(reply, "timeEntryCreate", entry)["id"]
    for time, forced in changes:
        given_ = {"id": id_, "time": time, "allowOver24Hours": forced}
        reply = await world.run(UPDATE, author, at=NOW, input=given_)
        wanted = after(entry, time, over=forced)
        if isinstance(wanted, str):
            assert places(reply) == [wanted]
        else:
            entry = wanted
            assert shown(reply, "timeEntryUpdate", entry)["isRunning"] is (entry.end is None)


def shown(reply: Reply, mutation: str, entry: Kept) -> Any:
    """The entry of an answer, which must be this one."""
    found = reply.good[mutation]["timeEntry"]
    assert {name: found[name] for name in entry.shown()} == entry.shown()
    assert entry.end is None or found["duration"] == (entry.end - entry.start) // SECOND
    return found


def places(reply: Reply) -> list[str]:
    assert not reply.errors, reply.errors
    assert {error["code"] for error in reply.user_errors} == {"BAD_USER_INPUT"}
    return [".".join(error["path"][1:]) for error in reply.user_errors]
