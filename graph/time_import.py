"""Importing time entries from CSV: the columns that an export writes, a report for each row.

Rows are checked and made by the rules of `timeEntryCreate`. An entry that was imported before has
its id already, so that a file may be sent twice and nothing is there twice.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import func, select, tuple_

from auth import access
from db import models
from domain import export_csv, rules, timezones
from domain import time_entry as domain
from domain.export_csv import Row
from domain.timezones import Zone
from domain.work import Work
from errors import BadInput, Failure, NotFound, check, collecting, each, refuse
from graph import ids
from graph.errors import UserError
from graph.fields import BatchInfo, attribute, batch, derived
from graph.inputs import MutationInput, given, optional, required
from graph.loading import load_objects
from graph.mutation import Outcome, Payload, PayloadValue, mutation, payload
from graph.task_bulk import BulkOnError
from graph.time_entry import TimeEntry

MAX_ROWS = 2_000
_KEY = re.compile(r"([A-Z][A-Z0-9]{1,9})-([1-9][0-9]{0,8})")
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@strawberry.input(description="Time entries in CSV.")
class TimeEntryImportInput(MutationInput):
    """See the module."""

    csv: str = required(
        f"The file, at most {MAX_ROWS:,} rows, with the columns of an export in any order; needed "
        "are `start` with `end` or `durationSeconds`, or `day` with `durationSeconds`. `project` "
        "is a key, `task` a key like `WEB-42` or an id, `tags` are divided by semicolons. "
        "`projectName` and `taskTitle` are not looked at; a `user` other than you is refused."
    )
    timezone: str | None = optional(
        "The IANA zone of moments without an offset; yours if left out."
    )
    dry_run: bool = strawberry.field(
        default=False, description="Only say for each row what would become of it."
    )
    on_error: BulkOnError = strawberry.field(
        default=BulkOnError.ROLLBACK, description="What is done where a row fails."
    )
    force: bool | None = optional("True: let entries last more than 24 hours.")


@dataclass(frozen=True, slots=True)
class _Result:
    row: int
    entry_id: UUID | None
    errors: list[UserError]


def _results(payload_: PayloadValue) -> list[_Result]:
    errors: dict[str, list[UserError]] = {}
    for error in payload_.errors:
        if error.path[:2] == ["input", "csv"] and len(error.path) > 2:
            errors.setdefault(error.path[2], []).append(error)
    return [
        _Result(row, None if key is None else UUID(str(key)), errors.get(str(row), []))
        for row, key in payload_.refs.get("rows") or ()
    ]


async def _entries(parents: Sequence[_Result], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.TimeEntry, [parent.entry_id for parent in parents])


@strawberry.type(description="What became of one row, or would.")
class TimeEntryImportResult:
    """Reads from a `_Result`."""

    row: int = attribute("The row's number as a spreadsheet shows it; the header is row 1.")
    time_entry: TimeEntry | None = batch(
        _entries, "The new entry; null where the row failed, or nothing was done."
    )
    errors: list[UserError] = attribute("What stood in the way; empty where the row is good.")


@payload("A result for each row. `errors` has those of all rows, with the row in their path.")
class TimeEntryImportPayload(Payload):
    """`timeEntryImport`."""

    done_count: int = derived(
        (), lambda value: value.refs.get("done", 0), "The number of entries that were made."
    )
    good_count: int = derived(
        (),
        lambda value: value.refs.get("good", 0),
        "The number of rows that are good; in a dry run, those that would be made.",
    )
    results: list[TimeEntryImportResult] = derived(
        (), _results, "One for each row, in their order; empty rows are passed over."
    )


# --- reading rows --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Names:
    """What the file's keys stand for, as far as the viewer sees it."""

    username: str
    projects: Mapping[str, UUID]
    tasks: Mapping[tuple[str, int], UUID]


async def _names(work: Work, rows: Sequence[Row]) -> _Names:
    viewer = work.viewer
    keys = {key for row in rows if (key := row.get("project"))}
    matches = [match for row in rows if (match := _KEY.fullmatch(row.get("task") or ""))]
    wanted = {(match[1], int(match[2])) for match in matches}
    projects: dict[str, UUID] = {}
    tasks: dict[tuple[str, int], UUID] = {}
    project, task = models.Project, models.Task
    if keys:
        found = await work.session.execute(
            select(project.key, project.id).where(
                project.key.in_(keys), access.read(viewer, project)
            )
        )
        projects = {row.key: row.id for row in found}
    if wanted:
        rows_ = await work.session.execute(
            select(project.key, task.number, task.id)
            .join(project, project.id == task.project_id)
            .where(tuple_(project.key, task.number).in_(wanted), access.read(viewer, task))
        )
        tasks = {(key, number): id_ for key, number, id_ in rows_ if number is not None}
    username = await work.session.scalar(
        select(func.lower(models.User.username)).where(models.User.id == viewer.require())
    )
    return _Names(username or "", projects, tasks)


def _entry(row: Row, known: _Names, zone: Zone, *, force: bool) -> domain.NewTimeEntry:
    if row.fault is not None:
        raise BadInput(row.fault)
    user = row.get("user")
    if user is not None and user.lower() != known.username:
        refuse(BadInput("This time is somebody else's.", path=("user",)))
    day = _day(row.get("day"))
    ended = _moment(row, "end", zone)
    duration = _number(row)
    return domain.NewTimeEntry(
        project_id=_project(row.get("project"), known.projects),
        task_id=_task(row.get("task"), known.tasks),
        description=row.get("description"),
        started_at=_moment(row, "start", zone),
        ended_at=ended,
        # An export says both; the end is what counts.
        duration_seconds=None if ended is not None else duration,
        day=day,
        billable=_flag(row.get("billable")),
        tags=export_csv.tags_of(row.get("tags") or ""),
        id=ids.decode_new(models.TimeEntry, row.get("id"), ("id",)),
        force=force,
    )


@check()
def _moment(row: Row, name: str, zone: Zone) -> dt.datetime | None:
    text = row.get(name)
    if text is None:
        return None
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            "This is no moment: write 2026-11-20T09:30:00+01:00, or 2026-11-20 09:30.",
            path=(name,),
        ) from None
    return found if found.tzinfo is not None else timezones.moment_of(found, zone)


@check()
def _day(text: str | None) -> dt.date | None:
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise BadInput("This is no date: write 2026-11-20.", path=("day",)) from None


@check()
def _number(row: Row) -> int | None:
    text = row.get("durationSeconds")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadInput("This is no number of seconds.", path=("durationSeconds",))
    return int(text)


@check()
def _flag(text: str | None) -> bool:
    if text is None:
        return False
    try:
        return _WORDS[text.lower()]
    except KeyError:
        raise BadInput("Write true or false.", path=("billable",)) from None


@check()
def _project(key: str | None, known: Mapping[str, UUID]) -> UUID | None:
    if key is None:
        return None
    if key not in known:
        raise NotFound("project", path=("project",))
    return known[key]


@check()
def _task(text: str | None, known: Mapping[tuple[str, int], UUID]) -> UUID | None:
    if text is None:
        return None
    match = _KEY.fullmatch(text)
    if match is None:
        return ids.decode(models.Task, text, ("task",))
    found = known.get((match[1], int(match[2])))
    if found is None:
        raise NotFound("task", path=("task",))
    return found


# --- the mutation --------------------------------------------------------------------------------

# The columns that the domain's names of fields stand in.
_COLUMNS = {
    "started_at": "start",
    "ended_at": "end",
    "duration_seconds": "durationSeconds",
    "project_id": "project",
    "task_id": "task",
}


async def _import(work: Work, data: TimeEntryImportInput) -> Outcome:
    zone_name = given(data.timezone)
    zone = timezones.zone(rules.timezone(zone_name or work.viewer.timezone, ("timezone",)))
    rows = export_csv.parsed(data.csv, most=MAX_ROWS)
    known = await _names(work, rows)
    items: list[domain.NewTimeEntry | Failure] = []
    for row in rows:
        try:
            with collecting() as problems:
                entry = _entry(row, known, zone, force=bool(given(data.force)))
                if problems:
                    domain.check_values(work, entry)
            items.append(entry)
        except Failure as failure:
            items.append(failure)
    all_or_nothing = data.on_error is BulkOnError.ROLLBACK
    results = await domain.create_many(work, items, all_or_nothing=all_or_nothing)
    failures = [
        _placed(single, row.number)
        for row, result in zip(rows, results, strict=True)
        if isinstance(result, Failure)
        for single in each(result)
    ]
    undone = data.dry_run or (bool(failures) and all_or_nothing)
    made = [
        (row.number, None if undone or isinstance(result, Failure) else result.id)
        for row, result in zip(rows, results, strict=True)
    ]
    refs = {
        "rows": made,
        "done": _count(key for _, key in made),
        "good": len(results) - sum(isinstance(result, Failure) for result in results),
    }
    return Outcome(refs, failures, undo=undone)


def _count(keys: Any) -> int:
    return sum(key is not None for key in keys)


def _placed(failure: Failure, row: int) -> Failure:
    """The failure with the row and column in which it stands."""
    path: Collection[str] = failure.path
    failure.path = tuple(_COLUMNS.get(part, part) for part in path)
    return failure.under("csv", row)


@strawberry.type
class TimeEntryImportMutation:
    """Root fields."""

    time_entry_import: TimeEntryImportPayload = mutation(
        _import,
        TimeEntryImportInput,
        "Make time entries of your own from CSV, by the rules of `timeEntryCreate` for each row.",
    )
