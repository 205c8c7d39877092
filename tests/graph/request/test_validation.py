"""Documents are valid if graphql-core's `validate` finds nothing, whatever is wrong with them."""

from __future__ import annotations

import gc
from random import Random

import pytest
from graphql import DocumentNode, GraphQLError, Lexer, Source, Token, TokenKind, parse, validate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.request.documents import _RULES as RULES
from graph.request.validation import _is_valid, validated
from graph.schema import schema
from tests.graph.engine.operations import FILES, read

CORE = schema._schema
TEXTS = [operation.text for path in FILES for operation in read(path)]
WORDS = [
    *("on", "id", "title", "task", "tasks", "project", "nodes", "Task", "Project", "Node", "first"),
    *("input", "filter", "status", "TODO", "null", "true", "query", "fragment", "__typename"),
    *("...", "{", "}", "(", ")", "[", "]", ":", "$", "$id", "@skip(if: true)", "@include", "!"),
    *("1", "-1", "1.5", '"x"', '""', "$id: ID!", "...Same", "fragment Same on Task { id }"),
]


def tokens_of(text: str) -> list[str]:
    """The document's tokens as they are written."""
    lexer = Lexer(Source(text))
    found: list[str] = []
    token: Token = lexer.advance()
    while token.kind is not TokenKind.EOF:
        found.append(text[token.start : token.end])
        token = lexer.advance()
    return found


TOKENS = [tokens_of(text) for text in TEXTS]
NAMES = sorted({token for tokens in TOKENS for token in tokens if token.isidentifier()})


def changed(random: Random) -> str:
    """An operation of the corpus, or two, with some tokens missing, doubled or replaced: most of
    them names by others, so that it still is GraphQL.
    """
    tokens = list(random.choice(TOKENS))
    if random.random() < 0.1:
        tokens += random.choice(TOKENS)
    for _ in range(random.randint(0, 3)):
        names = [at for at, token in enumerate(tokens) if token.isidentifier()]
        if names and random.random() < 0.8:
            there = [tokens[at] for at in names]
            tokens[random.choice(names)] = random.choice([*there, *NAMES, *WORDS[:14]])
        else:
            at = random.randrange(len(tokens) + 1)
            end = at + random.choice([0, 1, 1, 1, 2, 5])
            words = [*WORDS, *tokens[at : at + 6], *random.sample(tokens, min(3, len(tokens)))]
            tokens[at:end] = random.choices(words, k=random.randint(0, 2))
    return " ".join(tokens)


def parsed(text: str) -> DocumentNode | None:
    """The tree; None if it is not GraphQL."""
    try:
        return parse(text, allow_empty_selection_sets=False)
    except (GraphQLError, RecursionError):
        return None


def check(text: str) -> None:
    """The same verdict, and the same errors."""
    tree = parsed(text)
    if tree is None:
        return
    expected = validate(CORE, tree, RULES, max_errors=19, hide_suggestions=True)
    assert _is_valid(CORE, tree, RULES) is not bool(expected), text
    found = validated(CORE, tree, RULES, max_errors=19, hide_suggestions=True)
    assert [error.formatted for error in found] == [error.formatted for error in expected]


def test_the_corpus_is_valid() -> None:
    for text in TEXTS:
        check(text)


CYCLE = "{ viewer { ...A } } fragment A on Viewer { ...B } fragment B on Viewer { ...A }"
DEEP = "query { viewer " + "{ ... on Viewer " * 60 + "{ id }" + "}" * 60 + "}"
QUIET = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


@pytest.mark.parametrize("text", [CYCLE, DEEP, "{ a a: b }", "query A { x } query A { y }"])
def test_some_are_not(text: str) -> None:
    check(text)


@settings(max_examples=300, deadline=None, suppress_health_check=QUIET)
@given(random=st.randoms(use_true_random=False))
def test_changed_documents(random: Random) -> None:
    check(changed(random))


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(40))
@settings(max_examples=1_000, deadline=None, suppress_health_check=QUIET)
@given(random=st.randoms(use_true_random=False))
def test_changed_documents_all_night(part: int, random: Random) -> None:
    check(changed(random))


def test_nothing_is_left_to_the_collector() -> None:
    trees = [parse(text) for text in TEXTS[:50]]
    for tree in trees:
        _is_valid(CORE, tree, RULES)
    gc.collect()
    gc.disable()
    try:
        for tree in trees:
            assert _is_valid(CORE, tree, RULES)
        assert gc.collect() < len(trees)
    finally:
        gc.enable()
