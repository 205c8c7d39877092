"""A filter in the heading of an export is told as a sentence, whatever it compares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLInputObjectType,
    get_named_type,
    get_nullable_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
)

from graph.schema import schema
from jobs.filter_text import sentence

SAMPLES: dict[str, Any] = {
    "String": "word",
    "ID": "task_018f3a1c5b7e7d3e8f00112233445566",
    "Int": 7,
    "Seconds": 7,
    "Float": 7,
    "DateTime": "2026-06-01T00:00:00Z",
    "Date": "2026-06-01",
    "Duration": "P7D",
    "Markdown": "word",
    "URL": "https://example.com/",
}


def conditions(type_: GraphQLInputObjectType, depth: int = 0) -> Iterator[Any]:
    """One filter for each comparator that can be reached within two relations."""
    for name, field in type_.fields.items():
        named = get_named_type(field.type)
        if name in {"and", "or", "not"}:
            if depth == 0:
                inner = {"isBillable": True}
                yield {
                    name: [inner, inner] if is_list_type(get_nullable_type(field.type)) else inner
                }
        elif isinstance(named, GraphQLInputObjectType):
            if depth < 3:
                yield from ({name: inner} for inner in conditions(named, depth + 1))
        elif named.name == "Boolean":
            yield from ({name: value} for value in (True, False))
        else:
            value = next(iter(named.values)) if is_enum_type(named) else SAMPLES[named.name]
            yield {name: [value, value] if is_list_type(get_nullable_type(field.type)) else value}


def without_ids(filter_: Any) -> Any:
    """What a relation's id is, is what the relation is."""
    if not isinstance(filter_, dict):
        return filter_
    ((name, inner),) = filter_.items()
    return without_ids(inner) if name == "id" else {name: without_ids(inner)}


def test_every_condition_has_words() -> None:
    of_entries = schema._schema.type_map["TimeEntryFilter"]
    assert is_input_object_type(of_entries)
    told: dict[str, Any] = {}
    count = 0
    for filter_ in conditions(of_entries):
        text = sentence(filter_, lambda _: "Bridge")
        assert text.startswith("Only entries where "), (filter_, text)
        assert not {"{", "}", "'", "_"} & set(text.replace("'s ", " ")), (filter_, text)
        # Two different conditions do not have one sentence.
        meant = without_ids(filter_)
        assert told.setdefault(text, meant) == meant, (told[text], meant, text)
        count += 1
    assert count > 500


@pytest.mark.parametrize(
    ("filter_", "text"),
    [
        ({}, "All entries."),
        ({"user": {"isMe": True}}, "Only entries where the user is the owner of this export."),
        ({"task": {"isNull": True}}, "Only entries where the task is not set."),
        ({"user": {"search": "ada"}}, "Only entries where the user has the words “ada”."),
        (
            {"task": {"tags": {"none": {"eq": "x"}}}},
            "Only entries where no tag of the task is “x”.",
        ),
        (
            {"startedAt": {"within": "-P1DT2H"}},
            "Only entries where the start is within the last 1 day 2 hours.",
        ),
        (
            {"task": {"dueOn": {"within": "P2W"}}},
            "Only entries where the task's due on is within the next 2 weeks.",
        ),
    ],
)
def test_sentences(filter_: Any, text: str) -> None:
    assert sentence(filter_, lambda _: None) == text
