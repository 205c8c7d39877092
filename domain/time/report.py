"""Time reports: entries split at a zone's midnights, and summed in nested groups.

One SQL statement computes it. It first creates the days of the report, each as the moment when it
starts in the zone (so days can have 23 or 25 hours). Each entry's first day is found by its start,
and only the few entries that reach into the next day are cut into slices, one per day. Entries and
midnights are whole seconds, so slices add up to their entry exactly.

The statement groups by all keys at once and returns one row per innermost group; outer groups are
added up from these rows. Seconds simply add up. Two things do not, so each row has columns for
every level:

- *Counts.* A group counts its entries. An entry of two days counts once in its project, and once in
  each of the two days. So a slice counts at a level that has days, and otherwise only if it is the
  entry's first one in the week, the month or the report.
- *Tags.* An entry with two tags is in both groups, with all its time: this is the meaning of the
  time of a tag. Only groups by tag overlap. An outer level counts such an entry once, by its first
  tag, so that totals are always those of the entries.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    true,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import aliased

from db.models import TimeEntry, WeekDay
from db.models.time_entry import ends
from domain import timezones

MAX_GROUPS = 10_000
_DAY = text("interval '1 day'")
_YEAR = dt.timedelta(days=366)
# A Monday before every possible day.
_MONDAY = dt.date(1897, 2, 1)


class GroupBy(Enum):
    """The criteria that entries are grouped by."""

    PROJECT = "project"
    TASK = "task"
    USER = "user"
    TAG = "tag"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    BILLABLE = "billable"


TIMES = frozenset({GroupBy.DAY, GroupBy.WEEK, GroupBy.MONTH})
# The columns of the innermost groups.
_KEYS = {
    GroupBy.PROJECT: "project_id",
    GroupBy.TASK: "task_id",
    GroupBy.USER: "user_id",
    GroupBy.TAG: "tag_key",
    GroupBy.DAY: "day",
    GroupBy.WEEK: "week",
    GroupBy.MONTH: "month",
    GroupBy.BILLABLE: "is_billable",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What the statement depends on, apart from the filter."""

    group_by: tuple[GroupBy, ...]
    # Whether the report has a first and a last day.
    has_first: bool
    has_last: bool

    @property
    def sums(self) -> list[tuple[str, str, str]]:
        """The names of the columns with seconds, billable seconds and count, for each level from
        the whole report inwards. Levels that count alike share columns.
        """
        found = []
        for level in range(len(self.group_by) + 1):
            keys = self.group_by[:level]
            once = "_once" if GroupBy.TAG in self.group_by and GroupBy.TAG not in keys else ""
            first = ""
            if self.sliced and GroupBy.DAY not in keys:
                spans = [by.value for by in (GroupBy.WEEK, GroupBy.MONTH) if by in keys]
                first = "_" + ("".join(spans) or "first")
            found.append((f"seconds{once}", f"billed{once}", f"count{once}{first}"))
        return found

    @property
    def sliced(self) -> bool:
        """Whether the report depends on days."""
        return self.has_first or self.has_last or not TIMES.isdisjoint(self.group_by)


def parameters(
    timezone: str,
    week_start: WeekDay,
    first: dt.date | None,
    last: dt.date | None,
    limit: int = MAX_GROUPS,
) -> dict[str, Any]:
    """The values of the statement's parameters, except those of the predicates."""
    # Without given days, the offsets cover every time from before the first possible entry until
    # after now.
    offsets = timezones.day_offsets(
        timezone,
        first or dt.date(1900, 1, 1),
        (last or dt.datetime.now(dt.UTC).date() + _YEAR) + dt.timedelta(days=1),
    )
    return {
        "offset_days": offsets.days,
        "offset_seconds": offsets.seconds,
        "week_start": int(week_start),
        "first_day": first,
        "last_day": last,
        "limit": limit + 1,
    }


def statement(
    shape: Shape, where: Callable[[Any], Sequence[ColumnElement[bool]]]
) -> Select[*tuple[Any, ...]]:
    """The innermost groups of the entries that match `where(entity)`; see `parameters`."""
    rows = _sliced(shape, where) if shape.sliced else _whole(shape, where)
    source: Any = rows
    tag_no: Any = None
    columns: dict[str, Any] = dict(rows.c)
    if GroupBy.TAG in shape.group_by:
        tags = (
            func.unnest(rows.c.tags, rows.c.tag_keys)
            .table_valued("tag", "tag_key", with_ordinality="no")
            .render_derived()
            .lateral("tagged")
        )
        source = rows.outerjoin(tags, true())
        tag_no = func.coalesce(tags.c.no, 1)
        columns |= {"tag_key": tags.c.tag_key, "tag": tags.c.tag}
    if shape.sliced:
        columns["week"] = _week_of(columns["day"])
        columns["month"] = cast(func.date_trunc(literal("month", Text()), columns["day"]), Date())
    keys = [columns[_KEYS[by]] for by in shape.group_by]
    named = [key.label(_KEYS[by]) for key, by in zip(keys, shape.group_by, strict=True)]
    if GroupBy.TAG in shape.group_by:
        named.append(func.min(columns["tag"]).label("tag"))
    sums = {label: _sum(label, columns, tag_no) for level in shape.sums for label in level}
    query = select(*named, *sums.values()).select_from(source)
    if keys:
        query = query.group_by(*keys)
    return query.limit(bindparam("limit", type_=Integer()))


def _sum(label: str, columns: Mapping[str, Any], tag_no: Any) -> Any:
    """A column of sums by its name, in which each word is a condition; see `Shape.sums`."""
    what, *words = label.split("_")
    conditions: dict[str, Callable[[], Any]] = {
        "once": lambda: tag_no == 1,
        "first": lambda: columns["is_first"],
        "week": lambda: or_(columns["is_first"], columns["day"] == columns["week"]),
        "month": lambda: or_(columns["is_first"], columns["day"] == columns["month"]),
        "weekmonth": lambda: or_(
            columns["is_first"],
            columns["day"] == columns["week"],
            columns["day"] == columns["month"],
        ),
    }
    wanted = [conditions[word]() for word in words]
    if what == "billed":
        wanted.append(columns["is_billable"])
    total: Any = func.count() if what == "count" else func.sum(columns["seconds"])
    if wanted:
        total = total.filter(and_(*wanted))
    return cast(func.coalesce(total, 0), BigInteger()).label(label)


# --- entries and their slices --------------------------------------------------------------------


def _chosen(shape: Shape, where: Callable[[Any], Sequence[ColumnElement[bool]]]) -> tuple[Any, Any]:
    """The entries, with the columns that groups are made from."""
    entry = aliased(TimeEntry, name="entry")
    by_tag = [entry.tags, entry.tag_keys] if GroupBy.TAG in shape.group_by else []
    keys = [
        getattr(entry, _KEYS[by])
        for by in (GroupBy.PROJECT, GroupBy.TASK, GroupBy.USER)
        if by in shape.group_by
    ]
    query = select(*keys, entry.is_billable, *by_tag).where(*where(entry))
    # A day of any zone is within one day of the same day in UTC. This coarse limit uses an index;
    # the slices cut exactly.
    if shape.has_first:
        query = query.where(ends(entry) >= _utc(_first() - 1))
    if shape.has_last:
        query = query.where(entry.started_at < _utc(_last() + 3))
    return entry, query


def _whole(shape: Shape, where: Callable[[Any], Sequence[ColumnElement[bool]]]) -> Any:
    entry, query = _chosen(shape, where)
    length = func.greatest(_length(entry.started_at, ends(entry)), 0)
    return query.add_columns(length.label("seconds")).subquery("slice")


def _sliced(shape: Shape, where: Callable[[Any], Sequence[ColumnElement[bool]]]) -> Any:
    """Each entry's seconds on each of its days, within the report's days.

    Days are numbered from 1. A binary search in the array of days finds the entry's first day; its
    last day is nearly always the same, and `generate_series` returns a row for each.
    """
    bounds = _bounds(shape)
    starts_of = select(bounds.c.starts).scalar_subquery()
    first_day = select(bounds.c.first_day).scalar_subquery()
    days = select(bounds.c.days).scalar_subquery()
    entry, query = _chosen(shape, where)
    found_once = query.add_columns(
        entry.day,
        _moment(entry.started_at).label("starts"),
        func.greatest(ends(entry), entry.started_at, type_=DateTime(True)).label("ends"),
        case(
            (entry.day.is_(None), _number(entry.started_at, starts_of)),
            else_=entry.day - first_day + 1,
        ).label("number"),
    )
    # OFFSET 0 keeps PostgreSQL from computing the number again at each use.
    found = found_once.offset(0).subquery("found")
    kept = [column for column in found.c if column.key not in {"day", "starts", "ends", "number"}]
    one_day = or_(
        found.c.day.is_not(None),
        and_(
            found.c.number.between(1, days), found.c.ends <= _start(starts_of, found.c.number + 1)
        ),
    )
    last = case(
        (one_day, found.c.number),
        else_=_number(found.c.ends - text("interval '1 second'"), starts_of),
    )
    from_number = func.greatest(found.c.number, 1, type_=Integer())
    parts = select(
        *kept,
        found.c.starts,
        found.c.ends,
        one_day.label("one_day"),
        from_number.label("from_number"),
        func.generate_series(from_number, func.least(last, days), type_=Integer()).label("part"),
    ).subquery("parts")
    starts = case(
        (parts.c.one_day, parts.c.starts),
        else_=func.greatest(parts.c.starts, _start(starts_of, parts.c.part)),
    )
    end = case(
        (parts.c.one_day, parts.c.ends),
        else_=func.least(parts.c.ends, _start(starts_of, parts.c.part + 1)),
    )
    return select(
        *(parts.c[column.key] for column in kept),
        (first_day + parts.c.part - 1).label("day"),
        _length(starts, end).label("seconds"),
        (parts.c.part == parts.c.from_number).label("is_first"),
    ).subquery("slice")


def _bounds(shape: Shape) -> CTE:
    """One row: the first day, the number of days, and the moments when they start, with the end of
    the last one. Without a first or last day, they cover the first entry of all to now; a day or
    two more does no harm.
    """
    oldest = _utc_day(select(func.min(TimeEntry.started_at)).scalar_subquery()) - 1
    first = _first() if shape.has_first else oldest
    last = _last() if shape.has_last else _utc_day(func.now()) + 2
    series = (
        func.generate_series(cast(first, TIMESTAMP()), cast(last, TIMESTAMP()) + _DAY, _DAY)
        .table_valued("midnight")
        .render_derived(name="days")
    )
    midnight = type_coerce(series.c.midnight, TIMESTAMP())
    # One row: a `timezones.DayOffsets`.
    offsets = select(
        bindparam("offset_days", type_=ARRAY(Date())).label("days"),
        bindparam("offset_seconds", type_=ARRAY(Integer())).label("seconds"),
    ).subquery("offsets")
    return (
        select(
            cast(func.min(midnight), Date()).label("first_day"),
            cast(func.count() - 1, Integer()).label("days"),
            func.array_agg(
                _begins(midnight, offsets).op("ORDER BY")(midnight), type_=ARRAY(DateTime(True))
            ).label("starts"),
        )
        .select_from(series.join(offsets, true()))
        .cte("bounds")
        .prefix_with(text("MATERIALIZED"))
    )


def _number(moment: Any, starts_of: Any) -> Any:
    """The number of the day that contains a moment; 0 before the first."""
    return func.width_bucket(_moment(moment), starts_of, type_=Integer())


def _start(starts_of: Any, number: Any) -> Any:
    return type_coerce(starts_of, ARRAY(DateTime(True)))[number]


def _moment(value: Any) -> Any:
    return type_coerce(value, DateTime(True))


def _begins(midnight: Any, offsets: Any) -> Any:
    """When a day starts in the zone."""
    number = func.width_bucket(cast(midnight, Date()), offsets.c.days, type_=Integer())
    seconds = type_coerce(offsets.c.seconds, ARRAY(Integer()))[func.greatest(number, 1)]
    offset = seconds * text("interval '1 second'")
    return func.timezone(literal("UTC", Text()), midnight - offset, type_=DateTime(True))


def _first() -> Any:
    return cast(bindparam("first_day", type_=Date()), Date())


def _last() -> Any:
    return cast(bindparam("last_day", type_=Date()), Date())


def _utc(day: Any) -> Any:
    return func.timezone(literal("UTC", Text()), cast(day, TIMESTAMP()), type_=DateTime(True))


def _utc_day(moment: Any) -> Any:
    return cast(func.timezone(literal("UTC", Text()), moment, type_=TIMESTAMP()), Date())


def _week_of(day: Any) -> Any:
    """The first day of the week of a day, with integer arithmetic, which is the fastest."""
    since = (day - literal(_MONDAY, Date()) - bindparam("week_start", type_=Integer()) + 1) % 7
    return type_coerce(day - since, Date())


def _length(starts: Any, end: Any) -> Any:
    # Whole seconds, as an Integer, since its sums are faster.
    return cast(func.date_part(literal("epoch", Text()), _moment(end) - starts), Integer())


# --- adding up -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Group:
    """A group, or the report itself (`by` is None). `value` is an ID, a date, a flag or a tag.

    `path` are the keys of the groups around it and its own; of a tag, that in which equal tags are
    equal. `request` is what was passed to `add_up`.
    """

    by: GroupBy | None
    value: Any
    path: tuple[Any, ...] = ()
    request: Any = None
    seconds: int = 0
    billable_seconds: int = 0
    count: int = 0
    groups: list[Group] = field(default_factory=list)


def add_up(
    rows: Iterable[Any], shape: Shape, shown: Callable[[GroupBy, Any], Any], request: Any = None
) -> Group:
    """The nested groups of the statement's rows. `shown` maps a key to the value to show, so that
    keys which the reader cannot distinguish become one group.
    """
    total = Group(None, None, request=request)
    found: dict[tuple[Any, ...], Group] = {}
    sums = [attrgetter(*columns) for columns in shape.sums]
    for row in rows:
        node = total
        path: tuple[Any, ...] = ()
        _add(node, sums[0](row))
        for level, by in enumerate(shape.group_by, 1):
            key = getattr(row, _KEYS[by])
            path = (*path, shown(by, key))
            inner = found.get(path)
            if inner is None:
                value = row.tag if by is GroupBy.TAG else path[-1]
                inner = found[path] = Group(by, value, path, request)
                node.groups.append(inner)
            node = inner
            _add(node, sums[level](row))
    for node in (total, *found.values()):
        node.groups.sort(key=_order)
    return total


def _add(node: Group, sums: tuple[int, int, int]) -> None:
    seconds, billable, count = sums
    node.seconds += seconds
    node.billable_seconds += billable
    node.count += count


def _order(group: Group) -> Any:
    """Chronological for days, weeks and months; otherwise by time spent, longest first."""
    if group.by in TIMES:
        return (group.value,)
    return (-group.seconds, str(group.value))


__all__ = ["MAX_GROUPS", "Group", "GroupBy", "Shape", "add_up", "parameters", "statement"]
