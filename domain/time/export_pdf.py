"""A report as PDF: title, description, a chart of hours by day, the groups, totals.

Drawn page by page onto a canvas. Every row is one line high, so the number of pages is known before
the first one is drawn. The fonts are installed with the server (`domain.time.pdf_text` handles
scripts other than Latin, Greek and Cyrillic); letters that no font has are drawn as question marks.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import font_roboto  # type: ignore[import-untyped]  # it names its files and no more
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

import texts
from db.models import WeekDay
from domain.time import pdf_text

_WIDTH, _HEIGHT = A4
_MARGIN = 48.0
_ROW = 15.0
_TOP = _HEIGHT - _MARGIN
_BOTTOM = _MARGIN + 18
_CHART_HEIGHT = 150.0
_INDENT = 14.0
# The right edges of the number columns.
_HOURS, _BILLABLE, _COUNT = _WIDTH - _MARGIN - 110, _WIDTH - _MARGIN - 45, _WIDTH - _MARGIN
_INK, _FAINT, _LINE = HexColor("#1f2937"), HexColor("#6b7280"), HexColor("#e5e7eb")
_BAR, _SHADE = HexColor("#3b82f6"), HexColor("#f3f4f6")
_MOST_BARS = 92
_LABELS = {"month": "%Y-%m", "year": "%Y"}
# The maximum number of days in each.
_UNITS = {"week": 7, "month": 31}


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the table: a group, at its depth from 0."""

    depth: int
    name: str
    seconds: int
    billable_seconds: int
    count: int


@dataclass(frozen=True, slots=True)
class Paper:
    """The content of the document. `days` are the seconds of each day that has any, in order. The
    chart covers `first` to `last`; where these are None, the first and last of `days`.
    """

    title: str
    about: Sequence[str]
    days: Sequence[tuple[dt.date, int]]
    first: dt.date | None
    last: dt.date | None
    week_start: WeekDay
    groups: Sequence[Entry]
    total: Entry


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """The document is no longer wanted."""


def write(
    paper: Paper,
    file: BinaryIO,
    fonts: Sequence[Path] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Write the document. `fonts` are searched before those of the server. `stopped` is asked
    before each page, of which the longest report has a thousand; raises `Stopped`.
    """
    with pdf_text.using(fonts):
        _write(paper, file, stopped)


def _write(paper: Paper, file: BinaryIO, stopped: Callable[[], bool]) -> None:
    _register()
    canvas = Canvas(file, pagesize=A4, pageCompression=1)
    canvas.setTitle(paper.title)
    canvas.setAuthor("Taskloom")
    top = _HEIGHT - _MARGIN - 24 - 14 * len(paper.about) - 12
    if paper.days:
        top -= _CHART_HEIGHT + 40
    pages = _pages(len(paper.groups) + 1, top)
    rows = iter([*paper.groups, paper.total])
    for number, count in enumerate(pages, 1):
        if stopped():
            raise Stopped
        y = _TOP
        if number == 1:
            y = _heading(canvas, paper)
            if paper.days:
                y = _chart(canvas, paper, y)
        y = _table_head(canvas, y)
        for index in range(count):
            row = next(rows)
            y = _table_row(canvas, row, y, shaded=index % 2 == 1, total=row is paper.total)
        _foot(canvas, paper.title, number, len(pages))
        canvas.showPage()
    canvas.save()


def _pages(rows: int, first_top: float) -> list[int]:
    """The number of rows on each page."""
    first = int((first_top - _BOTTOM) // _ROW) - 1
    others = int((_TOP - _BOTTOM) // _ROW) - 1
    counts = [min(rows, first)]
    rows -= counts[0]
    while rows > 0:
        counts.append(min(rows, others))
        rows -= counts[-1]
    return counts


def _heading(canvas: Any, paper: Paper) -> float:
    y = _TOP - 18
    _text(canvas, _MARGIN, y, paper.title, bold=True, size=18)
    y -= 6
    for line in paper.about:
        y -= 14
        _text(canvas, _MARGIN, y, _fitted(line, 9, _WIDTH - 2 * _MARGIN), size=9, ink=_FAINT)
    return y - 12


def _chart(canvas: Any, paper: Paper, y: float) -> float:
    unit, bars = _bars(paper)
    _text(canvas, _MARGIN, y - 10, f"Hours by {unit}", bold=True, size=10)
    base, left, right = y - 10 - _CHART_HEIGHT, _MARGIN + 30, _WIDTH - _MARGIN
    most = max(seconds for _, seconds in bars) / 3600
    step = _step(most)
    lines = max(1, -int(-most // step))
    high = _CHART_HEIGHT - 24
    canvas.setLineWidth(0.5)
    for index in range(lines + 1):
        level = base + high * index / lines
        canvas.setStrokeColor(_LINE)
        canvas.line(left, level, right, level)
        _text(canvas, left - 6, level - 3, f"{step * index:g} h", size=7, ink=_FAINT, right=True)
    slot = (right - left) / len(bars)
    canvas.setFillColor(_BAR)
    for index, (_, seconds) in enumerate(bars):
        tall = high * (seconds / 3600) / (step * lines)
        canvas.rect(left + slot * (index + 0.15), base, slot * 0.7, tall, stroke=0, fill=1)
    every = -(-len(bars) // max(1, int((right - left) // 46)))
    for index in range(0, len(bars), every):
        day = bars[index][0]
        shown = f"{day:{_LABELS.get(unit, '%m-%d')}}"
        _text(canvas, left + slot * (index + 0.15), base - 10, shown, size=7, ink=_FAINT)
    return base - 30


def _bars(paper: Paper) -> tuple[str, list[tuple[dt.date, int]]]:
    """One bar per day, without gaps; or per week, month or year if there are too many days."""
    days, week_start = paper.days, paper.week_start
    found = dict(days)
    first, last = paper.first or days[0][0], paper.last or days[-1][0]
    span = (last - first).days + 1
    if span <= _MOST_BARS:
        every = [first + dt.timedelta(days=n) for n in range(span)]
        return "day", [(day, found.get(day, 0)) for day in every]
    unit = next((unit for unit, length in _UNITS.items() if span <= _MOST_BARS * length), "year")
    sums: dict[dt.date, int] = {}
    for day in _all_units(first, last, unit, week_start):
        sums.setdefault(day, 0)
    for day, seconds in days:
        sums[_unit_of(day, unit, week_start)] += seconds
    return unit, sorted(sums.items())


def _all_units(first: dt.date, last: dt.date, unit: str, week_start: WeekDay) -> Iterator[dt.date]:
    day = _unit_of(first, unit, week_start)
    while day <= last:
        yield day
        day = _unit_of(day + dt.timedelta(days=_UNITS.get(unit, 366)), unit, week_start)


def _unit_of(day: dt.date, unit: str, week_start: WeekDay) -> dt.date:
    if unit == "year":
        return day.replace(month=1, day=1)
    if unit == "month":
        return day.replace(day=1)
    return day - dt.timedelta(days=(day.isoweekday() - week_start) % 7)


def _step(most: float) -> float:
    """A round number of hours between the lines of the chart, so that there are at most five."""
    step = 0.1
    for factor in (2.5, 2, 2) * 20:
        if most / step <= 5:
            break
        step *= factor
    return round(step, 6)


def _table_head(canvas: Any, y: float) -> float:
    y -= _ROW
    for x, name in ((_HOURS, "Time"), (_BILLABLE, "Billable"), (_COUNT, "Entries")):
        _text(canvas, x, y + 4, name, bold=True, size=8, ink=_FAINT, right=True)
    _text(canvas, _MARGIN, y + 4, "Group", bold=True, size=8, ink=_FAINT)
    canvas.setStrokeColor(_INK)
    canvas.setLineWidth(0.7)
    canvas.line(_MARGIN, y, _WIDTH - _MARGIN, y)
    return y


def _table_row(canvas: Any, row: Entry, y: float, *, shaded: bool, total: bool) -> float:
    y -= _ROW
    bold = total or row.depth == 0
    if shaded and not total:
        canvas.setFillColor(_SHADE)
        canvas.rect(_MARGIN, y, _WIDTH - 2 * _MARGIN, _ROW, stroke=0, fill=1)
    if total:
        canvas.setStrokeColor(_INK)
        canvas.line(_MARGIN, y + _ROW, _WIDTH - _MARGIN, y + _ROW)
    left = _MARGIN + _INDENT * row.depth
    name = _fitted(row.name, 9, _HOURS - 60 - left, bold=bold)
    _text(canvas, left, y + 4, name, bold=bold, size=9)
    for x, text in (
        (_HOURS, hours(row.seconds)),
        (_BILLABLE, hours(row.billable_seconds)),
        (_COUNT, f"{row.count:,}"),
    ):
        _text(canvas, x, y + 4, text, bold=bold, size=9, right=True)
    return y


def _foot(canvas: Any, title: str, number: int, pages: int) -> None:
    _text(canvas, _MARGIN, _MARGIN - 10, _fitted(title, 8, 300), size=8, ink=_FAINT)
    place = f"Page {number:,} of {pages:,}"
    _text(canvas, _WIDTH - _MARGIN, _MARGIN - 10, place, size=8, ink=_FAINT, right=True)


def hours(seconds: int) -> str:
    """`12:34:56`: hours, minutes, seconds."""
    return f"{seconds // 3600:,}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"


def _text(
    canvas: Any,
    x: float,
    y: float,
    text: str,
    *,
    bold: bool = False,
    size: float,
    ink: Any = _INK,
    right: bool = False,
) -> None:
    canvas.setFillColor(ink)
    text = _drawable(text)
    if right:
        x -= _width(text, size, bold)
    for run in _runs(text):
        if run.font is None:
            canvas.setFont(_font(bold), size)
            canvas.drawString(x, y, run.text)
            x += _own_width(run.text, size, bold)
            continue
        shaped = pdf_text.shaped(run.text, run.font, bold=bold, is_rtl=run.is_rtl)
        path = canvas.beginPath()
        pdf_text.draw(path, shaped, x, y, size)
        canvas.drawPath(path, stroke=0, fill=1)
        x += shaped.advance * size / shaped.units


def _fitted(text: str, size: float, width: float, *, bold: bool = False) -> str:
    """The longest beginning of a text that fits a width."""
    text = " ".join(_drawable(text).split())
    if _width(text, size, bold) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if _width(text[:middle] + "…", size, bold) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"


def _width(text: str, size: float, bold: bool) -> float:
    total = 0.0
    for run in _runs(text):
        if run.font is None:
            total += _own_width(run.text, size, bold)
        else:
            shaped = pdf_text.shaped(run.text, run.font, bold=bold, is_rtl=run.is_rtl)
            total += shaped.advance * size / shaped.units
    return total


def _runs(text: str) -> list[pdf_text.Run]:
    known = _letters()
    if all(ord(letter) in known for letter in text):
        return [pdf_text.Run(text, None, is_rtl=False)]
    return pdf_text.runs(text, lambda letter: ord(letter) in known)


def _own_width(text: str, size: float, bold: bool) -> float:
    return float(pdfmetrics.stringWidth(text, _font(bold), size))


def _font(bold: bool) -> str:
    return "Report-Bold" if bold else "Report"


def _drawable(text: str) -> str:
    """A text with only letters that a font has; a letter without its accents is the second
    choice.
    """
    known = _letters()
    found = []
    for letter in texts.normalized(text):
        if ord(letter) in known or pdf_text.has(letter):
            found.append(letter)
            continue
        plain = texts.normalized(letter, "NFD")[0]
        found.append(plain if ord(plain) in known else "?")
    return "".join(found)


@lru_cache(maxsize=1)
def _letters() -> frozenset[int]:
    font: Any = pdfmetrics.getFont("Report")
    return frozenset(font.face.charToGlyph)


@lru_cache(maxsize=1)
def _register() -> None:
    folder = Path(font_roboto.__file__).parent / "files"
    for name, file in (("Report", "Roboto-Regular.ttf"), ("Report-Bold", "Roboto-Bold.ttf")):
        pdfmetrics.registerFont(TTFont(name, str(folder / file)))
