"""Names of any script in PDF files."""

from __future__ import annotations

import datetime as dt
import io
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from bidi import get_display  # type: ignore[import-untyped]  # it has no annotations
from pypdf import PdfReader

from db.models import WeekDay
from domain.time import export_pdf, pdf_text

NAMES = {
    "chinese": "项目管理",
    "japanese": "プロジェクト管理",
    "korean": "프로젝트 관리",
    "arabic": "إدارة المشروع",
    "hebrew": "ניהול פרויקט",
    "thai": "การจัดการโครงการ",
    "devanagari": "परियोजना प्रबंधन क्षेत्र",
}


def is_latin(letter: str) -> bool:
    return ord(letter) < 0x250


@pytest.mark.parametrize("script", NAMES)
@pytest.mark.parametrize("bold", [False, True])
def test_every_letter_has_a_glyph(script: str, bold: bool) -> None:
    (run,) = pdf_text.runs(NAMES[script], is_latin)
    assert (run.text, run.font) == (NAMES[script], script)
    assert run.is_rtl is (script in {"arabic", "hebrew"})
    shaped = pdf_text.shaped(run.text, script, bold=bold, is_rtl=run.is_rtl)
    # Glyph 0 is the box of a missing letter.
    assert all(glyph != 0 for glyph, *_ in shaped.glyphs)
    assert shaped.advance > 0


def test_letters_are_joined_and_reordered() -> None:
    def glyphs(text: str, font: str, *, is_rtl: bool) -> list[int]:
        shaped = pdf_text.shaped(text, font, bold=False, is_rtl=is_rtl)
        return [glyph for glyph, *_ in shaped.glyphs]

    # The two letters have different glyphs beside each other than alone.
    joined = glyphs("بب", "arabic", is_rtl=True)
    assert joined != glyphs("ب", "arabic", is_rtl=True) * 2
    # The vowel i is encoded after its consonant and drawn before it.
    ki, ka = (glyphs(text, "devanagari", is_rtl=False) for text in ("कि", "क"))
    assert ki[-1] == ka[0]


@pytest.mark.parametrize(
    "text",
    [
        *NAMES.values(),
        "Bridge",
        "mix إدارة المشروع and עברית end",
        "עברית 123 עברית",
        "a עברית 123 עברית b",
        "إدارة المشروع 2026",
        "12 ניהול",
        "עברית Bridge two ניהול",
        "שלום, עולם!",
        "plan: שלום.",
        "plan (שלום) b",
    ],
)
def test_letters_follow_the_bidirectional_algorithm(text: str) -> None:
    drawn = ""
    for run in pdf_text.runs(text, is_latin):
        # HarfBuzz reverses runs of other fonts by itself.
        drawn += run.text[::-1] if run.is_rtl and run.font is not None else run.text
    assert drawn == get_display(text)


def test_brackets_are_mirrored_in_right_to_left_text() -> None:
    (bracket, letter, other, *_) = pdf_text.runs("ב (ש)", is_latin)
    assert (bracket.text, letter.text, other.text) == ("(", "ש", ")")


def text_of(names: Sequence[str], fonts: Sequence[Path] = ()) -> str:
    """The selectable text of a page that shows these names; outlines are not selectable."""
    entries = [export_pdf.Entry(0, f"{name} x", 60, 0, 1) for name in names]
    paper = export_pdf.Paper(
        "Time report",
        [],
        [(dt.date(2026, 3, 2), 60)],
        None,
        None,
        WeekDay.MONDAY,
        entries,
        export_pdf.Entry(0, "Total", 60, 0, 1),
    )
    file = io.BytesIO()
    export_pdf.write(paper, file, fonts)
    text: str = PdfReader(file).pages[0].extract_text()
    assert text.count("x") == len(names)
    return text


def test_a_page_has_no_question_marks_in_place_of_letters() -> None:
    assert "?" not in text_of(list(NAMES.values()))


# --- the operator's fonts ------------------------------------------------------------------------

KHMER = "គម្រោង"


def font(folder: Path, package: str, file: str) -> Path:
    """A copy of a font, under another name."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    copy = folder / f"Own-{Path(file).stem.partition('[')[0]}.ttf"
    shutil.copy(Path(spec.origin).parent / "fonts" / "ofl" / file, copy)
    return copy


def test_a_font_of_the_operator_has_glyphs_that_the_servers_fonts_lack(tmp_path: Path) -> None:
    own = font(tmp_path, "justmytype_intl_sea", "notosanskhmer/NotoSansKhmer[wdth,wght].ttf")
    assert "?" in text_of([KHMER])
    assert "?" not in text_of([KHMER, *NAMES.values()], [own])
    with pdf_text.using([own]):
        (run,) = pdf_text.runs(KHMER, is_latin)
        shaped = pdf_text.shaped(run.text, str(own), bold=True, is_rtl=False)
    assert run == pdf_text.Run(KHMER, str(own), is_rtl=False)
    assert all(glyph != 0 for glyph, *_ in shaped.glyphs)
    # It is used only by this document.
    assert "?" in text_of([KHMER])


def test_a_font_of_the_operator_takes_precedence(tmp_path: Path) -> None:
    own = font(tmp_path, "justmytype_intl_rtl", "notosanshebrew/NotoSansHebrew[wdth,wght].ttf")
    with pdf_text.using([own]):
        (hebrew,) = pdf_text.runs(NAMES["hebrew"], is_latin)
        (arabic,) = pdf_text.runs(NAMES["arabic"], is_latin)
        # The document's own font stays first.
        (latin, *_) = pdf_text.runs("Bridge", is_latin)
    assert (hebrew.font, hebrew.is_rtl) == (str(own), True)
    assert (arabic.font, latin.font) == ("arabic", None)
