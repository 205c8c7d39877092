from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from domain import rules
from errors import BadInput

PATH = ("field_name",)


def refused(rule: Callable[..., Any], value: Any, **options: Any) -> str:
    with pytest.raises(BadInput) as raised:
        rule(value, PATH, **options)
    assert raised.value.path[0] == "field_name"
    return raised.value.message


def test_text_is_normalized_and_trimmed_before_it_is_counted() -> None:
    decomposed = "  e\u0301\u00a0"
    assert rules.text(decomposed, PATH, most=1) == "\u00e9"
    assert rules.text("\N{GRINNING FACE}" * 5, PATH, most=5) == "\N{GRINNING FACE}" * 5
    message = refused(rules.text, "a" * 1_201, most=1_200)
    assert message == "fieldName must have at most 1,200 characters; it has 1,201."
    assert refused(rules.text, " \t ", least=1, most=5) == "fieldName must not be empty."
    assert "at least 3" in refused(rules.text, "ab", least=3, most=5)


@pytest.mark.parametrize("character", ["\0", "\x07", "\x1b", "\x7f", "\x85", "\ud800"])
def test_control_characters_and_lone_surrogates_are_refused(character: str) -> None:
    for multiline in (False, True):
        message = refused(rules.text, f"a{character}b", most=10, multiline=multiline)
        assert f"U+{ord(character):04X} at position 1" in message


def test_line_breaks_are_only_for_texts_of_several_lines() -> None:
    assert rules.text("a\r\nb\tc", PATH, most=10, multiline=True) == "a\nb\tc"
    refused(rules.text, "a\nb", most=10)
    refused(rules.text, "a\tb", most=10)
    # A carriage return alone would overwrite the line in a terminal.
    refused(rules.text, "a\rb", most=10, multiline=True)


def test_an_optional_text_may_be_missing() -> None:
    assert rules.optional_text(None, PATH, most=5) is None
    assert rules.optional_text("  ", PATH, most=5) is None
    assert rules.optional_text(" a ", PATH, most=5) == "a"


def test_tags_are_a_case_insensitive_set() -> None:
    given = ["Red", " red ", "straße", "STRASSE", "Blue"]
    assert rules.tags(given, PATH) == ["Red", "straße", "Blue"]
    assert len(rules.tags([str(number) for number in range(20)] + ["0"], PATH)) == 20
    refused(rules.tags, [str(number) for number in range(21)])
    with pytest.raises(BadInput) as raised:
        rules.tags(["fine", "x" * 51], PATH)
    assert raised.value.path == ("field_name", "1")


@pytest.mark.parametrize(
    ("day", "zone", "end"),
    [
        ("2026-11-20", "UTC", "2026-11-21T00:00:00+00:00"),
        ("2026-11-20", "Pacific/Kiritimati", "2026-11-20T10:00:00+00:00"),
        ("2026-11-20", "America/Los_Angeles", "2026-11-21T08:00:00+00:00"),
        # The clocks go forward on the first and back on the second: 23 and 25 hours.
        ("2026-03-29", "Europe/Zurich", "2026-03-29T22:00:00+00:00"),
        ("2026-10-25", "Europe/Zurich", "2026-10-25T23:00:00+00:00"),
        # Midnight does not exist on the following day.
        ("2026-09-05", "America/Santiago", "2026-09-06T04:00:00+00:00"),
    ],
)
def test_a_day_ends_at_midnight_in_its_time_zone(day: str, zone: str, end: str) -> None:
    over = rules.end_of_day(dt.date.fromisoformat(day), zone, PATH)
    assert over == dt.datetime.fromisoformat(end)


def test_times_far_from_now_are_refused() -> None:
    utc = dt.UTC
    for wrong in (dt.datetime(1899, 12, 31, tzinfo=utc), dt.datetime(2200, 1, 1, tzinfo=utc)):
        refused(rules.moment, wrong)
    refused(rules.moment, dt.datetime(2026, 1, 1))  # noqa: DTZ001 - the subject of the test
    for day in (dt.date.min, dt.date.max, dt.date(2200, 1, 1)):
        with pytest.raises(BadInput):
            rules.end_of_day(day, "UTC", PATH)


def test_colors_zones_and_languages_are_validated() -> None:
    assert rules.color("#ABCDEF", PATH) == "#abcdef"
    assert rules.color(None, PATH) is None
    for wrong in ("red", "#fff", "#abcdef\n", "abcdef", "#gggggg"):
        refused(rules.color, wrong)
    assert rules.timezone("Europe/Zurich", PATH) == "Europe/Zurich"
    for wrong in ("Europe/Atlantis", "", "../etc/passwd", "UTC+2"):
        refused(rules.timezone, wrong)
    for right in ("en", "de-CH", "zh-Hant-TW", "es-419"):
        assert rules.locale(right, PATH) == right
    for wrong in ("EN", "e", "en_US", "de-ch", "en-US-x\n"):
        refused(rules.locale, wrong)


def test_a_broken_unique_constraint_names_its_field() -> None:
    failure = rules.violation("uq_projects_key")
    assert failure is not None
    assert failure.path == ("key",)
    assert rules.violation("fk_tasks_owner_id_users") is None
    assert rules.violation(None) is None
