"""Reads time entries from CSV: exports of Taskloom, Clockify, Toggl Track and Kimai.

The separator (comma, semicolon or tab) and the layout are detected from the header line; the case
and order of columns do not matter. In every layout a `Row` has its cells by the names in `COLUMNS`;
`domain.time.import_values` parses them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from domain.time import export_csv
from errors import BadInput, ErrorCode, Failure

# A start is `start`, or a date and a time in two columns. A whole number is seconds in `duration`
# and hours in `hours`.
COLUMNS = (
    *("id", "start", "end", "day", "startDate", "startTime", "endDate", "endTime"),
    *("duration", "hours", "project", "task", "activity", "description", "billable", "tags"),
    *("user", "username", "email"),
)


class Layout(Enum):
    """The program whose columns a file has."""

    TASKLOOM = "Taskloom"
    # Clockify and Toggl Track use the same names for the columns that are read.
    TRACKER = "Clockify or Toggl Track"
    KIMAI = "Kimai"


_OWN = {name.lower(): name for name in ("id", "start", "end", "day", "project", "task", "user")}
_OWN |= {name: name for name in ("description", "billable", "tags", "duration")}
_OWN |= {"durationseconds": "duration"}
# Columns of exports that are ignored.
_OWN_REST = {name.lower() for name in export_csv.COLUMNS} - set(_OWN)
_COMMON = ("project", "description", "billable", "tags", "user", "username", "email", "duration")
_TRACKER = {name: name for name in (*_COMMON, "task")} | {
    "start date": "startDate",
    "start time": "startTime",
    "end date": "endDate",
    "end time": "endTime",
    "duration (h)": "duration",
    "duration (decimal)": "hours",
}
_KIMAI = {name: name for name in (*_COMMON, "activity")} | {
    "date": "startDate",
    "from": "startTime",
    "begin": "startTime",
    "to": "endTime",
    "end": "endTime",
}
_NAMES: Mapping[Layout, Mapping[str, str]] = {
    Layout.TASKLOOM: _OWN,
    Layout.TRACKER: _TRACKER,
    Layout.KIMAI: _KIMAI,
}
# Columns that identify the layout of another program.
_MARKS = {
    Layout.TRACKER: ({"start date"},),
    Layout.KIMAI: ({"date", "from"}, {"date", "begin"}, {"date", "duration", "activity"}),
}
_SEPARATORS = ",;\t"
_BREAKS = re.compile(r"[\t\r\n]+")


@dataclass(frozen=True, slots=True)
class Row:
    """A parsed line; `number` is its row in a spreadsheet, where the header is 1."""

    number: int
    layout: Layout
    cells: Mapping[str, str]
    # The file's name for each column.
    headers: Mapping[str, str]
    # Why the cells cannot be assigned to columns; None for a valid row.
    fault: str | None = None

    def get(self, column: str) -> str | None:
        """A cell, or None if it is empty or the column does not exist."""
        return self.cells.get(column) or None

    def header(self, column: str) -> str:
        """The file's name for a column."""
        return self.headers.get(column, column)

    def path(self, column: str) -> tuple[str, ...]:
        """The error path of a column."""
        return (self.header(column),)


def parsed(text: str, *, most: int) -> list[Row]:
    """The rows of a file. Raises `BadInput` if it is not CSV or lacks a required column."""
    text = text.removeprefix("\ufeff")
    _demand_decoded(text)
    first = 1
    separator = None
    if text[:4].lower() == "sep=" and text[4:5]:
        # A line that tells spreadsheet programs the separator.
        separator, text = text[4], text[5:].removeprefix("\r").removeprefix("\n")
        first = 2
    separator = separator or _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        header = _header([name.strip() for name in next(reader, [])])
        return list(_rows(reader, header, first, most))
    except csv.Error as error:
        raise BadInput(
            f"Line {reader.line_num + first - 1} is not valid CSV (RFC 4180): {error}.",
            path=("csv",),
        ) from None


def _demand_decoded(text: str) -> None:
    """Raise if the text was decoded wrongly from UTF-16, or from UTF-8 as Latin-1."""
    if "\0" in text or text.startswith(("ÿþ", "þÿ", "ï»¿")):
        raise BadInput(
            "The file was not decoded correctly. Save it as UTF-8 and read it as UTF-8.",
            path=("csv",),
        )


def _separator(text: str) -> str:
    """The separator that gives the header the most known names."""
    known = set().union(*_NAMES.values(), _OWN_REST)

    def count(separator: str) -> int:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        try:
            return sum(_plain(name) in known for name in next(reader, []))
        except csv.Error:
            return 0

    return max(_SEPARATORS, key=count)


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _layout(names: Sequence[str]) -> Layout:
    found = {_plain(name) for name in names}
    for layout, marks in _MARKS.items():
        if any(mark <= found for mark in marks):
            return layout
    return Layout.TASKLOOM


@dataclass(frozen=True, slots=True)
class _Header:
    """The layout, and the column of each cell in a row; None if the cell is ignored."""

    layout: Layout
    columns: Sequence[str | None]
    # The file's name for each column.
    names: Mapping[str, str]


def _header(names: Sequence[str]) -> _Header:
    layout = _layout(names)
    known = _NAMES[layout]
    columns = [known.get(_plain(name)) for name in names]
    if layout is Layout.TASKLOOM:
        for name, column in zip(names, columns, strict=True):
            if column is None and _plain(name) not in _OWN_REST:
                raise BadInput(
                    f"Unknown column “{name[:50]}”. Use the columns "
                    f"{', '.join(export_csv.COLUMNS)}, or those of an export of Clockify, Toggl "
                    "Track or Kimai.",
                    path=("csv",),
                )
    read = [column for column in columns if column is not None]
    for column in read:
        if read.count(column) > 1:
            twice = [names[i] for i, other in enumerate(columns) if other == column]
            raise BadInput(
                f"The columns {' and '.join(twice)} mean the same; keep one of them.", path=("csv",)
            )
    if not {"start", "day", "startDate"} & set(read):
        raise BadInput("The header must have a column start or day.", path=("csv",))
    called = {column: name for name, column in zip(names, columns, strict=True) if column}
    return _Header(layout, columns, called)


def _one_line(cell: str) -> str:
    """A cell without line breaks and the blanks around them."""
    return " ".join(filter(None, map(str.strip, _BREAKS.split(cell))))


def _rows(reader: Iterator[list[str]], header: _Header, first: int, most: int) -> Iterator[Row]:
    columns, layout = header.columns, header.layout
    count = 0
    for number, cells in enumerate(reader, first + 1):
        if not any(cell.strip() for cell in cells):
            continue
        count += 1
        if count > most:
            raise Failure(
                f"csv can contain at most {most:,} entries; split the file.",
                path=("csv",),
                code=ErrorCode.LIMIT_EXCEEDED,
                limit=most,
            )
        if len(cells) != len(columns):
            fault = f"This row has {len(cells)} cells but the header has {len(columns)} columns."
            yield Row(number, layout, {}, header.names, fault)
            continue
        clean = export_csv.meant if layout is Layout.TASKLOOM else str
        found = {
            # Entries have single-line text only.
            column: _one_line(clean(cell))
            for column, cell in zip(columns, cells, strict=True)
            if column is not None
        }
        yield Row(number, layout, found, header.names)
