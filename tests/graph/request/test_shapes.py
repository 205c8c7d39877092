"""A document that shares its tree with others is what it is by itself: errors, cost and answers.

The oracle is the same document read as a whole, with its literals in its tree.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from graphql import (
    GraphQLError,
    Lexer,
    Source,
    Token,
    TokenKind,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    visit,
)
from graphql.execution.values import VariableValues, get_argument_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import Failure
from graph.request.document_limits import DocumentLimits, TooLarge
from graph.request.documents import Document, Documents, InvalidDocument, Operation
from graph.request.preparation import GraphQLRequest, Prepared
from graph.request.scopes import scopes_of_variables
from graph.request.shapes import separated
from graph.schema import schema
from tests.accounts import Person
from tests.factories import World, gid
from tests.graph.engine.fixtures import scene
from tests.graph.engine.operations import FILES, read

__all__ = ["scene"]

CORE = schema._schema
CORPUS = [operation for path in FILES for operation in read(path)]
LITERALS = (TokenKind.INT, TokenKind.FLOAT, TokenKind.STRING, TokenKind.BLOCK_STRING)
# Of any kind, in any place: some fit, most do not.
VALUES = [
    *("0", "1", "3", "-1", "100", "101", "2147483647", "2147483648", "99999999999999999999", "-0"),
    *("007", "1.5", "1.0", "1e3", "1E-2", "1.", "1x", "- 1", "+1"),
    *('""', '"x"', '"a b"', '"A"', '"é 😀"', '"\\u0041\\n\\""', '"\\q"', '"\\ud83d"', '"tab\tx"'),
    *('"""block"""', '"""two\n   lines \\""" "x" {}"""', '""""quoted" text"""', '"open', '"""open'),
    *('"2026-11-30T10:00:00Z"', '"2026-11-30"', '"task_00000000000000000000000000000000"', '"{"'),
    *('"# no comment"', '"@skip(if: true)"', "TODO", "null", "true", "$id", "[1]", "{}", "1 # x\n"),
]
EXTRA = [
    '{ a: task(id: "x") { id } b: task(id: "y") { title } task(id: "x") { id } }',
    '{ task(id: "x") { id } task(id: "x") { title } }',
    """{ task(id: "x") { ...T } ...Q } fragment Q on Query { task(id: "x") { id } }
    fragment T on Task { comments(first: 2) { nodes { id } } }""",
    '{ __type(name: "Task") { name } }',
    "query ($n: Int = 3) { tasks(first: $n) { nodes { title @include(if: true) } } }",
    "query A { tasks(first: 1) { totalCount } } query B($id: ID!) { task(id: $id) { id } }",
    'query B($id: Int!) { tasks(first: $id, filter: {title: {eq: "x"}}) { totalCount } }',
    """{ tasks(first: 2, orderBy: [{dueAt: ASC}], filter: {or: [{title: {contains: "a"}},
    {number: {gt: 3}}], tags: {some: {eq: "x"}}}) { nodes { id } } }""",
    '{ tasks # (first: 1)\n (first: 2 # "x"\n ) { nodes { id } } }',
    '{ tasks(first: 1) @include(if: true) { nodes { id } } search(query: "x") { totalCount } }',
]  # fmt: skip
TEXTS = [*(operation.text for operation in CORPUS), *EXTRA]


def tokens_of(text: str) -> list[Token]:
    """The tokens before the end, or before what is none."""
    lexer = Lexer(Source(text))
    found: list[Token] = []
    try:
        while (token := lexer.advance()).kind is not TokenKind.EOF:
            found.append(token)
    except GraphQLError:
        pass
    return found


def changed(random: Random, text: str, rate: float = 0.6) -> str:
    """The document with other literals."""
    pieces: list[str] = []
    end = 0
    own = [text[token.start : token.end] for token in tokens_of(text) if token.kind in LITERALS]
    for token in tokens_of(text):
        if token.kind in LITERALS and random.random() < rate:
            known = [*own, *own, *own] if random.random() < 0.7 else VALUES
            pieces += [text[end : token.start], random.choice(known)]
            end = token.end
    return "".join(pieces) + text[end:]


def documents() -> Documents:
    """Nothing is known yet."""
    return Documents(CORE, DocumentLimits(), suggestions=False)


async def outcome(known: Documents, text: str, *, whole: bool = False) -> Document | list[Any]:
    """The document, or its errors. `whole`: without sharing."""
    try:
        return await (known._new(text, [], trusted=False) if whole else known.get(text))
    except InvalidDocument as error:
        return [error.code, *(one.formatted for one in error.errors)]
    except Failure as failure:
        return [failure.code, failure.message]


class Values(Visitor):
    """The arguments of each field, as a resolver gets them."""

    def __init__(self, info: TypeInfo, variables: VariableValues) -> None:
        super().__init__()
        self._info = info
        self._variables = variables
        self.found: list[Any] = []

    def enter_field(self, node: Any, *_: Any) -> None:
        definition = self._info.get_field_def()
        assert definition is not None
        try:
            values: Any = get_argument_values(definition, node, self._variables)
        except GraphQLError as error:
            values = error.message
        self.found.append((node.name.value, repr(values)))


def arguments_of(operation: Operation) -> list[Any]:
    """What the operation's fields are called with, without the client's variables."""
    variables = VariableValues({}, {})
    if operation.literals is not None:
        variables = operation.literals.beside(variables)
    info = TypeInfo(CORE)
    values = Values(info, variables)
    visit(operation.document, TypeInfoVisitor(info, values))
    return values.found


def facts(operation: Operation) -> list[Any]:
    """What follows from an operation before it runs."""
    try:
        operation.inputs.check({})
        size: Any = None
    except TooLarge as error:
        size = error.message
    return [
        operation.name, operation.kind, operation.scopes, operation.public, operation.removal,
        operation.introspection, operation.points({}), operation.points({"n": 7, "id": "x"}), size,
        scopes_of_variables(operation.selection_index, {}), operation.selection_index.labels,
        arguments_of(operation),
    ]  # fmt: skip


async def check(random: Random, text: str) -> None:
    """Some documents of one shape, one after the other, and each by itself."""
    known = documents()
    for _ in range(4):
        each = changed(random, text)
        shared, alone = await outcome(known, each), await outcome(documents(), each, whole=True)
        if isinstance(alone, list):
            assert shared == alone, each
            continue
        assert isinstance(shared, Document), each
        assert [facts(one) for one in shared.operations] == [
            facts(one) for one in alone.operations
        ], each


QUIET = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)
CASE = given(random=st.randoms(use_true_random=False), text=st.sampled_from(TEXTS))


@settings(max_examples=100, deadline=None, suppress_health_check=QUIET)
@CASE
async def test_other_literals_mean_what_they_say(random: Random, text: str) -> None:
    await check(random, text)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(20))
@settings(max_examples=500, deadline=None, suppress_health_check=QUIET)
@CASE
async def test_other_literals_mean_what_they_say_all_night(
    part: int, random: Random, text: str
) -> None:
    await check(random, text)


@pytest.mark.parametrize("text", EXTRA)
async def test_some_in_particular(text: str) -> None:
    for seed in range(10):
        await check(Random(seed), text)


def spelled(text: str) -> list[Any]:
    """The tokens, without what literals say. A text may be a block."""
    return [
        token.kind.value.removeprefix("Block")
        if token.kind in LITERALS
        else (token.kind.value, token.value)
        for token in tokens_of(text)
    ]


@settings(max_examples=100, deadline=None, suppress_health_check=QUIET)
@CASE
def test_documents_of_one_shape_have_the_same_tokens(random: Random, text: str) -> None:
    by_shape: dict[str, list[Any]] = {}
    for _ in range(10):
        each = changed(random, text)
        found = separated(each)
        if found is None:
            continue
        for literal in found[1]:
            (token,) = tokens_of(each[literal.start : literal.end])
            assert token.kind in LITERALS
            assert (token.start, token.end) == (0, literal.end - literal.start)
            assert token.value == literal.node.value
        assert by_shape.setdefault(found[0], spelled(each)) == spelled(each), each


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ('{ task(id: "a") { id } }', '{ task(id: "bcd") { id } }', True),
        ("{ tasks(first: 1) { nodes { id } } }", "{ tasks(first: 100) { nodes { id } } }", True),
        ('{ a: task(id: "a") { id } b: task(id: "a") { id } }',
         '{ a: task(id: "a") { id } b: task(id: "b") { id } }', True),
        ("{ task(id: 1) { id } }", '{ task(id: "1") { id } }', False),
        # A field that comes twice has to have the same arguments.
        ('{ task(id: "a") { id } task(id: "a") { title } }',
         '{ task(id: "b") { id } task(id: "b") { title } }', False),
        # The answer is kept with the document.
        ('{ __type(name: "Task") { name } }', '{ __type(name: "User") { name } }', False),
        ("query ($n: Int = 3) { tasks(first: $n) { totalCount } }",
         "query ($n: Int = 4) { tasks(first: $n) { totalCount } }", False),
        ("{ tasks { nodes { id } } }", "{ tasks { nodes { title } } }", False),
    ],
)  # fmt: skip
async def test_what_is_shared(one: str, other: str, alike: bool) -> None:
    known = documents()
    first, second = await known.get(one), await known.get(other)
    assert (first.operations[0].node is second.operations[0].node) is alike
    assert await known.get(one) is first
    assert await known.get(other) is second


async def test_a_shape_that_a_registered_document_has_does_not_exempt_from_limits() -> None:
    text = "{ " + " ".join(f"a{n}: tasks(first: 1) {{ totalCount }}" for n in range(40)) + " }"
    known = documents()
    await known.get(text, trusted=True)
    with pytest.raises(TooLarge):
        await known.get(text.replace("first: 1", "first: 2"))


async def test_a_longer_literal_is_within_the_limit_of_characters() -> None:
    known = documents()
    await known.get('{ task(id: "x") { id } }')
    with pytest.raises(TooLarge):
        await known.get(f'{{ task(id: "{"x" * 20_000}") {{ id }} }}')


# --- run ----------------------------------------------------------------------------------------


async def body(
    world: World, person: Person | None, text: str, variables: Any, *, whole: bool
) -> bytes:
    """The answer, shared or whole."""
    executor = world.executors["batch"]
    context = world.context(person)
    context.request = context.request._replace(id="the-same")
    request = GraphQLRequest(query=text, variables=variables)
    prepared = await executor.prepare(request, request_id="the-same")
    if whole:
        document = await executor.documents._new(text, [], trusted=False)
        prepared = Prepared(document.select(None), variables)
    assert (prepared.operation.literals is None) is whole
    return (await executor.execute(prepared, context)).body()


async def test_answers_and_the_places_of_errors(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada)
    task, other, hidden = [
        *await world.tasks(ada, ["a", "b"], project_id=project.id, assignee_id=ada.id),
        await world.task(bob, "hidden"),
    ]
    text = (
        'query ($n: Int) {\n one: task(id: "%s") { title } two: task(id: "%s") { title }\n'
        ' tasks(first: %s, filter: {title: {contains: "%s"}}) { nodes { title } totalCount }\n'
        " more: tasks(first: $n) { totalCount } }"
    )
    ids = [gid(task), gid(other), gid(hidden), "nothing", 'with a \\"quote\\"', "long " * 30]
    random = Random(3)
    for _ in range(40):
        values = random.choice(ids), random.choice(ids), random.choice([0, 1, 7, 1000]), "a"
        each, variables = text % values, {"n": random.choice([1, 5000])}
        assert await body(world, ada, each, variables, whole=False) == await body(
            world, ada, each, variables, whole=True
        )


async def test_what_the_engine_leaves_to_the_standard_executor(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada, "a")
    for id_ in (gid(task), "nothing", gid(task)):
        each = f'query @live {{ task(id: "{id_}") {{ title }} }}'
        reply = await world.run(each, ada)
        assert reply.errors, "such a directive does not exist"
        each = f'{{ task(id: "{id_}") {{ title }} }}'
        standard, batch = [await world.run(each, ada, engine=e) for e in ("standard", "batch")]
        assert (standard.data, [e["locations"] for e in standard.errors]) == (
            batch.data,
            [e["locations"] for e in batch.errors],
        )
