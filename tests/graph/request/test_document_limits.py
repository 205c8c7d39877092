"""The size of documents, measured from their tokens alone."""

from __future__ import annotations

import pytest
from graphql import build_schema, get_introspection_query, parse, validate
from hypothesis import given
from hypothesis import strategies as st

from graph.request.document_limits import DocumentLimits, TooLarge, check_document

LIMITS = DocumentLimits()


def passes(text: str) -> bool:
    try:
        check_document(text, LIMITS)
    except TooLarge:
        return False
    return True


def breach(text: str) -> tuple[str, int, int]:
    with pytest.raises(TooLarge) as caught:
        check_document(text, LIMITS)
    extra = caught.value.extra
    return extra["limit"], extra["actual"], extra["maximum"]


def nested(levels: int) -> str:
    return "{ a " * levels + "}" * levels


@pytest.mark.parametrize("descriptions", [True, False])
def test_the_introspection_query_passes(descriptions: bool) -> None:
    query = get_introspection_query(
        descriptions=descriptions,
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
        one_of=True,
    )
    assert passes(query)


@pytest.mark.parametrize(
    ("largest", "too_large", "limit"),
    [
        (nested(15), nested(16), "levels"),
        (
            "{" + " ".join(f"a{n}: x" for n in range(30)) + "}",
            "{" + " ".join(f"a{n}: x" for n in range(31)) + "}",
            "aliases",
        ),
        ("{" + "x " * 500 + "}", "{" + "x " * 501 + "}", "fields"),
        ("{" + "x @s " * 20 + "}", "{" + "x @s " * 21 + "}", "directives"),
        ("query " + "@s " * 20 + "{ x }", "query " + "@s " * 21 + "{ x }", "directives"),
        ("{ x }#" + "y" * 19_994, "{ x }#" + "y" * 19_995, "characters"),
        ("{ x(a: [" + "1 " * 1_991 + "]) }", "{ x(a: [" + "1 " * 1_992 + "]) }", "tokens"),
        # Through fragments, wherever they stand.
        (
            "{ a { ...F } } fragment F on Q " + nested(14),
            "{ a { ...F } } fragment F on Q " + nested(15),
            "levels",
        ),
        (
            "fragment F on Q { x: y } {" + "...F " * 30 + "}",
            "fragment F on Q { x: y } {" + "...F " * 31 + "}",
            "aliases",
        ),
        # Definitions that nothing uses are not free.
        (
            "{ x } fragment F on Q {" + "x " * 499 + "}",
            "{ x } fragment F on Q {" + "x " * 500 + "}",
            "fields",
        ),
        (
            "query A {" + "x " * 250 + "} query B {" + "x " * 250 + "}",
            "query A {" + "x " * 250 + "} query B {" + "x " * 251 + "}",
            "fields",
        ),
    ],
)
def test_each_limit_is_exact(largest: str, too_large: str, limit: str) -> None:
    assert passes(largest)
    name, actual, maximum = breach(too_large)
    assert name == limit
    assert actual == maximum + 1


@pytest.mark.parametrize(
    "text",
    [
        # Braces, colons and names in arguments are values.
        "{ a(x: " + "{ b: " * 40 + "1" + "}" * 40 + ") }",
        "query ($v: I = " + "{ b: " * 40 + "1" + "}" * 40 + ") { a }",
        # The contents of strings and comments are not tokens.
        '{ a(x: "' + "{ @ : " * 100 + '") }',
        '{ a(x: """' + '{ @ : " "" ' * 100 + '""") }',
        '{ a(x: "\\"' + "{ " * 100 + '") }',
        '{ a(x: """\\"""' + "{ " * 100 + '""") }',
        "{ a #" + "{ @ : " * 100 + "\n}",
        # `on` is a word like any other, except after three dots.
        "{ on: on ... on Q { on } ...on fragment }",
        "fragment fragment on on { query mutation } { ...fragment }",
    ],
)
def test_what_only_looks_large_passes(text: str) -> None:
    assert passes(text)


def test_a_bomb_of_fragments_is_found_without_being_exploded() -> None:
    bomb = " ".join(f"fragment f{n} on Q {{ ...f{n + 1} ...f{n + 1} }}" for n in range(150))
    name, actual, _ = breach(f"{bomb} fragment f150 on Q {{ x }} {{ ...f0 }}")
    # Capped, so that the number can be read by any JSON reader.
    assert (name, actual) == ("fields", 1_000_000)


@pytest.mark.parametrize(
    "text",
    [
        "{ ...A } fragment A on Q { ...B } fragment B on Q { ...A }",
        "{ ...A } fragment A on Q { ...A }",
        "{ ...Nobody }",
        "",
        "}}}}",
        "((((",
        "{ a",
        '{ a(x: "',
        '{ a(x: """',
        "{ ¡ }",
        "\x00",
        "query query query {",
        "fragment",
        "fragment on",
    ],
)
def test_what_is_no_document_is_left_to_the_parser(text: str) -> None:
    assert passes(text)


@given(st.text(alphabet='{}()[]:@."#\\ \n$!=|&aon1-é', max_size=300))
def test_any_text_is_measured(text: str) -> None:
    check_document(text, DocumentLimits(characters=10_000, tokens=10_000, levels=1_000))


def test_the_worst_that_passes_is_valid_graphql() -> None:
    """The measure agrees with the parser about what a field is."""
    schema = build_schema("type Query { a: Query, b(x: Int): Int }")
    text = "{" + "a { b } " * 249 + "}"
    assert passes(text)
    assert validate(schema, parse(text)) == []
