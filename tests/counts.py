"""The counters of tasks, counted again in Python from all rows of the tests' database."""

from __future__ import annotations

from collections import Counter
from typing import Any

from db.engine import Database

Numbers = dict[tuple[Any, ...], int]


async def wrong_counters(database: Database) -> dict[str, tuple[Numbers, Numbers]]:
    """Of each kind, what is kept and what is right, where they differ."""
    async with (
        database.connection() as rows,
        rows.transaction(isolation="repeatable_read"),
    ):
        return await wrong_in(rows)


async def wrong_in(rows: Any) -> dict[str, tuple[Numbers, Numbers]]:
    """The same by a connection of the driver, all of whose statements see the same rows."""
    tasks = await rows.fetch("SELECT * FROM tasks")
    comments = Counter(
        comment["task_id"]
        for comment in await rows.fetch("SELECT task_id, removed_at FROM comments")
        if comment["removed_at"] is None
    )
    attachments = Counter(
        row["task_id"] for row in await rows.fetch("SELECT task_id FROM attachments")
    )
    counters = await rows.fetch("SELECT * FROM task_counters")
    kept = {
        name: [
            *await rows.fetch(f"SELECT * FROM {name}_counts"),
            *await rows.fetch(f"SELECT * FROM {name}_count_changes"),
        ]
        for name in ("list", "tag")
    }
    lists: Counter[Any] = Counter()
    tags: Counter[Any] = Counter()
    for task in tasks:
        if task["deleted_at"] is None:
            list_id = task["project_id"] or task["owner_id"]
            lists[list_id, task["status"], task["priority"]] += 1
            for pair in zip(task["tag_keys"], task["tags"], strict=False):
                tags[list_id, *pair] += 1
    right: dict[str, Numbers] = {
        "comments": {(task["id"],): comments[task["id"]] for task in tasks},
        "attachments": {(task["id"],): attachments[task["id"]] for task in tasks},
        "lists": dict(lists),
        "tags": dict(tags),
    }
    found: dict[str, Numbers] = {
        "comments": {(row["task_id"],): row["comments"] for row in counters},
        "attachments": {(row["task_id"],): row["attachments"] for row in counters},
        "lists": _sums(kept["list"], "status", "priority"),
        "tags": _sums(kept["tag"], "tag_key", "tag"),
    }
    return {
        name: (
            {key: n for key, n in found[name].items() if right[name].get(key) != n},
            {key: n for key, n in right[name].items() if found[name].get(key) != n},
        )
        for name in right
        if right[name] != found[name]
    }


def _sums(rows: list[Any], *keys: str) -> Numbers:
    sums: Counter[Any] = Counter()
    for row in rows:
        sums[row["list_id"], *(row[key] for key in keys)] += row["tasks"]
    return {key: n for key, n in sums.items() if n}
