"""The counters of tasks (`db.models.counters`): add up changes, recount, repair.

`merge` moves changes into the counts that they belong to. Readers add up both, in one snapshot, so
it never shows. `differences` recounts everything from the rows themselves, in batches of lists and
of tasks; each batch is one statement, so that changes meanwhile are in both numbers or in none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from db.engine import Database
from db.pool import Connection

# Changes that are merged in one transaction: readers of events wait while it writes.
MERGED: Final = 5_000
# Rows of one statement.
BATCH: Final = 2_000
LISTS: Final = 100
_LOCK: Final = int.from_bytes(b"counters", "big", signed=True)


@dataclass(frozen=True, slots=True)
class _Counts:
    """A table of counts. `counted`: how to count the rows of some lists, `$1`, again."""

    table: str
    keys: tuple[str, ...]
    counted: str

    @property
    def changes(self) -> str:
        return self.table.replace("_counts", "_count_changes")


_LIST: Final = "coalesce(tasks.project_id, tasks.owner_id)"
# The two conditions are found by indexes; together they say that the list is one of these.
_IN_LISTS: Final = (
    "tasks.deleted_at IS NULL AND (tasks.project_id = ANY($1) "
    "OR tasks.project_id IS NULL AND tasks.owner_id = ANY($1))"
)
_COUNTS: Final = (
    _Counts(
        "list_counts",
        ("list_id", "status", "priority"),
        f"SELECT {_LIST}, tasks.status, tasks.priority, 1 FROM tasks WHERE {_IN_LISTS}",
    ),
    _Counts(
        "tag_counts",
        ("list_id", "tag_key", "tag"),
        f"SELECT {_LIST}, pair.tag_key, pair.tag, 1 "
        "FROM tasks, unnest(tasks.tag_keys, tasks.tags) AS pair (tag_key, tag) "
        "WHERE pair.tag_key IS NOT NULL AND pair.tag IS NOT NULL "
        f"AND {_IN_LISTS}",
    ),
)


def _merging(counts: _Counts) -> str:
    keys = ", ".join(counts.keys)
    return (
        f"WITH first AS (SELECT id FROM {counts.changes} ORDER BY id LIMIT $1), "
        f"gone AS (DELETE FROM {counts.changes} WHERE id IN (SELECT id FROM first) "
        f"RETURNING {keys}, tasks), "
        f"added AS (SELECT {keys}, sum(tasks) AS tasks FROM gone GROUP BY {keys} "
        f"HAVING sum(tasks) <> 0 ORDER BY {keys}), "
        f"kept AS (INSERT INTO {counts.table} AS counts ({keys}, tasks) SELECT * FROM added "
        f"ON CONFLICT ({keys}) DO UPDATE SET tasks = counts.tasks + excluded.tasks) "
        "SELECT count(*) FROM gone"
    )


async def merge(database: Database, *, most: int = MERGED) -> bool:
    """Move all changes into the counts, some in each transaction. False if another process is doing
    it.
    """
    for counts in _COUNTS:
        moved = most
        while moved == most:
            async with database.connection() as connection, connection.transaction():
                if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
                    return False
                if not await connection.fetchval(f"SELECT EXISTS (SELECT FROM {counts.changes})"):
                    break
                moved = await connection.fetchval(_merging(counts), most)
                await connection.execute(f"DELETE FROM {counts.table} WHERE tasks = 0")
    return True


# --- recounting ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter that is wrong: where, what it says (None: nothing), and what is right."""

    table: str
    key: tuple[Any, ...]
    names: tuple[str, ...]
    found: int | None
    right: int | None

    def __str__(self) -> str:
        place = ", ".join(
            f"{name} {value}" for name, value in zip(self.names, self.key, strict=True)
        )
        found = "nothing" if self.found is None else self.found
        right = "nothing" if self.right is None else self.right
        return f"{self.table}: {place}: {found} instead of {right}"


_TASKS = """
WITH batch AS (
    SELECT ids.id FROM (
        (SELECT id FROM tasks WHERE id > $1 ORDER BY id LIMIT $2)
        UNION (SELECT task_id FROM task_counters WHERE task_id > $1 ORDER BY task_id LIMIT $2)
    ) ids ORDER BY id LIMIT $2
)
SELECT batch.id, counters.task_id IS NOT NULL AS found, tasks.id IS NOT NULL AS is_right,
    counters.comments, counters.attachments,
    (SELECT count(*) FROM comments WHERE task_id = batch.id AND removed_at IS NULL) AS written,
    (SELECT count(*) FROM attachments WHERE task_id = batch.id) AS attached
FROM batch
LEFT JOIN tasks ON tasks.id = batch.id
LEFT JOIN task_counters counters ON counters.task_id = batch.id
ORDER BY batch.id
"""
_LISTS = """
SELECT id FROM (
    (SELECT id FROM projects WHERE id > $1 ORDER BY id LIMIT $2)
    UNION (SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2)
    UNION (SELECT DISTINCT list_id FROM list_counts WHERE list_id > $1 ORDER BY 1 LIMIT $2)
    UNION (SELECT DISTINCT list_id FROM tag_counts WHERE list_id > $1 ORDER BY 1 LIMIT $2)
    UNION (SELECT DISTINCT list_id FROM list_count_changes WHERE list_id > $1 ORDER BY 1 LIMIT $2)
    UNION (SELECT DISTINCT list_id FROM tag_count_changes WHERE list_id > $1 ORDER BY 1 LIMIT $2)
) ids ORDER BY id LIMIT $2
"""


def _compared(counts: _Counts) -> str:
    keys = ", ".join(counts.keys)
    return (
        f"SELECT {keys}, sum(kept) AS kept, sum(counted) AS counted FROM ("
        f"SELECT {keys}, tasks AS kept, 0 AS counted FROM {counts.table} WHERE list_id = ANY($1) "
        f"UNION ALL SELECT {keys}, tasks, 0 FROM {counts.changes} WHERE list_id = ANY($1) "
        f"UNION ALL SELECT {keys}, 0, n FROM ({counts.counted}) AS rows ({keys}, n)) compared "
        f"GROUP BY {keys} HAVING sum(kept) <> sum(counted) ORDER BY {keys}"
    )


async def differences(database: Database) -> AsyncIterator[Difference]:
    """All counters that are wrong."""
    async with database.connection() as connection:
        async for difference in _of_tasks(connection):
            yield difference
        async for difference in _of_lists(connection):
            yield difference


async def _of_tasks(connection: Connection) -> AsyncIterator[Difference]:
    after = UUID(int=0)
    while rows := await connection.fetch(_TASKS, after, BATCH):
        after = rows[-1]["id"]
        for row in rows:
            for name, right in (("comments", "written"), ("attachments", "attached")):
                found = row[name] if row["found"] else None
                expected = row[right] if row["is_right"] else None
                if found != expected:
                    key = (row["id"], name)
                    yield Difference("task_counters", key, ("task", "column"), found, expected)


async def _of_lists(connection: Connection) -> AsyncIterator[Difference]:
    after = UUID(int=0)
    while rows := await connection.fetch(_LISTS, after, LISTS):
        lists = [row["id"] for row in rows]
        after = lists[-1]
        for counts in _COUNTS:
            for row in await connection.fetch(_compared(counts), lists):
                key = tuple(row[name] for name in counts.keys)
                yield Difference(counts.table, key, counts.keys, row["kept"], row["counted"])


async def repair(database: Database, difference: Difference) -> None:
    """Set a counter right, by another count of what it counts, beside which nothing changes."""
    async with database.connection() as connection, connection.transaction():
        if difference.table == "task_counters":
            task_id, _ = difference.key
            # Excludes new comments and attachments of the task.
            await connection.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", task_id)
            await connection.execute(_REPAIR_TASK, task_id)
            await connection.execute(_DELETE_TASK, task_id)
            return
        (counts,) = (one for one in _COUNTS if one.table == difference.table)
        keys = ", ".join(counts.keys)
        place = " AND ".join(f"{key} = ${n}" for n, key in enumerate(counts.keys, start=2))
        # One statement, and a change like any other, so that nothing needs to wait.
        await connection.execute(
            f"INSERT INTO {counts.changes} ({keys}, tasks) "
            f"SELECT {keys}, counted - kept FROM ({_compared(counts)}) wrong WHERE {place}",
            [difference.key[0]],
            *difference.key,
        )


_REPAIR_TASK = """
INSERT INTO task_counters AS counters (task_id, comments, attachments)
SELECT tasks.id,
    (SELECT count(*) FROM comments WHERE task_id = tasks.id AND removed_at IS NULL),
    (SELECT count(*) FROM attachments WHERE task_id = tasks.id)
FROM tasks WHERE tasks.id = $1
ON CONFLICT (task_id) DO UPDATE
SET comments = excluded.comments, attachments = excluded.attachments
"""
_DELETE_TASK = (
    "DELETE FROM task_counters WHERE task_id = $1 AND NOT EXISTS (SELECT FROM tasks WHERE id = $1)"
)
