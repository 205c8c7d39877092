"""Parses the times and durations of imported rows.

Times without an offset are local times of the import's zone (`domain.timezones` has the rule for
those that the clock skips or repeats). Dates are ISO (2025-04-27), with dots (27.4.2025) or with
slashes, where the whole file decides whether the month or the day comes first.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import product
from typing import Any

from domain import timezones
from domain.time.import_csv import Row
from domain.time.times import OnDay, Range, Start, Time
from domain.timezones import Clock, Zone
from errors import BadInput, Problems, check

_DATE_COLUMNS = ("start", "end", "day", "startDate", "endDate")
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_DOTTED = re.compile(r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4}|\d{2})")
_SLASHED = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4}|\d{2})")
_TIME = re.compile(r"(\d{1,2})(?::(\d\d)(?::(\d\d)(?:[.,]\d+)?)?)?\s*(?:([ap])\.?m\.?)?")
_HOURS_MINUTES = re.compile(r"(\d{1,5}):(\d\d)(?::(\d\d))?(?:\s*(?:h|hrs?|hours?))?")
_MINUTES_SECONDS = re.compile(r"(\d{1,5}):(\d\d)\s*min")
_UNITS = re.compile(
    r"(?:(\d{1,5})\s*h(?:rs?|ours?)?)?\s*(?:(\d{1,6})\s*m(?:in(?:utes)?)?)?"
    r"\s*(?:(\d{1,9})\s*s(?:ec(?:onds)?)?)?",
)
_DECIMAL = re.compile(r"(\d{1,5})[.,](\d{1,6})(?:\s*(?:h|hrs?|hours?))?")
_FIRST_YEAR, _LAST_YEAR = 1900, 2200
_TIME_COLUMNS = {*_DATE_COLUMNS, "startTime", "endTime", "duration", "hours"}
# Names have at most 200 characters, each of which can be several code points.
_LONGEST_TIME, _LONGEST_NAME = 100, 1_000
_MOST_SECONDS = 999_999_999


class NoticeCode(Enum):
    """What an import reports about a row besides errors."""

    SKIPPED_TIME = "SKIPPED_TIME"
    REPEATED_TIME = "REPEATED_TIME"
    DUPLICATE = "DUPLICATE"
    OTHER_USER = "OTHER_USER"
    ACTIVITY_AS_TAG = "ACTIVITY_AS_TAG"


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice; `column` is the file's name for the column."""

    code: NoticeCode
    column: str | None
    message: str


@dataclass(slots=True)
class Times:
    """The time of a row, and notices about it."""

    time: Time
    notices: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration in seconds; `exact_to` is the precision of its notation in seconds."""

    seconds: int
    exact_to: int = 0


def is_day_first(rows: Iterable[Row]) -> bool | None:
    """Whether dates with slashes have the day first; None if the file does not show it clearly."""
    found: set[bool] = set()
    for row in rows:
        for text in _dates(row):
            if match := _SLASHED.fullmatch(text):
                first, second = int(match[1]), int(match[2])
                if first > 12:
                    found.add(True)
                if second > 12:
                    found.add(False)
    return found.pop() if len(found) == 1 else None


def _dates(row: Row) -> Iterator[str]:
    for column in _DATE_COLUMNS:
        if text := row.get(column):
            yield re.split(r"[T\s]", text, maxsplit=1)[0]


def demand_short(row: Row) -> None:
    """Raise `BadInput` if a cell is too long for its column, before anything else parses it.
    Descriptions and tags have limits of their own.
    """
    for column, cell in row.cells.items():
        most = _LONGEST_TIME if column in _TIME_COLUMNS else _LONGEST_NAME
        if len(cell) > most and column not in {"description", "tags"}:
            raise BadInput(
                f"{row.header(column)} must have at most {most:,} characters; it has "
                f"{len(cell):,}.",
                path=row.path(column),
                limit=most,
                actual=len(cell),
            )


# Replaces the time of a row that has an error.
_NO_TIME = OnDay(dt.date(2000, 1, 1), 0)


@check(Times(_NO_TIME))
def times(row: Row, zone: Zone, *, day_first: bool | None) -> Times:
    """The times of a row's entry. Raises `BadInput` at each column that is missing or cannot be
    parsed.
    """
    reader = _Reader(row, zone, day_first)
    days = ("day", "startDate") if row.get("startTime") is None else ("day",)
    for column in days:
        if (text := row.get(column)) is not None:
            return reader.day(*_all(partial(reader.date, text, column), reader.duration))
    start, end = partial(reader.local, "start"), partial(reader.local, "end")
    return reader.span(*_all(start, end, reader.duration))


def _all(*cells: Callable[[], Any]) -> list[Any]:
    """What is read from several cells. Raises the failures of all of them."""
    problems = Problems()
    found = []
    for read in cells:
        with problems.collect():
            found.append(read())
    problems.raise_any()
    return found


# A column, and the local time in it.
_Local = tuple[str, dt.datetime | None]


class _Reader:
    def __init__(self, row: Row, zone: Zone, day_first: bool | None) -> None:
        self.row = row
        self.zone = zone
        self.day_first = day_first

    def day(self, day: dt.date, length: Duration | None) -> Times:
        """A day with a duration."""
        if length is None:
            raise BadInput("A day needs a duration.", path=self._missing("duration", "hours"))
        return Times(OnDay(day, length.seconds))

    def _missing(self, *columns: str) -> tuple[str, ...]:
        """The path of the first of these columns that the file has."""
        return self.row.path(next((one for one in columns if one in self.row.headers), columns[0]))

    def span(self, starts: _Local, ends: _Local, length: Duration | None) -> Times:
        """A start with an end, a duration, or both if they agree."""
        (starts_column, start), (ends_column, end) = starts, ends
        if start is None:
            raise BadInput(
                "A start or a day is required.",
                path=self._missing("start", "startTime", "startDate"),
            )
        if end is None and length is None:
            raise BadInput(
                "An end or a duration is required.",
                path=self._missing("end", "endTime", "duration", "hours"),
            )
        if end is None:
            assert length is not None
            moment = self._moments(start)[0]
            times = Times(Start(moment, length.seconds))
            self._tell(times, start, starts_column, moment)
            return times
        pairs = list(product(self._moments(start), self._moments(end)))
        fitting = [pair for pair in pairs if length is None or _fits(*pair, length)]
        if not fitting:
            apart = int((pairs[0][1] - pairs[0][0]).total_seconds())
            if apart < 0:
                raise BadInput("The end is before the start.", path=self.row.path(ends_column))
            assert length is not None, "a row without a duration always fits"
            raise BadInput(
                f"The duration is {_clock(length.seconds)}, but start and end are "
                f"{_clock(apart)} apart.",
                path=self.row.path("duration" if self.row.get("duration") else "hours"),
            )
        times = Times(Range(*fitting[0]))
        self._tell(times, start, starts_column, fitting[0][0])
        self._tell(times, end, ends_column, fitting[0][1])
        return times

    def local(self, which: str) -> _Local:
        """The start or end as it is written, and its column."""
        text = self.row.get(which)
        if text is not None:
            found = self._moment(text, which)
            # Years further away cannot be converted in every zone.
            if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
                raise BadInput("Invalid date. Write 2026-11-20.", path=self.row.path(which))
            return which, found
        date_column, time_column = f"{which}Date", f"{which}Time"
        time_text = self.row.get(time_column)
        if time_text is None:
            return time_column, None
        time = self._time(time_text, time_column)
        start_date = self.row.get("startDate")
        date_text = self.row.get(date_column) or start_date
        if date_text is None:
            raise BadInput(
                "A time needs a date; fill in this column too.", path=self.row.path(date_column)
            )
        found = dt.datetime.combine(self.date(date_text, date_column), time)
        if which == "end" and self.row.get("endDate") is None:
            _, start = self.local("start")
            if start is not None and found < start:
                # Without a date, the end is the first such time after the start.
                found += dt.timedelta(days=1)
        return time_column, found

    def _moment(self, text: str, column: str) -> dt.datetime:
        try:
            return dt.datetime.fromisoformat(text)
        except ValueError:
            date, *rest = re.split(r"[T\s]+", text, maxsplit=1)
        if not rest:
            raise BadInput(
                "Invalid time. Write 2026-11-20T09:30:00+01:00 or 2026-11-20 09:30.",
                path=self.row.path(column),
            )
        return dt.datetime.combine(self.date(date, column), self._time(rest[0], column))

    def date(self, text: str, column: str) -> dt.date:
        """A date without a time."""
        year = month = day = 0
        if match := _ISO.fullmatch(text):
            year, month, day = (int(part) for part in match.groups())
        elif match := _DOTTED.fullmatch(text):
            day, month, year = (int(part) for part in match.groups())
        elif match := _SLASHED.fullmatch(text):
            day, month, year = (int(part) for part in match.groups())
            if self._month_first(day, month, column):
                day, month = month, day
        if 0 < year < 100:
            year += 2000
        with suppress(ValueError):
            found = dt.date(year, month, day)
            if _FIRST_YEAR <= year <= _LAST_YEAR:
                return found
        raise BadInput("Invalid date. Write 2026-11-20.", path=self.row.path(column))

    def _month_first(self, first: int, second: int, column: str) -> bool:
        if first == second or max(first, second) > 12:
            return second > 12
        if self.day_first is None:
            raise BadInput(
                f"{first}/{second} is ambiguous: no other row shows whether the day or the month "
                "comes first. Write dates as 2025-04-27.",
                path=self.row.path(column),
            )
        return not self.day_first

    def _time(self, text: str, column: str) -> dt.time:
        match = _TIME.fullmatch(text.lower())
        if match is not None and (match[2] or match[4]):
            hour, minute, second = (int(match[n] or 0) for n in (1, 2, 3))
            if match[4] and 1 <= hour <= 12:
                hour = hour % 12 + (12 if match[4] == "p" else 0)
            elif match[4]:
                # 13 PM does not exist.
                hour = 24
            with suppress(ValueError):
                return dt.time(hour, minute, second)
        raise BadInput(
            "Invalid time. Write 09:30, 09:30:00 or 09:30 AM.", path=self.row.path(column)
        )

    def duration(self) -> Duration | None:
        """The row's duration."""
        for column in ("duration", "hours"):
            text = self.row.get(column)
            if text is not None:
                found = parsed_duration(text, in_hours=column == "hours")
                if found is None or found.seconds > _MOST_SECONDS:
                    raise BadInput(
                        "Invalid duration. Write seconds (5400), 1:30, 1:30:00, hours (1.50) or "
                        "90:00 min.",
                        path=self.row.path(column),
                    )
                return found
        return None

    def _moments(self, local: dt.datetime) -> list[dt.datetime]:
        """The UTC time of a local time; both, earlier first, if the clock shows it twice."""
        if local.tzinfo is not None:
            return [local.astimezone(dt.UTC)]
        first = timezones.moment_of(local, self.zone)
        if timezones.clock_at(local, self.zone) is not Clock.REPEATED:
            return [first]
        return [first, local.replace(tzinfo=self.zone, fold=1).astimezone(dt.UTC)]

    def _tell(self, times: Times, local: dt.datetime, column: str, taken: dt.datetime) -> None:
        """Add a notice if a local time does not exist or exists twice."""
        if local.tzinfo is not None:
            return
        clock = timezones.clock_at(local, self.zone)
        header = self.row.header(column)
        if clock is Clock.SKIPPED:
            read = taken.astimezone(self.zone)
            times.notices.append(
                Notice(
                    NoticeCode.SKIPPED_TIME,
                    header,
                    f"{local:%Y-%m-%d %H:%M} does not exist in {self.zone.key}: the clock skips "
                    f"it. It was read as {read:%H:%M}.",
                )
            )
        elif clock is Clock.REPEATED:
            which = "first" if taken == self._moments(local)[0] else "second"
            times.notices.append(
                Notice(
                    NoticeCode.REPEATED_TIME,
                    header,
                    f"{local:%Y-%m-%d %H:%M} occurs twice in {self.zone.key}. It was read as the "
                    f"{which}, {taken.astimezone(self.zone).isoformat(timespec='minutes')}; add "
                    "an offset to choose one.",
                )
            )


def parsed_duration(text: str, *, in_hours: bool = False) -> Duration | None:
    """Parse `5400` (seconds), `1:30`, `1:30:00`, `1.50` (hours), `18:25 min` or `1h 30m`; None if
    invalid.

    `in_hours`: whole numbers are hours.
    """
    text = text.lower()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return Duration(int(text) * 3600, 3600) if in_hours else Duration(int(text))
    if match := _MINUTES_SECONDS.fullmatch(text):
        minutes, seconds = int(match[1]), int(match[2])
        return Duration(minutes * 60 + seconds) if seconds < 60 else None
    if match := _HOURS_MINUTES.fullmatch(text):
        hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3] or 0)
        if minutes > 59 or seconds > 59:
            return None
        return Duration(hours * 3600 + minutes * 60 + seconds, 0 if match[3] else 60)
    if match := _DECIMAL.fullmatch(text):
        digits = 10 ** len(match[2])
        whole = int(match[1]) * digits + int(match[2])
        return Duration((whole * 3600 * 2 + digits) // (2 * digits), max(1, 3600 // digits))
    if text and (match := _UNITS.fullmatch(text)) and any(match.groups()):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return Duration(hours * 3600 + minutes * 60 + seconds, 0 if match[3] else 60)
    return None


def _fits(start: dt.datetime, end: dt.datetime, length: Duration) -> bool:
    seconds = (end.replace(microsecond=0) - start.replace(microsecond=0)).total_seconds()
    return abs(seconds - length.seconds) <= length.exact_to


def _clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
