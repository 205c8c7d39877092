"""Entries as CSV (RFC 4180: comma, quotes where needed, CRLF); `domain.time.import_csv` reads them.

A cell that a spreadsheet would run as a formula gets an apostrophe in front, which makes it text.
So does a cell that differs from such a cell only by leading apostrophes, so that reading removes
exactly what writing added. Tags share one cell, separated by semicolons; a semicolon or backslash
in a tag is escaped with a backslash.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable
from uuid import UUID

from domain.time.export_rows import Line

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
    # The entry's original times, if it was cut to the days of the export.
    "originalStart",
    "originalEnd",
)
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_DEFUSED = re.compile(r"'+[=+\-@\t\r\n]")
# The tokens of a cell of tags: every character belongs to exactly one token.
_PIECE = re.compile(r"[^;\\]+|\\.?|;", re.DOTALL)


def defused(cell: str) -> str:
    """Make a cell safe for spreadsheets: text instead of a formula."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def meant(cell: str) -> str:
    """Undo `defused`."""
    return cell[1:] if _DEFUSED.match(cell) else cell


def header() -> str:
    """The header line."""
    return _written([COLUMNS])


def lines(entries: Iterable[Line], id_of: Callable[[str, UUID], str]) -> str:
    """The lines of some entries. `id_of` gives the global ID of a `time_entry` or `task`."""
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
        entry.user or "",
        entry.description or "",
        "true" if entry.is_billable else "false",
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
    parts: list[list[str]] = [[]]
    for piece in _PIECE.findall(cell):
        if piece == ";":
            parts.append([])
        else:
            parts[-1].append(piece.removeprefix("\\"))
    found = ("".join(part).strip() for part in parts)
    return [tag for tag in found if tag]
