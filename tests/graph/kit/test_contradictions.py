"""Filters that nothing can satisfy are rejected, others are not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import World

TASKS = "query ($filter: TaskFilter) { tasks(filter: $filter) { totalCount } }"
JANUARY, MARCH = "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"
BACKWARDS = {"lt": JANUARY, "gt": MARCH}

CONTRADICTIONS: list[tuple[dict[str, Any], list[str], str]] = [
    ({"number": {"gt": 5, "lt": 3}}, ["number"], "No value is between gt and lt."),
    ({"number": {"gte": 4, "lt": 4}}, ["number"], "No value is between gte and lt."),
    ({"dueAt": {"gte": MARCH, "lte": JANUARY}}, ["dueAt"], "No value is between gte and lte."),
    ({"dueOn": {"gt": "2026-03-01", "lte": "2026-03-01"}}, ["dueOn"], "between gt and lte."),
    ({"priority": {"gt": "HIGH", "lt": "LOW"}}, ["priority"], "No value is between gt and lt."),
    ({"dueAt": {"isNull": True, "gt": JANUARY}}, ["dueAt"], "isNull: true and gt exclude"),
    ({"title": {"isNull": True, "in": ["x"]}}, ["title"], "isNull: true and in exclude"),
    ({"title": {"eq": "a", "in": ["b"]}}, ["title"], "eq and in exclude each other."),
    ({"title": {"eq": "a", "notEq": "a"}}, ["title"], "eq and notEq exclude each other."),
    ({"status": {"eq": "TODO", "notIn": ["TODO"]}}, ["status"], "eq and notIn exclude each other."),
    ({"number": {"eq": 7, "gt": 7}}, ["number"], "eq and gt exclude each other."),
    ({"not": {"number": {"gt": 5, "lt": 3}}}, ["not", "number"], "No value is between"),
    ({"assignee": {"isNull": True, "isMe": True}}, ["assignee"], "isNull: true and isMe exclude"),
    ({"project": {"name": {"eq": "x"}, "isNull": True}}, ["project"], "isNull: true and name"),
    ({"parent": {"isNull": True, "id": {"in": []}}}, ["parent"], "isNull: true and id exclude"),
    (
        {
            "or": [
                {"title": {"eq": "x"}},
                {"comments": {"some": {"createdAt": {"lt": JANUARY, "gt": MARCH}}}},
            ]
        },
        ["or", "1", "comments", "some", "createdAt"],
        "No value is between gt and lt.",
    ),
]


@pytest.mark.parametrize(("filter_", "path", "why"), CONTRADICTIONS, ids=lambda one: str(one)[:60])
async def test_a_contradiction_is_named_with_its_place(
    world: World, filter_: dict[str, Any], path: list[str], why: str
) -> None:
    reply = await world.run(TASKS, await world.person(), filter=filter_)
    assert reply.codes == ["BAD_USER_INPUT"]
    assert reply.errors[0]["extensions"]["argumentPath"] == ["filter", *path]
    assert why in reply.errors[0]["message"]


@pytest.mark.parametrize(
    "filter_",
    [
        {"number": {"gte": 4, "lte": 4}},
        {"number": {"eq": 4, "gte": 4, "lt": 5, "in": [4, 5], "notIn": [6], "notEq": 3}},
        {"dueAt": {"isNull": False, "gt": JANUARY, "lt": MARCH}},
        {"title": {"isNull": True, "notEq": "x", "notIn": ["y"]}},
        {"title": {"in": []}},
        {"number": {"eq": 4}, "assignee": {"isNull": True, "id": {"isNull": True}}},
        {"number": {"eq": 4}, "assignee": {"isNull": True, "fullName": {}}},
        {"number": {"eq": 4}, "assignee": {"isNull": False, "isMe": True}},
        {"and": [{"title": {"eq": "a"}}, {"title": {"eq": "b"}}]},
    ],
    ids=str,
)
async def test_what_can_be_is_no_contradiction(world: World, filter_: dict[str, Any]) -> None:
    reply = await world.run(TASKS, await world.person(), filter=filter_)
    assert reply.good["tasks"]["totalCount"] == 0
