"""Write exports: as the user who requested them, with the memory of one chunk.

Entries are read from a database cursor in chunks and written to a temporary file, which is stored
when complete. If the worker is killed, another one writes the export from the beginning, and a
sweep removes what the first one stored.
"""

from __future__ import annotations

import asyncio
import codecs
import datetime as dt
import tempfile
import textwrap
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, BinaryIO
from uuid import UUID

import orjson
from graphql import GraphQLError
from sqlalchemy import Select

from auth.viewer import Viewer
from db import models
from db.base import Base
from db.models import ExportFormat, ReportExport, User
from db.read import Snapshot
from db.row_security import viewing
from db.statements import Statement
from domain import timezones
from domain.time import export as domain
from domain.time import export_csv, export_pdf, export_rows
from domain.time.report import Group, GroupBy, Shape
from domain.work import Work
from errors import Failure
from files.store import ORIGINAL, open_store
from graph.core import ids
from graph.kit.stored_input import from_json
from graph.schema import schema
from graph.types.time.report import TimeReportFilter, names, predicates, wanted_of
from jobs import filter_text
from jobs.graph import viewer_of
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext
from settings import font_files

MAX_GROUPS = 50_000
_CHUNK_SIZE = 500
# Letters in a line of the PDF's heading, and how many of these a filter takes.
_LINE, _MOST_LINES = 105, 8
_PREFIXES = {"time_entry": models.TimeEntry, "task": models.Task}


class _Cancelled(Exception):  # noqa: N818 - nothing went wrong
    """The user cancelled the export."""


async def write_export(context: WorkerContext, job: RunningJob) -> None:
    """Write the file of one export."""
    export_id = UUID(job.payload["export_id"])
    if not await context.do("export", lambda work: domain.advance(work, export_id, 0)):
        return

    async def reserve(work: Work) -> tuple[ReportExport, User, UUID | None]:
        row = await work.session.get_one(ReportExport, export_id)
        user = await work.session.get_one(User, row.user_id)
        if user.is_active:
            return row, user, await domain.reserve(work, row)
        await domain.fail(work, export_id, "The account was deactivated.")
        return row, user, None

    row, user, file_id = await context.do("export", reserve)
    if file_id is None:
        return
    try:
        maker = _Maker(context, row, viewer_of(user))
    except (Failure, GraphQLError) as error:
        reason = f"The filter is no longer valid: {error}"
        await context.do("export", lambda work: domain.fail(work, export_id, reason))
        return
    with tempfile.TemporaryFile() as file:
        try:
            with viewing(maker.viewer.row_viewer):
                await maker.write(file)
        except _Cancelled:
            return
        except Failure as failure:
            reason = failure.message
            await context.do("export", lambda work: domain.fail(work, export_id, reason))
            return
        size = file.tell()
        file.seek(0)
        await open_store(context.settings).put(file_id, ORIGINAL, file)

    async def finish(work: Work) -> None:
        await domain.finish(work, export_id, file_id, size, maker.rights)

    await context.do("export", finish)


class _Maker:
    """One export that is being written."""

    def __init__(self, context: WorkerContext, row: ReportExport, viewer: Viewer) -> None:
        self.context = context
        self.row = row
        self.viewer = viewer
        self.reader: Snapshot
        self.rights: domain.Rights
        filter_ = None if row.filter is None else from_json(schema, TimeReportFilter, row.filter)
        group_by = [GroupBy[name] for name in row.group_by]
        self.wanted = wanted_of(viewer, filter_, group_by, row.timezone, row.week_start)
        self.total = 0
        self.reported = 0

    async def write(self, file: BinaryIO) -> None:
        """Write the whole file, as of one moment."""
        async with self.context.database.reader.snapshot() as self.reader:
            # Progress is measured by the number of entries.
            whole = replace(self.wanted, shape=replace(self.wanted.shape, group_by=()))
            self.total = (await whole.read(self.reader, self.viewer)).count
            self.rights = await self._rights()
            if self.row.format is ExportFormat.CSV:
                await self._csv(file)
                return
            if self.row.format is ExportFormat.JSON:
                await self._json(file)
                return
            paper = await self._paper()
        folder = self.context.settings.exports.fonts_dir
        fonts = [] if folder is None else font_files(folder)
        stop = threading.Event()
        try:
            await asyncio.to_thread(export_pdf.write, paper, file, fonts, stop.is_set)
        finally:
            # A worker that is stopped waits for its threads.
            stop.set()

    # --- formats ---------------------------------------------------------------------------------

    async def _csv(self, file: BinaryIO) -> None:
        if self.row.bom:
            file.write(codecs.BOM_UTF8)
        file.write(export_csv.header().encode())
        async with aclosing(self._entries()) as chunks:
            async for lines in chunks:
                file.write(export_csv.lines(lines, _id_of).encode())

    async def _json(self, file: BinaryIO) -> None:
        report = await self.wanted.read(self.reader, self.viewer, MAX_GROUPS)
        shown = await self._shown(report)
        head = {
            "generatedAt": self.reader.moment,
            "timezone": self.wanted.timezone,
            "filter": self.row.filter,
            "groupBy": self.row.group_by,
            **_sums(report),
            "groups": [_tree(group, shown) for group in report.groups],
        }
        # The entries follow inside the same object, so its closing brace is put off.
        file.write(orjson.dumps(head)[:-1] + b',"entries":[')
        separator = b"\n"
        async with aclosing(self._entries()) as chunks:
            async for lines in chunks:
                for line in lines:
                    file.write(separator + orjson.dumps(_entry(line)))
                    separator = b",\n"
        file.write(b"\n]}\n")

    async def _paper(self) -> export_pdf.Paper:
        report = await self.wanted.read(self.reader, self.viewer, MAX_GROUPS)
        await self._notify(30)
        days = await self._days()
        shown = await self._shown(report)
        await self._notify(50)

        def entry(depth: int, name: str, group: Group) -> export_pdf.Entry:
            return export_pdf.Entry(depth, name, group.seconds, group.billable_seconds, group.count)

        return export_pdf.Paper(
            title="Time report",
            about=await self._about(),
            days=days,
            first=self.wanted.first,
            last=self.wanted.last,
            week_start=self.wanted.week_start,
            groups=[entry(depth, _name(group, shown), group) for depth, group in _walk(report)],
            total=entry(0, "Total", report),
        )

    async def _about(self) -> list[str]:
        wanted = self.wanted
        first, last = wanted.first, wanted.last
        lines = [
            f"{first or 'The beginning'} to {last or 'now'}" if first or last else "All time",
            f"Time zone: {wanted.timezone}",
        ]
        if self.row.filter and "entries" in self.row.filter:
            text = await self._filter_text(self.row.filter["entries"])
            lines += textwrap.wrap(text, _LINE, max_lines=_MOST_LINES, placeholder=" …")
        if self.row.group_by:
            lines.append(f"Grouped by {', '.join(name.lower() for name in self.row.group_by)}")
        made = self.reader.moment.astimezone(timezones.zone(wanted.timezone))
        lines.append(f"Made on {made:%Y-%m-%d %H:%M} ({wanted.timezone})")
        return lines

    async def _filter_text(self, entries: dict[str, Any]) -> str:
        """The filter of entries as a sentence, with names in place of ids."""
        keys: dict[type[Base], dict[UUID, str]] = {}
        for text in filter_text.ids_in(entries):
            model, key = ids.split(text, ())
            if model in {models.Project, models.Task, models.User}:
                keys.setdefault(model, {})[key] = text
        shown: dict[str, str] = {}
        for model, texts in keys.items():
            named = await names(self.reader, self.viewer, model, texts)
            if model is models.Project:
                self.rights.seen_project_ids.update(named)
            elif model is models.Task:
                self.rights.seen_task_ids.update(named)
            shown |= {texts[key]: name for key, name in named.items()}
        return filter_text.sentence(entries, shown.get)

    async def _days(self) -> list[tuple[dt.date, int]]:
        shape = Shape((GroupBy.DAY,), self.wanted.shape.has_first, self.wanted.shape.has_last)
        by_day = replace(self.wanted, shape=shape)
        report = await by_day.read(self.reader, self.viewer, MAX_GROUPS)
        return [(group.value, group.seconds) for group in report.groups]

    # --- entries ---------------------------------------------------------------------------------

    @property
    def _days_wanted(self) -> export_rows.Days:
        wanted = self.wanted
        return export_rows.Days(wanted.first, wanted.last, timezones.zone(wanted.timezone))

    def _of_entries(
        self, query: Callable[..., Select[*tuple[Any, ...]]]
    ) -> tuple[Statement, dict[str, Any]]:
        """A query of `export_rows` for the requested entries, with its parameters."""
        wanted, viewer = self.wanted, self.viewer
        statement = query(
            viewer,
            predicates(wanted.filter_shape, viewer.shape),
            has_first=wanted.shape.has_first,
            has_last=wanted.shape.has_last,
        )
        return Statement(statement), {**wanted.params(viewer), **self._days_wanted.params}

    async def _rights(self) -> domain.Rights:
        (row,) = await self.reader.fetch(*self._of_entries(export_rows.rights))
        return domain.Rights(
            set(row.managed_project_ids), set(row.seen_project_ids), set(row.seen_task_ids)
        )

    async def _entries(self) -> AsyncGenerator[list[export_rows.Line], None]:
        statement, params = self._of_entries(export_rows.statement)
        days = self._days_wanted
        written = 0
        async with aclosing(self.reader.stream(statement, params, chunk=_CHUNK_SIZE)) as chunks:
            async for rows in chunks:
                yield [days.line(row) for row in rows]
                written += len(rows)
                await self._notify(min(99, 100 * written // max(self.total, 1)))

    async def _notify(self, progress: int) -> None:
        """Report the progress, at every tenth, and check for cancellation."""
        if progress < self.reported + 10:
            return
        self.reported = progress
        export_id = self.row.id
        if not await self.context.do(
            "export", lambda work: domain.advance(work, export_id, progress)
        ):
            raise _Cancelled

    # --- groups ----------------------------------------------------------------------------------

    async def _shown(self, report: Group) -> dict[tuple[GroupBy, Any], str]:
        """The names of projects, tasks and people in the report."""
        keys: dict[GroupBy, set[UUID]] = {}
        for _, group in _walk(report):
            if group.by in {GroupBy.PROJECT, GroupBy.TASK, GroupBy.USER} and group.value:
                keys.setdefault(group.by, set()).add(group.value)
        models_of = {
            GroupBy.PROJECT: models.Project,
            GroupBy.TASK: models.Task,
            GroupBy.USER: models.User,
        }
        found: dict[tuple[GroupBy, Any], str] = {}
        for by, wanted in keys.items():
            named = await names(self.reader, self.viewer, models_of[by], wanted)
            found |= {(by, key): name for key, name in named.items()}
        return found


def _walk(group: Group, depth: int = 0) -> Iterator[tuple[int, Group]]:
    """A group's groups with their depths, each followed by its own."""
    for inner in group.groups:
        yield depth, inner
        yield from _walk(inner, depth + 1)


_NONE = {
    GroupBy.PROJECT: "No project",
    GroupBy.TASK: "No task",
    GroupBy.USER: "Somebody",
    GroupBy.TAG: "No tag",
}


def _name(group: Group, shown: dict[tuple[GroupBy, Any], str]) -> str:
    by, value = group.by, group.value
    assert by is not None, "the report itself has no name"
    if by is GroupBy.BILLABLE:
        return "Billable" if value else "Not billable"
    if by is GroupBy.WEEK:
        return f"Week of {value}"
    if by is GroupBy.MONTH:
        return f"{value:%Y-%m}"
    if isinstance(value, UUID):
        return shown.get((by, value), _NONE[by])
    return _NONE[by] if value is None else str(value)


def _sums(group: Group) -> dict[str, int]:
    return {
        "seconds": group.seconds,
        "billable": group.billable_seconds,
        "count": group.count,
    }


def _tree(group: Group, shown: dict[tuple[GroupBy, Any], str]) -> dict[str, Any]:
    assert group.by is not None, "the report itself is not a group"
    value = group.value
    if isinstance(value, UUID):
        model = {GroupBy.PROJECT: models.Project, GroupBy.TASK: models.Task}.get(group.by)
        value = ids.encode(model or models.User, value)
    return {
        "by": group.by.name,
        "value": value,
        "name": _name(group, shown),
        **_sums(group),
        "groups": [_tree(inner, shown) for inner in group.groups],
    }


def _entry(line: export_rows.Line) -> dict[str, Any]:
    task = line.task_key
    return {
        "id": _id_of("time_entry", line.id),
        "start": None if line.day else line.starts.isoformat(),
        "end": None if line.day or line.ends is None else line.ends.isoformat(),
        "day": line.day,
        "originalStart": None if line.whole_starts is None else line.whole_starts.isoformat(),
        "originalEnd": None if line.whole_ends is None else line.whole_ends.isoformat(),
        "durationSeconds": line.seconds,
        "project": line.project_key,
        "projectName": line.project,
        "task": _id_of("task", task) if isinstance(task, UUID) else task,
        "taskTitle": line.task,
        "user": line.user,
        "description": line.description,
        "billable": line.is_billable,
        "tags": line.tags,
    }


def _id_of(prefix: str, value: UUID) -> str:
    return ids.encode(_PREFIXES[prefix], value)
