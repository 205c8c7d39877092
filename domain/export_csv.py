"""Entries as CSV (RFC 4180: comma, quotes where needed, CRLF), and back.

A cell that a spreadsheet would take for a formula gets an apostrophe in front, by which it stays
text; so does one that only differs from such a cell by apostrophes, so that reading takes off
exactly what writing put there. Tags stand in one cell with semicolons between; a semicolon or
backslash in a tag has a backslash before it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from domain.export_rows import Line
from errors import BadInput, ErrorCode, Failure

COLUMNS = (
    "id",
    "start",
    "end",
    "day",
    "durationSeconds",
    "project",
    "projectName",
    "task",
    "taskTitle",
    "user",
    "description",
    "billable",
    "tags",
    # The entry's own times, if it was cut to the days of the export.
    "originalStart",
    "originalEnd",
)
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_DEFUSED = re.compile(r"'+[=+\-@\t\r\n]")
_SPLIT = re.compile(r"((?:[^;\\]|\\.)*)(?:;|$)", re.DOTALL)


def defused(cell: str) -> str:
    """A cell that no spreadsheet runs."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def meant(cell: str) -> str:
    """What a cell said before it was defused."""
    return cell[1:] if _DEFUSED.match(cell) else cell


def header() -> str:
    """The first line."""
    return _written([COLUMNS])


def lines(entries: Iterable[Line], id_of: Callable[[str, UUID], str]) -> str:
    """The lines of some entries. `id_of` gives the global id of a `time_entry` or `task`."""
    return _written([defused(cell) for cell in _cells(entry, id_of)] for entry in entries)


def _cells(entry: Line, id_of: Callable[[str, UUID], str]) -> tuple[str, ...]:
    task = entry.task_key
    return (
        id_of("time_entry", entry.id),
        "" if entry.day else entry.starts.isoformat(),
        "" if entry.day or entry.ends is None else entry.ends.isoformat(),
        entry.day.isoformat() if entry.day else "",
        str(entry.seconds),
        entry.project_key or "",
        entry.project or "",
        id_of("task", task) if isinstance(task, UUID) else task or "",
        entry.task or "",
        entry.user,
        entry.description or "",
        "true" if entry.billable else "false",
        ";".join(re.sub(r"([;\\])", r"\\\1", tag) for tag in entry.tags),
        "" if entry.whole_starts is None else entry.whole_starts.isoformat(),
        "" if entry.whole_ends is None else entry.whole_ends.isoformat(),
    )


def _written(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def tags_of(cell: str) -> list[str]:
    """The tags in a cell."""
    found = (re.sub(r"\\(.)", r"\1", part) for part in _SPLIT.findall(cell))
    return [tag.strip() for tag in found if tag.strip()]


@dataclass(frozen=True, slots=True)
class Row:
    """A line that was read; `number` is that of the spreadsheet, in which the header is 1."""

    number: int
    cells: dict[str, str]
    # Why its cells cannot be told apart; None for a row as it should be.
    fault: str | None = None

    def get(self, name: str) -> str | None:
        """A cell, or None where it is empty or there is no such column."""
        return self.cells.get(name) or None


def parsed(text: str, *, most: int) -> list[Row]:
    """The rows of a file. Raises `BadInput` where it is no CSV, or lacks what an entry needs."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        _check_names(names)
        return list(_rows(reader, names, most))
    except csv.Error as error:
        raise BadInput(
            f"Line {reader.line_num} is not CSV as RFC 4180 has it: {error}.", path=("csv",)
        ) from None


def _check_names(names: list[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        raise BadInput(
            f"There is no column “{unknown[0][:50]}”; columns are {', '.join(COLUMNS)}.",
            path=("csv",),
        )
    if len(set(names)) != len(names):
        raise BadInput("A column stands twice in the first line.", path=("csv",))
    if not {"start", "day"} & set(names):
        raise BadInput("The first line has neither a column start nor day.", path=("csv",))


def _rows(reader: Iterator[list[str]], names: list[str], most: int) -> Iterator[Row]:
    for number, cells in enumerate(reader, 2):
        if not any(cells):
            continue
        if number > most + 1:
            raise Failure(
                f"At most {most:,} entries at once.", path=("csv",), code=ErrorCode.LIMIT_EXCEEDED
            )
        if len(cells) != len(names):
            fault = f"The header has {len(names)} columns, and this row {len(cells)}."
            yield Row(number, {}, fault)
            continue
        yield Row(
            number, {name: meant(cell).strip() for name, cell in zip(names, cells, strict=True)}
        )
