from __future__ import annotations

import random
import sys
import time
import unicodedata
from collections.abc import Iterator
from itertools import groupby

import pytest
from graphql import GraphQLError

import texts
from auth.passwords import acceptable, normalized
from domain import rules
from domain.time.export_csv import tags_of
from errors import BadInput, Failure
from files import names
from graph.request.error_format import format_errors
from jobs.connectors import github_issues

PATH = ("field_name",)


def every() -> Iterator[str]:
    """Each character that there is."""
    return map(chr, range(sys.maxunicode + 1))


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def longest_run(text: str) -> int:
    """By Unicode's definition, character by character: the longest run of characters that are not
    starters, in the text's NFD.
    """
    groups = groupby(nfd(text), lambda c: unicodedata.combining(c) > 0)
    return max((len(list(group)) for combining, group in groups if combining), default=0)


def test_no_character_has_more_code_points_than_expected() -> None:
    assert max(len(nfd(c)) for c in every() if nfc(c) == c) == texts.EXPANSION


def test_the_marks_are_all_marks_of_unicode() -> None:
    assert texts._marks() == {c for c in every() if unicodedata.combining(nfd(c)[0])}


def test_long_runs_of_marks_are_found_anywhere() -> None:
    chance = random.Random(1)
    # The last three are not combining marks themselves, but decompose into them.
    some = "ab\u00e9\u1f82\u4e00\u0301\u0316\u0345\U0001d165\u0f73\u0f75\u0f81"
    for _ in range(3_000):
        parts = [chance.choice(some) * chance.randint(1, 40) for _ in range(chance.randint(1, 6))]
        text = "".join(parts)
        given = max(
            (len(list(run)) for mark, run in groupby(text, texts._marks().__contains__) if mark),
            default=0,
        )
        place = texts.too_many_marks(text)
        assert (place is not None) == (given > texts.MAX_MARKS)
        if place is None:
            assert texts.normalized(text) == nfc(text)
        else:
            assert set(text[place : place + texts.MAX_MARKS + 1]) <= texts._marks()
        # At most two code points for each mark, and three that end the previous character.
        assert longest_run(texts.normalized(text)) <= 2 * texts.MAX_MARKS + 3


# 80 KB of the first took 1.2 s; the last two are marks only after decomposition.
HOSTILE = {
    "marks": "a" + "\u0301\u0316" * 150_000,
    "marks of no letter": "\u0301\u0316" * 150_000,
    "marks within marks": "a" + "\u0f73" * 300_000,
    "musical marks": "\U0001d15e" + "\U0001d165\U0001d16d\u0316" * 100_000,
    "spaces and marks": " " * 300_000 + "a" + "\u0301\u0316" * 150_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_refused_at_once(name: str) -> None:
    text = HOSTILE[name]
    started = time.monotonic()
    for least, most in ((0, 50), (1, 200), (1, 10_000)):
        with pytest.raises(BadInput):
            rules.text(text, PATH, least=least, most=most, multiline=most > 200)
    with pytest.raises(BadInput):
        rules.tags([text], PATH)
    with pytest.raises(BadInput):
        acceptable(text)
    with pytest.raises(Failure):
        names.clean(text)
    # Neither is refused; each takes a minute or more if the time is quadratic.
    normalized(text)
    texts.normalized(text)
    assert time.monotonic() - started < 5


def test_marks_in_a_row_are_refused_with_their_position() -> None:
    rules.text("a" + "\u0301" * 30, PATH, most=200)
    with pytest.raises(BadInput) as refused:
        rules.text("ab" + "\u0301" * 31, PATH, most=200)
    assert refused.value.message == (
        "fieldName must not have more than 30 combining marks in a row (at position 2)."
    )


def test_the_longest_text_is_accepted_in_its_longest_spelling() -> None:
    assert len(rules.text(nfd("\u1f82") * 200, PATH, most=200)) == 200
    assert len(acceptable(nfd("\u1f82") * 100)) == 100


# None of these is visible by itself: the characters that Unicode lists as ignorable, and blanks.
INVISIBLE = [
    "\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u180b", "\u180e", "\u200b",
    "\u200c", "\u200d", "\u200e", "\u200f", "\u202e", "\u2060", "\u2063", "\u2066", "\u206f",
    "\u2800", "\u3164", "\ufe00", "\ufe0f", "\ufeff", "\uffa0", "\U0001d159", "\U0001d173",
    "\U00013441", "\U000e0001", "\U000e0061", "\U000e007f", "\U000e0100", "\U000e01ef",
    "\u200b\u200b", "\u3164 \u3164", "\u2067\u2069", "\u200b\n\n\u200b",
]  # fmt: skip


@pytest.mark.parametrize("text", INVISIBLE, ids=ascii)
def test_an_invisible_text_is_refused_as_empty(text: str) -> None:
    for least in (0, 1):
        with pytest.raises(BadInput) as refused:
            rules.text(text, PATH, least=least, most=100, multiline=True)
        assert refused.value.message.startswith("fieldName must not be empty; ")
        with pytest.raises(BadInput):
            rules.text(text, PATH, least=least, most=100)
    with pytest.raises(BadInput):
        rules.optional_text(text, PATH, most=100)
    with pytest.raises(BadInput):
        rules.tags([text], PATH)
    with pytest.raises(Failure):
        names.clean(text)
    with pytest.raises(Failure):
        names.clean(f"folder/.{text}.")


@pytest.mark.parametrize("control", "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2069")
def test_bidi_controls_are_only_for_texts_of_several_lines(control: str) -> None:
    with pytest.raises(BadInput) as refused:
        rules.text(f"safe{control}gnp.exe", PATH, most=100)
    assert f"U+{ord(control):04X} at position 4" in refused.value.message
    text = f"\u05e9\u05dc\u05d5\u05dd {control}1 + 1"
    assert rules.text(text, PATH, most=100, multiline=True) == text
    assert names.clean(f"safe{control}gnp.exe") == "safegnp.exe"


@pytest.mark.parametrize(
    "name",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family, in one emoji
        "\u2764\ufe0f",  # a red heart
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian: I want
        "\u0915\u094d\u200d\u0937",  # Hindi: a half letter
        "\u05e9\u05dc\u05d5\u05dd",  # Hebrew
        "\u1112\u1161\u11ab",  # Korean, in single letters
    ],
    ids=ascii,
)
def test_names_in_all_languages_and_emoji_are_accepted(name: str) -> None:
    assert rules.text(name, PATH, least=1, most=200) == nfc(name)
    assert rules.tags([name], PATH) == [nfc(name)]
    assert names.clean(f"{name}.pdf") == f"{nfc(name)}.pdf"


def test_line_breaks_are_only_for_texts_of_several_lines() -> None:
    for separator in "\u2028\u2029":
        with pytest.raises(BadInput):
            rules.text(f"a{separator}b", PATH, most=10)
        assert rules.text(f"a{separator}b", PATH, most=10, multiline=True)


def test_tags_in_a_cell_of_any_length() -> None:
    assert tags_of(r"red; blue\;green ;a\\b;;") == ["red", "blue;green", r"a\b"]
    started = time.monotonic()
    for cell in ("a" * 130_000 + "\\", "\\" * 130_001, "a\\" * 65_000, ";" * 130_000):
        tags_of(cell)
    assert time.monotonic() - started < 5


def test_a_message_repeats_no_long_value() -> None:
    value = "Did you mean " * 75_000
    started = time.monotonic()
    (error,) = format_errors([GraphQLError(f"Value '{value}' does not exist.")], "id")
    assert time.monotonic() - started < 5
    assert len(error["message"]) < 1_100


@pytest.mark.parametrize("name", [*HOSTILE, "blank", "turned"])
def test_texts_from_a_connector_are_made_to_fit(name: str) -> None:
    text = {**HOSTILE, "blank": "\u3164\u200b", "turned": "safe\u202egnp.exe"}[name]
    started = time.monotonic()
    for most, multiline in ((200, False), (10_000, True)):
        clean = github_issues._clean(text, most, multiline=multiline)
        if clean:
            assert rules.text(clean, PATH, most=most, multiline=multiline) == clean
    assert time.monotonic() - started < 5


def test_an_accepted_text_is_accepted_again() -> None:
    chance = random.Random(2)
    some = "a\u00e9\u1f82\u0301\u0316\U0001d15e\U0001d165\u0f73\u0f81\u0344\u1112\u1161\u11ab "
    accepted = 0
    for _ in range(2_000):
        parts = [chance.choice(some) * chance.randint(1, 33) for _ in range(chance.randint(1, 4))]
        try:
            stored = rules.text("".join(parts), PATH, most=200)
        except BadInput:
            continue
        accepted += 1
        assert rules.text(stored, PATH, most=200) == stored
    assert accepted > 500
