"""Importing time entries from CSV, with a result per row.

Rows are checked and created by the rules of `timeEntryCreate`. An entry that already exists is a
duplicate, so that a file can be imported again without creating anything twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import and_, or_, select

from db import models
from domain import rules, timezones
from domain.time import import_csv, import_values
from domain.time import time_entry as domain
from domain.time.import_csv import Row
from domain.time.import_values import Notice, NoticeCode
from domain.time.time_values import checked_words
from domain.time.times import new_span
from domain.work import Work
from errors import Failure, collecting, each
from graph.core.errors import UserError
from graph.core.fields import BatchInfo, attribute, batch, derived
from graph.core.inputs import BulkOnError, MutationInput, defaulted, given, optional, required
from graph.core.node import described_enum
from graph.core.scalars import TimeZone
from graph.kit.loading import load_objects
from graph.kit.mutation import MutationPayload, Outcome, PayloadValue, mutation, payload
from graph.types.time.time_entry import TimeEntry
from graph.types.time.time_import_rows import Reading, names_of

MAX_ROWS = 2_000


class Duplicates(Enum):
    """How to treat rows whose entries already exist."""

    SKIP = "SKIP"
    KEEP = "KEEP"


described_enum(
    Duplicates,
    "How an import treats duplicates: rows with the `id` of one of your entries, or with the "
    "same times and description.",
    {
        Duplicates.SKIP: "Skips them.",
        Duplicates.KEEP: "Creates entries from them, with new IDs.",
    },
    name="TimeEntryImportDuplicates",
)
described_enum(
    NoticeCode,
    "The subject of an import notice.",
    {
        NoticeCode.SKIPPED_TIME: "A local time that does not exist was moved forward.",
        NoticeCode.REPEATED_TIME: "A local time that occurs twice was resolved to one of the two.",
        NoticeCode.DUPLICATE: "The entry already exists.",
        NoticeCode.OTHER_USER: "The other program uses a different name or address for you.",
        NoticeCode.ACTIVITY_AS_TAG: "An activity that is not one of your tasks became a tag.",
    },
    name="TimeEntryImportNoticeCode",
)


@strawberry.input(description="Input for `timeEntryImport`.")
class TimeEntryImportInput(MutationInput):
    csv: str = required(
        f"The content of the file: at most {MAX_ROWS:,} rows, separated by commas, semicolons or "
        "tabs. Columns are those of an export, in any order and case. Required are `start` with "
        "`end` or `durationSeconds`, or `day` with `durationSeconds`. `project` is a key or a "
        "name; `task` is a key like `WEB-42`, an ID or a title; `tags` are separated by "
        "semicolons. `projectName` and `taskTitle` are ignored; a `user` other than you is an "
        "error. Exports of Clockify, Toggl Track and Kimai (whose activities become tasks or "
        "else tags) are recognized by their header. Durations are seconds, `1:30`, `1:30:00`, "
        "hours (`1.50`) or `18:25 min`."
    )
    timezone: TimeZone | None = optional(
        "The time zone of times without an offset. Defaults to your own. A local time that "
        "the clock skips is moved forward by the gap; one that occurs twice is the first, "
        "unless the duration says otherwise. The row gets a notice in both cases."
    )
    dry_run: bool = strawberry.field(
        default=False,
        description="Only checks the rows, without creating anything.",
    )
    on_error: BulkOnError = strawberry.field(
        default=BulkOnError.ROLLBACK, description="What happens if a row fails."
    )
    duplicates: Duplicates = strawberry.field(
        default=Duplicates.SKIP,
        description="How to treat rows whose entries already exist.",
    )
    allow_over_24_hours: bool = defaulted(
        False, "Allows entries to last more than 24 hours, up to 366 days."
    )


@dataclass(frozen=True, slots=True)
class _Result:
    row: int
    entry_id: UUID | None
    errors: list[UserError]
    notices: list[Notice]


def _results(payload_: PayloadValue) -> list[_Result]:
    errors: dict[str, list[UserError]] = {}
    for error in payload_.errors:
        if error.path[:2] == ["input", "csv"] and len(error.path) > 2:
            errors.setdefault(error.path[2], []).append(error)
    return [
        _Result(
            row,
            None if key is None else UUID(str(key)),
            errors.get(str(row), []),
            [Notice(NoticeCode(code), *rest) for code, *rest in notices],
        )
        for row, key, notices in payload_.refs.get("rows") or ()
    ]


async def _entries(parents: Sequence[_Result], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.TimeEntry, [parent.entry_id for parent in parents])


@strawberry.type(description="A remark on a row that is not an error.")
class TimeEntryImportNotice:
    """Reads from a `Notice`."""

    code: NoticeCode = attribute("The subject of the notice.")
    column: str | None = attribute(
        "The column, as in the file's header; null if the notice is about the whole row."
    )
    message: str = attribute("The notice, as a sentence.")


@strawberry.type(description="The result of one row.")
class TimeEntryImportResult:
    """Reads from a `_Result`."""

    row: int = attribute("The number of the row as a spreadsheet shows it; the header is row 1.")
    time_entry: TimeEntry | None = batch(
        _entries, "The new entry. Null if the row failed or nothing was created."
    )
    errors: list[UserError] = attribute("Errors of this row; empty if it is valid.")
    notices: list[TimeEntryImportNotice] = attribute("Notices about this row.")


@payload(
    "Payload of `timeEntryImport`, with a result per row. `errors` contains the errors of all "
    "rows, each with the row in its path."
)
class TimeEntryImportPayload(MutationPayload):
    done_count: int = derived(
        (), lambda value: value.refs.get("done", 0), "The number of entries that were created."
    )
    valid_count: int = derived(
        (),
        lambda value: value.refs.get("good", 0),
        "The number of valid rows; in a dry run, the number of entries that would be created.",
    )
    duplicate_count: int = derived(
        (),
        lambda value: value.refs.get("duplicates", 0),
        "The number of rows whose entries already exist. Skipped rows do not count in "
        "`validCount`.",
    )
    results: list[TimeEntryImportResult] = derived(
        (), _results, "One result per row, in the order of the file. Empty rows are ignored."
    )


# --- duplicates ----------------------------------------------------------------------------------

_Mark = tuple[Any, ...]


async def _duplicates(
    work: Work, items: Sequence[domain.NewTimeEntry | Failure]
) -> dict[int, UUID]:
    """The viewer's entry that each item duplicates, by the item's index."""
    entry = models.TimeEntry
    marks = [None if isinstance(item, Failure) else _mark(work, item) for item in items]
    wanted = {item.id for item in items if isinstance(item, domain.NewTimeEntry) and item.id}
    starts = {mark[0] for mark in marks if mark is not None and mark[2] is None}
    days = {mark[2] for mark in marks if mark is not None and mark[2] is not None}
    rows = await work.session.execute(
        select(entry.id, entry.started_at, entry.ended_at, entry.day, entry.description).where(
            entry.user_id == work.viewer.require(),
            or_(
                entry.id.in_(wanted),
                and_(entry.day.is_(None), entry.started_at.in_(starts)),
                entry.day.in_(days),
            ),
        )
    )
    by_id: dict[UUID, UUID] = {}
    by_mark: dict[_Mark, UUID] = {}
    for id_, start, end, day, description in rows:
        by_id[id_] = id_
        if end is not None:
            by_mark[_marked(start, end, day, description)] = id_
    found = {}
    for index, (item, mark) in enumerate(zip(items, marks, strict=True)):
        if isinstance(item, Failure):
            continue
        same = by_id.get(item.id) if item.id is not None else None
        same = same or (by_mark.get(mark) if mark is not None else None)
        if same is not None:
            found[index] = same
    return found


def _mark(work: Work, item: domain.NewTimeEntry) -> _Mark | None:
    """What makes two entries of one user equal; None if the item is not valid."""
    try:
        span = new_span(work, item.time, allow_over_24_hours=item.allow_over_24_hours)
        description = checked_words({"description": item.description})["description"]
    except Failure:
        return None
    return _marked(span.started_at, span.ended_at, span.day, description)


def _marked(start: Any, end: Any, day: dt.date | None, description: str | None) -> _Mark:
    # The start of an entry with a day has no meaning.
    return (None if day else start, end - start, day, description)


# --- the mutation --------------------------------------------------------------------------------

# The columns from which each domain field is read; the first one that the file has is used.
_COLUMNS: Mapping[str, Sequence[str]] = {
    "started_at": ("start", "startTime", "startDate"),
    "ended_at": ("end", "endTime", "duration", "hours"),
    "duration": ("duration", "hours"),
    "day": ("day", "startDate"),
    "project_id": ("project",),
    "task_id": ("task", "activity"),
}


async def _import(work: Work, data: TimeEntryImportInput) -> Outcome:
    zone_name = given(data.timezone)
    zone = timezones.zone(rules.timezone(zone_name or work.viewer.timezone, ("timezone",)))
    rows = import_csv.parsed(data.csv, most=MAX_ROWS)
    # The lock keeps others from creating entries for the viewer until the commit.
    await domain.lock(work)
    reading = Reading(
        await names_of(work, rows),
        zone,
        import_values.is_day_first(rows),
        data.allow_over_24_hours,
    )
    items: list[domain.NewTimeEntry | Failure] = []
    notices: list[list[Notice]] = []
    for row in rows:
        try:
            with collecting() as problems:
                item, covered = reading.entry(row)
                if problems:
                    # The value rules run later, but not for a row that failed here: check its words
                    # now.
                    checked_words({"description": item.description, "tags": item.tags})
        except Failure as failure:
            items.append(failure)
            notices.append([])
        else:
            items.append(item)
            notices.append(covered)
    duplicates = await _duplicates(work, items)
    skips = data.duplicates is Duplicates.SKIP
    for index in duplicates:
        notices[index].append(_duplicate(skipped=skips))
        item_ = items[index]
        if not skips and isinstance(item_, domain.NewTimeEntry) and item_.id in duplicates.values():
            items[index] = replace(item_, id=None)
    wanted = [index for index in range(len(rows)) if not (skips and index in duplicates)]
    all_or_nothing = data.on_error is BulkOnError.ROLLBACK
    made = await domain.create_many(
        work, [items[index] for index in wanted], all_or_nothing=all_or_nothing
    )
    results = dict(zip(wanted, made, strict=True))
    failures = [
        _placed(single, rows[index])
        for index, result in results.items()
        if isinstance(result, Failure)
        for single in each(result)
    ]
    undone = data.dry_run or (bool(failures) and all_or_nothing)
    keys = {
        index: None if undone or isinstance(result, Failure) else result.id
        for index, result in results.items()
    }
    refs = {
        "rows": [
            (
                row.number,
                keys.get(index),
                [(one.code.value, one.column, one.message) for one in notices[index]],
            )
            for index, row in enumerate(rows)
        ],
        "done": _count(keys.values()),
        "good": sum(not isinstance(result, Failure) for result in made),
        "duplicates": len(duplicates),
    }
    return Outcome(refs, failures, undo=undone)


def _duplicate(*, skipped: bool) -> Notice:
    done = "it was skipped" if skipped else "a copy was created"
    return Notice(NoticeCode.DUPLICATE, None, f"You already have this entry; {done}.")


def _count(keys: Any) -> int:
    return sum(key is not None for key in keys)


def _placed(failure: Failure, row: Row) -> Failure:
    """Add the row and column to the failure's path."""
    path: list[Any] = []
    # Of `time.range.startedAt`, the field alone.
    fields = failure.path[2:] if failure.path[:1] == ("time",) else failure.path
    for part in fields:
        columns = _COLUMNS.get(str(part), ())
        column = next((name for name in columns if name in row.headers), None)
        path.append(part if not columns else row.headers[column] if column else columns[0])
    failure.path = tuple(path)
    return failure.under("csv", row.number)


@strawberry.type
class TimeEntryImportMutation:
    time_entry_import: TimeEntryImportPayload = mutation(
        _import,
        TimeEntryImportInput,
        "Creates time entries of your own from CSV; the rules of `timeEntryCreate` apply to "
        "each row. You can import a file again: existing entries are skipped.",
    )
