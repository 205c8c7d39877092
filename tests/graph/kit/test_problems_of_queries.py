"""Of a query's arguments too, everything that is wrong is said at once."""

from __future__ import annotations

import pytest

from tests.factories import World

CASES = [
    (
        """
        { timeReport(
            filter: { firstDay: "2026-02-01", lastDay: "2026-01-01", entries: {
              task: { id: { eq: "x" } }, description: { contains: "LONG" } } }
            groupBy: [DAY, DAY], timezone: "CET") { total } }
        """,
        [
            ["filter", "lastDay"],
            ["filter", "entries", "task", "id", "eq"],
            ["filter", "entries", "description", "contains"],
            ["groupBy", "1"],
            ["timezone"],
        ],
    ),
    (
        '{ reminderPreview(rule: { monthly: { day: 32, time: "x", timezone: "y" } }, first: 101) }',
        [
            ["rule", "monthly", "time"],
            ["rule", "monthly", "timezone"],
            ["rule", "monthly", "day"],
            ["first"],
        ],
    ),
    (
        "{ reminderPreview(rule: { due: { offset: 99999999 } }, first: -1) }",
        [["rule", "due", "offset"], ["taskId"], ["first"]],
    ),
    (
        '{ search(query: "", filter: { project: { id: { eq: "x" } } }) { totalCount } }',
        [["query"], ["filter", "project", "id", "eq"]],
    ),
    (
        '{ search(query: "?!", filter: { project: { id: { eq: "x" } } }) { totalCount } }',
        [["query"], ["filter", "project", "id", "eq"]],
    ),
    (
        """
        { users(filter: { id: { in: ["x", "task_018f3a1c5b7e7d3e8f00112233445566"] },
            username: { eq: "LONG" } }) { totalCount } }
        """,
        [["filter", "id", "in", "0"], ["filter", "id", "in", "1"], ["filter", "username", "eq"]],
    ),
    (
        '{ taskStats(groupBy: [TAG, TAG], filter: { id: { eq: "x" }, search: "" }) { total } }',
        [["groupBy", "1"], ["filter", "id", "eq"], ["filter", "search"]],
    ),
]


@pytest.mark.parametrize(("query", "places"), CASES)
async def test_all_problems_of_a_query(world: World, query: str, places: list[list[str]]) -> None:
    reply = await world.run(query.replace("LONG", "x" * 1_001), await world.person())
    found = [error["extensions"]["argumentPath"] for error in reply.errors]
    assert sorted(found) == sorted(places)
    assert {error["extensions"]["code"] for error in reply.errors} == {"BAD_USER_INPUT"}
