"""docs/decisions/: every record has the same form, and the index lists them all."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))
SECTIONS = ["Context", "Decision", "Consequences", "Alternatives", "Enforced by"]


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.name[:4])
def test_a_record_has_a_title_a_date_a_status_and_five_sections(record: Path) -> None:
    text = record.read_text()
    number, title = re.fullmatch(r"# (\d{4}) (\S.*)", text.splitlines()[0]).groups()  # type: ignore[union-attr]
    assert record.name.startswith(f"{number}-")
    assert not title.endswith(".")
    header = re.search(r"^Date: (\S+)\. Status: (accepted|superseded by )", text, re.MULTILINE)
    assert header is not None
    dt.date.fromisoformat(header[1])
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    for section in re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]:
        assert section.strip()


def test_the_index_lists_every_record_with_its_title() -> None:
    listed = re.findall(
        r"^\| \[(\d{4})\]\((.*?)\) \| (.*) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE
    )
    assert listed == [
        (record.name[:4], record.name, record.read_text().splitlines()[0][7:]) for record in RECORDS
    ]


def test_numbers_are_used_once() -> None:
    numbers = [record.name[:4] for record in RECORDS]
    assert len(set(numbers)) == len(numbers)
