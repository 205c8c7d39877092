"""Reports and all their exports say the same, and it is what plain Python says.

The model reads zones by `python-dateutil`, from the files of the pinned database.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from dateutil.tz import resolve_imaginary, tzfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader
from sqlalchemy import delete

from db import models
from domain import timezones
from domain.tasks import schedule
from jobs.worker_context import WorkerContext
from tests.accounts import Person
from tests.domain.test_timezones import SOME, another
from tests.factories import World
from tests.graph.time.test_time_report import TURNS, ZONES, cases, entry, midnight
from tests.jobs.exports.calls import ask, fetched, make

UTC = dt.UTC
DAY = dt.timedelta(days=1)
REPORT = """query ($filter: TimeReportFilter, $zone: TimeZone) {
  timeReport(filter: $filter, groupBy: [DAY], timezone: $zone) {
    total billable count groups { day total }
  }
}"""


# --- the plain model -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Sums:
    """What all forms of a report have in common."""

    seconds: int
    billable: int
    count: int


@dataclass(frozen=True)
class Model:
    """The time of some entries on some days of a zone."""

    entries: Sequence[models.TimeEntry]
    zone: tzfile
    first: dt.date | None = None
    last: dt.date | None = None

    def begins(self, day: dt.date) -> dt.datetime:
        return resolve_imaginary(dt.datetime.combine(day, dt.time(), self.zone)).astimezone(UTC)

    def cut(self) -> Iterator[tuple[models.TimeEntry, dt.datetime, dt.datetime]]:
        """The entries that have time on these days, with the start and end that are left."""
        opens = None if self.first is None else self.begins(self.first)
        closes = None if self.last is None else self.begins(self.last + DAY)
        for one in self.entries:
            end = one.ended_at or dt.datetime.now(UTC).replace(microsecond=0)
            if one.day is not None:
                if (self.first or one.day) <= one.day <= (self.last or one.day):
                    yield one, one.started_at, end
                continue
            left = one.started_at if opens is None else max(one.started_at, opens)
            right = end if closes is None else min(end, closes)
            is_inside = opens is None or one.started_at >= opens
            if left < right or (left == right == one.started_at and is_inside and left != closes):
                yield one, left, right

    def sums(self) -> Sums:
        cut = [(one, int((end - start).total_seconds())) for one, start, end in self.cut()]
        billable = sum(seconds for one, seconds in cut if one.is_billable)
        return Sums(sum(seconds for _, seconds in cut), billable, len(cut))

    def days(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for one, start, end in self.cut():
            day = one.day or start.astimezone(self.zone).date()
            if one.day is not None or start == end:
                found[day.isoformat()] += int((end - start).total_seconds())
                continue
            since = start
            while since < end:
                over = min(end, max(since, self.begins(day + DAY)))
                if over > since:
                    found[day.isoformat()] += int((over - since).total_seconds())
                since, day = over, day + DAY
        return found


# --- what the server says ------------------------------------------------------------------------


async def reported(world: World, ada: Person, filter_: Any, zone: str) -> tuple[Sums, Counter[str]]:
    reply = await world.run(REPORT, ada, filter=filter_, zone=zone)
    made = reply.good["timeReport"]
    days = Counter({group["day"]: int(group["total"]) for group in made["groups"]})
    return Sums(made["total"], made["billable"], made["count"]), days


async def exported(
    world: World, context: WorkerContext, ada: Person, format_: str, **given: Any
) -> bytes:
    export_id = await ask(world, ada, format=format_, **given)
    await make(context, export_id)
    return (await fetched(world, ada, export_id))[1]


def rows_of(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


def csv_sums(rows: Sequence[dict[str, str]]) -> Sums:
    lengths = [(row, int(row["durationSeconds"])) for row in rows]
    billable = sum(seconds for row, seconds in lengths if row["billable"] == "true")
    return Sums(sum(seconds for _, seconds in lengths), billable, len(rows))


def json_sums(made: Any) -> Sums:
    entries = made["entries"]
    total = sum(one["durationSeconds"] for one in entries)
    billable = sum(one["durationSeconds"] for one in entries if one["billable"])
    sums = Sums(total, billable, len(entries))
    assert sums == Sums(made["seconds"], made["billable"], made["count"])
    return sums


def pdf_sums(body: bytes) -> Sums:
    """The last line of the table."""
    text = PdfReader(io.BytesIO(body)).pages[-1].extract_text()
    numbers = re.search(r"Total\s+([\d,]+:\d\d:\d\d)\s+([\d,]+:\d\d:\d\d)\s+([\d,]+)\s", text)
    assert numbers is not None, text

    def seconds(written: str) -> int:
        hours, minutes, rest = (int(part) for part in written.replace(",", "").split(":"))
        return hours * 3600 + minutes * 60 + rest

    return Sums(seconds(numbers[1]), seconds(numbers[2]), int(numbers[3].replace(",", "")))


async def all_agree(
    world: World, context: WorkerContext, ada: Person, model: Model, *, zone: str, group_by: str
) -> list[dict[str, str]]:
    """Compare the report, CSV, JSON and PDF with the model. Returns the rows of the CSV."""
    days = {"firstDay": model.first and str(model.first), "lastDay": model.last and str(model.last)}
    filter_ = {name: day for name, day in days.items() if day}
    given = {"filter": filter_, "timezone": zone, "groupBy": [group_by]}
    wanted = model.sums()
    assert await reported(world, ada, filter_, zone) == (wanted, model.days())
    rows = rows_of(await exported(world, context, ada, "CSV", **given))
    assert csv_sums(rows) == wanted
    made = orjson.loads(await exported(world, context, ada, "JSON", **given))
    assert json_sums(made) == wanted
    assert sum(group["seconds"] for group in made["groups"]) == wanted.seconds
    assert pdf_sums(await exported(world, context, ada, "PDF", **given)) == wanted
    return rows


# --- random entries ------------------------------------------------------------------------------


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=cases(), timer=st.none() | st.sampled_from(TURNS))
async def test_reports_and_exports_agree(
    world: World, context: WorkerContext, author: Person, case: Any, timer: dt.date | None
) -> None:
    made, _, zone, first, last, _ = case
    entries = [
        entry(
            author,
            # An entry of a day begins with it, in the zone that its user had.
            start if day is None else midnight(day, ZONES[seconds % len(ZONES)]),
            seconds,
            tags=tags,
            is_billable=billable,
            day=day,
        )
        for start, seconds, _, tags, billable, day in made
    ]
    if timer is not None and last is not None:
        # It runs to this day, and counts to the end of the last one.
        entries.append(entry(author, dt.datetime.combine(timer, dt.time(22, 30), UTC), None))
    async with world.database.session() as session, session.begin():
        mine = models.TimeEntry.user_id == author.id
        await session.execute(delete(models.TimeEntry).where(mine))
        session.add_all(entries)
    model = Model(entries, another(zone), first, last)
    rows = await all_agree(world, context, author, model, zone=zone, group_by="DAY")
    for row in rows:
        if row["start"] and row["end"]:
            start, end = (dt.datetime.fromisoformat(row[name]) for name in ("start", "end"))
            assert (end - start).total_seconds() == int(row["durationSeconds"])
    if first and last and first < last:
        middle = first + (last - first) // 2
        parts = [(first, middle), (middle + DAY, last)]
        seconds = [
            csv_sums(
                rows_of(
                    await exported(
                        world,
                        context,
                        author,
                        "CSV",
                        timezone=zone,
                        filter={"firstDay": str(begin), "lastDay": str(end)},
                    )
                )
            ).seconds
            for begin, end in parts
        ]
        assert sum(seconds) == model.sums().seconds


@pytest.fixture(scope="module")
async def author(world: World) -> Person:
    return await world.person()


# --- every zone ----------------------------------------------------------------------------------

ODD = sorted(
    {
        *SOME,
        *("Pacific/Kiritimati", "America/Caracas", "Asia/Pyongyang", "Africa/Juba"),
        *("Atlantic/Azores", "Asia/Kathmandu"),
    }
)


@pytest.fixture(scope="module")
async def ages(world: World) -> tuple[Person, list[models.TimeEntry]]:
    """Somebody with entries at 300 moments from 1995 to 2037."""
    ada = await world.person()
    dice = random.Random(300)
    first = dt.datetime(1995, 1, 1, tzinfo=UTC)
    span = int((dt.datetime(2037, 1, 1, tzinfo=UTC) - first).total_seconds())
    made = [
        entry(
            ada,
            first + dt.timedelta(seconds=dice.randrange(span)),
            dice.choice([1, 3600, 7200, 40_000, 90_000]),
            is_billable=dice.random() < 0.5,
        )
        for _ in range(300)
    ]
    await world.rows(*made)
    return ada, made


async def agrees(
    world: World, context: WorkerContext, ages: tuple[Person, list[models.TimeEntry]], name: str
) -> None:
    ada, made = ages
    theirs = another(name)
    model = Model(made, theirs, dt.date(1994, 12, 1), dt.date(2037, 2, 1))
    rows = await all_agree(world, context, ada, model, zone=name, group_by="MONTH")
    by_start = sorted(made, key=lambda one: (one.started_at, one.id))
    zone = timezones.zone(name)
    reminder = schedule.Daily(dt.time(2, 30), name)
    for one, row in zip(by_start, rows, strict=True):
        local = one.started_at.astimezone(theirs)
        assert row["start"] == local.isoformat()
        assert timezones.start_of_day(local.date(), zone) == model.begins(local.date())
        wanted = (
            resolve_imaginary(
                dt.datetime.combine(local.date() + n * DAY, reminder.time, theirs)
            ).astimezone(UTC)
            for n in range(-1, 4)
        )
        following = min(moment for moment in wanted if moment > one.started_at)
        assert schedule.next_run(reminder, one.started_at) == following


@pytest.mark.parametrize("name", ODD)
async def test_odd_zones_agree(
    world: World, context: WorkerContext, ages: tuple[Person, list[models.TimeEntry]], name: str
) -> None:
    await agrees(world, context, ages, name)


@pytest.mark.nightly
@pytest.mark.parametrize("name", sorted(timezones.accepted() - set(ODD)))
async def test_every_zone_agrees(
    world: World, context: WorkerContext, ages: tuple[Person, list[models.TimeEntry]], name: str
) -> None:
    await agrees(world, context, ages, name)
