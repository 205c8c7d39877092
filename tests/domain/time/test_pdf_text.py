"""Names of any script in PDF files."""

from __future__ import annotations

import datetime as dt
import io

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


def test_letters_are_joined_and_moved() -> None:
    def glyphs(text: str, font: str, *, is_rtl: bool) -> list[int]:
        shaped = pdf_text.shaped(text, font, bold=False, is_rtl=is_rtl)
        return [glyph for glyph, *_ in shaped.glyphs]

    # The two letters are other glyphs beside each other than each alone.
    joined = glyphs("بب", "arabic", is_rtl=True)
    assert joined != glyphs("ب", "arabic", is_rtl=True) * 2
    # The vowel i is written after its consonant and stands before it.
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
def test_letters_stand_in_the_order_of_the_bidirectional_algorithm(text: str) -> None:
    drawn = ""
    for run in pdf_text.runs(text, is_latin):
        # HarfBuzz turns runs of other fonts by itself.
        drawn += run.text[::-1] if run.is_rtl and run.font is not None else run.text
    assert drawn == get_display(text)


def test_brackets_are_mirrored_in_text_that_is_read_from_the_right() -> None:
    (bracket, letter, other, *_) = pdf_text.runs("ב (ש)", is_latin)
    assert (bracket.text, letter.text, other.text) == ("(", "ש", ")")


def test_a_page_has_no_question_marks_for_letters() -> None:
    entries = [export_pdf.Entry(0, f"{name} x", 60, 0, 1) for name in NAMES.values()]
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
    export_pdf.write(paper, file)
    text = PdfReader(file).pages[0].extract_text()
    assert "?" not in text
    assert text.count("x") == len(NAMES)
