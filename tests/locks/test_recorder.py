"""The recorder sees every lock of a real transaction, and the analysis finds what can deadlock."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from settings import Settings
from tests.cancellation.state import state_of
from tests.locks.order import inversions
from tests.locks.recorder import (
    KEY_SHARE,
    MODES,
    NO_KEY_UPDATE,
    SHARE,
    UPDATE,
    Recorder,
    Row,
    Taken,
    Trace,
)

NAME = "application"
TABLES = """
CREATE TABLE parents (id int PRIMARY KEY, name text);
CREATE TABLE children (id int PRIMARY KEY, parent_id int NOT NULL REFERENCES parents, name text);
INSERT INTO parents SELECT n, 'parent' FROM generate_series(1, 5) n;
INSERT INTO children SELECT n, n, 'child' FROM generate_series(1, 5) n;
"""
Record = Callable[..., Awaitable[Trace]]


@pytest.fixture
async def record(settings: Settings) -> AsyncIterator[Record]:
    """Records one transaction of some statements."""
    async with AsyncExitStack() as stack:
        server = await asyncpg.connect(settings.database.dsn)
        stack.push_async_callback(server.close)
        name = f"locks_{secrets.token_hex(6)}"
        await server.execute(f"CREATE DATABASE {name}")
        stack.push_async_callback(server.execute, f"DROP DATABASE {name} WITH (FORCE)")
        url = urlunsplit(urlsplit(settings.database.dsn)._replace(path=f"/{name}"))
        own: asyncpg.Connection[Any] = await asyncpg.connect(
            url, server_settings={"application_name": NAME}
        )
        stack.push_async_callback(own.close)
        await own.execute(TABLES)
        listeners: list[Callable[[str], None]] = []
        state = await stack.enter_async_context(state_of(url, NAME))
        recorder = Recorder(state, url, listeners)
        await recorder.prepare()
        stack.push_async_callback(recorder.close)

        async def recorded(*statements: str, name: str = "operation") -> Trace:
            async def run() -> None:
                async with own.transaction():
                    for statement in statements:
                        for listener in listeners:
                            listener(statement)
                        await own.execute(statement)

            return await recorder.trace(name, run)

        yield recorded


def _parent(id_: int, mode: int) -> Taken:
    return Taken(Row("parents", str(id_)), mode)


@pytest.mark.parametrize("mode", range(4))
async def test_the_mode_is_recorded(record: Record, mode: int) -> None:
    trace = await record(f"SELECT FROM parents WHERE id = 3 {MODES[mode]}")
    assert trace.transactions == [[_parent(3, mode)]]


async def test_rows_are_recorded_in_the_order_in_which_they_are_locked(record: Record) -> None:
    trace = await record(
        "SELECT FROM (SELECT * FROM parents ORDER BY id DESC) p WHERE id < 4",
        "SELECT id FROM parents WHERE id IN (2, 4) ORDER BY id DESC FOR UPDATE",
        "INSERT INTO children VALUES (10, 5), (11, 3), (12, 1)",
        "UPDATE children SET name = 'new' WHERE id = 1",
        "DELETE FROM children WHERE id = 2",
    )
    assert trace.transactions == [
        [
            *(_parent(4, UPDATE), _parent(2, UPDATE)),
            # By the foreign keys of the new rows.
            *(_parent(5, KEY_SHARE), _parent(3, KEY_SHARE), _parent(1, KEY_SHARE)),
            Taken(Row("children", "1"), NO_KEY_UPDATE),
            Taken(Row("children", "2"), UPDATE),
        ]
    ]
    assert not trace.untold


async def test_a_lock_that_grows_is_recorded_each_time(record: Record) -> None:
    trace = await record(
        "SELECT FROM parents WHERE id = 1 FOR KEY SHARE",
        "SELECT FROM parents WHERE id = 1 FOR SHARE",
        "UPDATE parents SET name = 'new' WHERE id = 1",
        "SELECT FROM parents WHERE id = 1 FOR UPDATE",
    )
    modes = [KEY_SHARE, SHARE, NO_KEY_UPDATE, UPDATE]
    assert trace.transactions == [[_parent(1, mode) for mode in modes]]


async def test_what_is_passed_over_is_told(record: Record) -> None:
    trace = await record("SELECT id FROM parents WHERE id = 1 FOR UPDATE SKIP LOCKED")
    assert trace.transactions == []
    assert trace.untold == {Row("parents", "1")}
    assert trace.passed == {"parents"}


BULK = "SELECT id FROM parents WHERE id IN (2, 4) ORDER BY id {}"
NOTES = "INSERT INTO children VALUES (10, 4), (11, 2)"
KEEP = "SELECT id FROM parents WHERE id IN (2, 4) ORDER BY id FOR KEY SHARE"


@pytest.mark.parametrize(
    ("one", "other", "deadlocks"),
    [
        # What the worker and a bulk mutation once did, and its two remedies.
        ([BULK.format("FOR UPDATE")], [NOTES], True),
        ([BULK.format("FOR NO KEY UPDATE")], [NOTES], False),
        ([BULK.format("FOR UPDATE")], [KEEP, NOTES], False),
        # Two tables in two orders.
        (
            ["UPDATE parents SET name = '' WHERE id = 1", "UPDATE children SET name = ''"],
            ["DELETE FROM children WHERE id = 1", "UPDATE parents SET name = '' WHERE id = 1"],
            True,
        ),
        # Both hold what the other one wants more of.
        ([KEEP, BULK.format("FOR UPDATE")], [KEEP], True),
        ([KEEP, BULK.format("FOR NO KEY UPDATE")], [KEEP], False),
        # Nobody is there at the same time.
        (
            ["UPDATE parents SET name = '' WHERE id = 1", BULK.format("FOR UPDATE")],
            ["UPDATE parents SET name = '' WHERE id = 1", NOTES],
            False,
        ),
    ],
)
async def test_inversions_are_found(
    record: Record, one: list[str], other: list[str], deadlocks: bool
) -> None:
    traces = [await record(*one, name="one"), await record(*other, name="other")]
    assert bool(inversions(traces)) is deadlocks
