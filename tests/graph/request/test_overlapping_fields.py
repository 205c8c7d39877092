"""Fields that give one key are counted in pairs, before validation compares them."""

from __future__ import annotations

import pytest
from graphql import parse

from graph.request.document_limits import DocumentLimits, TooLarge
from graph.request.overlapping_fields import check_overlap


def pairs(text: str) -> int:
    with pytest.raises(TooLarge) as caught:
        check_overlap(parse(text), DocumentLimits(pairs=-1))
    assert caught.value.extra["limit"] == "pairs of fields that give one key"
    found: int = caught.value.extra["actual"]
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ a b c }", 0),
        ("{ a a a }", 3),
        ("{ x: a x: b a }", 1),
        ("{ a { b } a { b } }", 2),
        # Each of the four is compared with each.
        ("{ a { b b } a { b b } }", 1 + 6),
        ("{ ... { a } ... on Query { a } a }", 3),
        ("{ a ...F } fragment F on Query { a }", 1),
        # A fragment agrees with itself, wherever it stands.
        ("{ a { ...F } a { ...F } } fragment F on A { b c }", 1),
        ("{ a { ...F } a { ...G } } fragment F on A { b } fragment G on A { b }", 2),
        ("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A a a }", 1),
        ("{ ...Unknown a }", 0),
        ("query A { a } query B { a a }", 0),
    ],
)
def test_pairs(text: str, expected: int) -> None:
    assert pairs(text) == expected


def test_the_largest_documents_pass() -> None:
    limits = DocumentLimits()
    check_overlap(parse("{ " + "a { b } " * 71 + "}"), limits)
    with pytest.raises(TooLarge):
        check_overlap(parse("{ " + "a { b } " * 72 + "}"), limits)


def test_a_bomb_of_fragments_is_opened_once() -> None:
    spreads = " ".join(f"fragment F{n} on Q {{ ...F{n + 1} ...F{n + 1} }}" for n in range(150))
    check_overlap(parse(f"{{ ...F0 }} {spreads} fragment F150 on Q {{ ...F0 }}"), DocumentLimits())
