"""Documents are read once, kept within bounds, and their introspection answered from memory."""

from __future__ import annotations

import pytest
import strawberry

from errors import ErrorCode
from graph.request.document_limits import DocumentLimits
from graph.request.documents import Documents, InvalidDocument


@strawberry.type
class Query:
    """A little schema."""

    name: str = "x"
    nest: str = "y"


SCHEMA = strawberry.Schema(Query)._schema


def documents(max_bytes: int = 1_000_000, *, suggestions: bool = True) -> Documents:
    return Documents(SCHEMA, DocumentLimits(), suggestions=suggestions, max_bytes=max_bytes)


async def test_a_document_is_read_once() -> None:
    known = documents()
    assert await known.get("{ name }") is await known.get("{ name }")
    assert await known.get("{ name }") is not await known.get("{  name }")


async def test_memory_is_bounded_and_the_latest_used_stay() -> None:
    known = documents(max_bytes=10_000)
    used = await known.get("{ name }")
    for number in range(200):
        await known.get(f"{{ name }} #{number:06d}")
        assert await known.get("{ name }") is used
        assert known.used_bytes <= 10_000
    assert len(known) < 20


async def test_answers_count_as_memory_too() -> None:
    known = documents(max_bytes=10_000)
    first = (await known.get("{ __typename }")).select(None)
    known.keep_answer(first, b"x" * 9_000)
    await known.get("{ name }")
    await known.get("{ nest }")
    assert known.used_bytes <= 10_000
    assert (await known.get("{ __typename }")).select(None) is not first


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ __schema { queryType { name } } }", True),
        ("{ __typename ... on Query { __schema { queryType { name } } } }", True),
        ("query ($n: String!) { __type(name: $n) { name } }", False),
        ("{ __typename name }", False),
        ("{ ...F } fragment F on Query { name }", False),
    ],
)
async def test_only_questions_about_the_schema_are_the_same_for_all(
    text: str, expected: bool
) -> None:
    assert (await documents().get(text)).select(None).introspection is expected


@pytest.mark.parametrize(
    ("text", "name", "code"),
    [
        ("{", None, ErrorCode.GRAPHQL_PARSE_FAILED),
        ("{ }", None, ErrorCode.GRAPHQL_PARSE_FAILED),
        ("{ other }", None, ErrorCode.GRAPHQL_VALIDATION_FAILED),
        ("type Query { a: Int }", None, ErrorCode.GRAPHQL_VALIDATION_FAILED),
        ("{ name }", "A", ErrorCode.OPERATION_RESOLUTION_FAILURE),
        ("query A { name } query B { name }", None, ErrorCode.OPERATION_RESOLUTION_FAILURE),
        ("query A { name } query B { name }", "C", ErrorCode.OPERATION_RESOLUTION_FAILURE),
    ],
)
async def test_what_cannot_be_executed(text: str, name: str | None, code: ErrorCode) -> None:
    with pytest.raises(InvalidDocument) as caught:
        (await documents().get(text)).select(name)
    assert caught.value.code is code


async def test_names_are_suggested_only_where_that_is_wanted() -> None:
    messages = []
    for suggestions in (True, False):
        with pytest.raises(InvalidDocument) as caught:
            await documents(suggestions=suggestions).get("{ nam }")
        messages.append(caught.value.errors[0].message)
    assert "name" in messages[0]
    assert "name" not in messages[1].replace("'nam'", "")


async def test_long_documents_are_read_beside_the_loop() -> None:
    """Two at once give one document each, and the loop stays free; see
    `graph.request.documents`.
    """
    text = "{ name }" + " " * 1_000
    document = await documents().get(text)
    assert document.select(None).kind.value == "query"
