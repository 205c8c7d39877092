"""Text of any script in a PDF: runs that the document's font lacks are drawn as outlines.

HarfBuzz shapes a run (Arabic letters join, Devanagari vowels move), and its glyphs are drawn as
paths, from the operator's fonts (`using`) and those of the Noto family. Runs of both directions
follow the Unicode Bidirectional Algorithm as far as names need it, without embeddings. Outlined
text can be read but not selected.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

import uharfbuzz as hb  # type: ignore[import-untyped]  # it has no annotations

# By package and folder. Han characters use the Chinese font, or the Japanese one beside kana.
_FILES = {
    "arabic": ("justmytype_intl_rtl", "notosansarabic/NotoSansArabic[wdth,wght].ttf"),
    "hebrew": ("justmytype_intl_rtl", "notosanshebrew/NotoSansHebrew[wdth,wght].ttf"),
    "thai": ("justmytype_intl_sea", "notosansthai/NotoSansThai[wdth,wght].ttf"),
    "devanagari": (
        "justmytype_intl_south_asia",
        "notosansdevanagari/NotoSansDevanagari[wdth,wght].ttf",
    ),
    "bengali": ("justmytype_intl_south_asia", "notosansbengali/NotoSansBengali[wdth,wght].ttf"),
    "tamil": ("justmytype_intl_south_asia", "notosanstamil/NotoSansTamil[wdth,wght].ttf"),
    "telugu": ("justmytype_intl_south_asia", "notosanstelugu/NotoSansTelugu[wdth,wght].ttf"),
    "korean": ("justmytype_intl_cjk", "notosanskr/NotoSansKR[wght].ttf"),
    "chinese": ("justmytype_intl_cjk", "notosanssc/NotoSansSC[wght].ttf"),
    "japanese": ("justmytype_intl_cjk", "notosansjp/NotoSansJP[wght].ttf"),
}
# The operator's fonts, in search order.
_own: ContextVar[tuple[str, ...]] = ContextVar("fonts", default=())
_KANA = range(0x3040, 0x3100)
_HANGUL = range(0xAC00, 0xD7B0)
_RIGHT_TO_LEFT = {"R", "AL"}
_MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")
_MARKS = {"Mn", "Mc", "Me", "Cf"}


@dataclass(frozen=True, slots=True)
class Run:
    """Letters of one font and direction; `font` is None for the document's own, a script, or the
    path of a font of the operator's.
    """

    text: str
    font: str | None
    is_rtl: bool


@dataclass(frozen=True, slots=True)
class Shaped:
    """Glyphs with their offsets and advances, in units of the font."""

    font: Any
    glyphs: Sequence[tuple[int, int, int, int]]
    units: int

    @property
    def advance(self) -> int:
        """The total width."""
        return sum(advance for *_, advance in self.glyphs)


@contextmanager
def using(fonts: Sequence[Path]) -> Iterator[None]:
    """Search these fonts first, within the block."""
    token = _own.set(tuple(map(str, fonts)))
    try:
        yield
    finally:
        _own.reset(token)


def has(letter: str) -> bool:
    """Whether a font other than the document's has a letter."""
    return any(ord(letter) in _letters(name) for name in (*_own.get(), *_FILES))


def runs(text: str, is_own: Callable[[str], bool]) -> list[Run]:
    """The runs of a line in drawing order, from the left."""
    fonts = _fonts(text, is_own)
    levels = _levels(text)
    found: list[tuple[int, Run]] = []
    start = 0
    for (level, font), letters in groupby(zip(levels, fonts, strict=True)):
        length = len(list(letters))
        piece = text[start : start + length]
        is_rtl = level % 2 == 1
        if font is None and is_rtl:
            # The document's own font is drawn letter by letter from the left.
            piece = piece[::-1].translate(_MIRRORED)
        found.append((level, Run(piece, font, is_rtl)))
        start += length
    for level in range(max(levels, default=0), 0, -1):
        found = list(_reversed_from(found, level))
    return [run for _, run in found]


def _reversed_from(found: list[tuple[int, Run]], level: int) -> Iterator[tuple[int, Run]]:
    for is_deeper, part in groupby(found, key=lambda one: one[0] >= level):
        members = list(part)
        yield from reversed(members) if is_deeper else members


def _levels(text: str) -> list[int]:
    """The embedding level of each letter; odd levels read from right to left."""
    kinds = [unicodedata.bidirectional(letter) for letter in text]
    strong = [kind for kind in kinds if kind == "L" or kind in _RIGHT_TO_LEFT]
    base = int(bool(strong) and strong[0] in _RIGHT_TO_LEFT)
    levels: list[int | None] = []
    # The direction of each letter, as neutral neighbors see it.
    is_rtl: list[bool | None] = []
    last = "L" if not base else "R"
    for kind in kinds:
        if kind == "NSM" and levels:
            levels.append(levels[-1])
            is_rtl.append(is_rtl[-1])
            continue
        if kind == "L" or kind in _RIGHT_TO_LEFT:
            last = kind
        if kind in {"EN", "AN"}:
            is_rtl.append(last in _RIGHT_TO_LEFT)
            levels.append(2 if last in _RIGHT_TO_LEFT else base * 2)
        elif kind == "L" or kind in _RIGHT_TO_LEFT:
            is_rtl.append(kind != "L")
            levels.append(1 if kind != "L" else base * 2)
        else:
            is_rtl.append(None)
            levels.append(None)
    found = []
    for index, level in enumerate(levels):
        if level is not None:
            found.append(level)
            continue
        before = next((one for one in reversed(is_rtl[:index]) if one is not None), bool(base))
        after = next((one for one in is_rtl[index:] if one is not None), bool(base))
        found.append(base if before != after else 1 if before else base * 2)
    return found


def _fonts(text: str, is_own: Callable[[str], bool]) -> list[str | None]:
    order = _order(text)
    found: list[str | None] = []
    for letter in text:
        if found and (letter == " " or unicodedata.category(letter) in _MARKS):
            # A mark belongs to the letter before it, and a space does not end a run.
            found.append(found[-1])
        elif is_own(letter):
            found.append(None)
        else:
            found.append(next((name for name in order if ord(letter) in _letters(name)), None))
    return found


def _order(text: str) -> list[str]:
    has_kana = any(ord(letter) in _KANA for letter in text)
    has_hangul = any(ord(letter) in _HANGUL for letter in text)
    first = "japanese" if has_kana else "korean" if has_hangul else "chinese"
    return [*_own.get(), *list(_FILES)[:-3], first, *list(_FILES)[-3:]]


@lru_cache(maxsize=64)
def _face(name: str) -> Any:
    if name not in _FILES:
        return hb.Face(hb.Blob.from_file_path(name))
    package, file = _FILES[name]
    spec = find_spec(package)
    assert spec is not None, f"{package} is installed with the server"
    assert spec.origin is not None, f"{package} is a package"
    path = Path(spec.origin).parent / "fonts" / "ofl" / file
    return hb.Face(hb.Blob.from_file_path(str(path)))


@lru_cache(maxsize=64)
def _letters(name: str) -> frozenset[int]:
    return frozenset(_face(name).unicodes)


@lru_cache(maxsize=128)
def _font(name: str, bold: bool) -> Any:
    font = hb.Font(_face(name))
    font.set_variations({"wght": 700 if bold else 400})
    return font


@lru_cache(maxsize=2_000)
def shaped(text: str, name: str, *, bold: bool, is_rtl: bool) -> Shaped:
    """The glyphs of a run, from left to right."""
    buffer = hb.Buffer()
    buffer.add_str(text)
    buffer.guess_segment_properties()
    buffer.direction = "rtl" if is_rtl else "ltr"
    font = _font(name, bold)
    hb.shape(font, buffer)
    glyphs = [
        (info.codepoint, position.x_offset, position.y_offset, position.x_advance)
        for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True)
    ]
    return Shaped(font, glyphs, _face(name).upem)


def draw(path: Any, run: Shaped, x: float, y: float, size: float) -> None:
    """Add the outlines of a run to a ReportLab path."""
    scale = size / run.units
    for glyph, x_offset, y_offset, advance in run.glyphs:
        pen = _Pen(path, x + x_offset * scale, y + y_offset * scale, scale)
        run.font.draw_glyph_with_pen(glyph, pen)
        x += advance * scale


class _Pen:
    """Receives a glyph's outline in units of its font (the pen protocol of fontTools)."""

    def __init__(self, path: Any, x: float, y: float, scale: float) -> None:
        self._path = path
        self._at = (x, y)
        self._scale = scale
        self._last = (0.0, 0.0)

    def _point(self, point: tuple[float, float]) -> tuple[float, float]:
        self._last = point
        return self._at[0] + point[0] * self._scale, self._at[1] + point[1] * self._scale

    def moveTo(self, point: tuple[float, float]) -> None:  # noqa: N802 - the protocol's name
        self._path.moveTo(*self._point(point))

    def lineTo(self, point: tuple[float, float]) -> None:  # noqa: N802
        self._path.lineTo(*self._point(point))

    def qCurveTo(self, control: tuple[float, float], end: tuple[float, float]) -> None:  # noqa: N802
        """Convert to a cubic curve; PDF has no others."""
        start = self._last
        first = tuple(a + 2 / 3 * (b - a) for a, b in zip(start, control, strict=True))
        second = tuple(a + 2 / 3 * (b - a) for a, b in zip(end, control, strict=True))
        self.curveTo(first, second, end)  # type: ignore[arg-type]  # pairs

    def curveTo(self, *points: tuple[float, float]) -> None:  # noqa: N802
        self._path.curveTo(*(value for point in points for value in self._point(point)))

    def closePath(self) -> None:  # noqa: N802
        self._path.close()

    def endPath(self) -> None:  # noqa: N802
        """Nothing to do."""
