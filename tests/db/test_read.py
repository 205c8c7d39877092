"""Which reads PostgreSQL plans once, which it plans for their values, and when they are made."""

from __future__ import annotations

import asyncio
import threading
import uuid

from sqlalchemy import ARRAY, Uuid, bindparam, column, func, literal, select, table, text
from sqlalchemy.orm import aliased

from db.engine import Database
from db.models import Task
from db.statements import Plan, Statement, kept

_MODES = [
    (Plan.ONCE, "force_generic_plan"),
    (Plan.GUESSED, "auto"),
    (Plan.EACH, "force_custom_plan"),
]


async def test_a_statement_is_planned_as_declared(database: Database) -> None:
    """Whatever was read before on the same connection."""
    for declared, mode in [*_MODES, *reversed(_MODES), *_MODES]:
        modes = select(func.current_setting("plan_cache_mode").label("mode"))
        (row,) = await database.reader.fetch(Statement(modes, plan=declared), {})
        assert row.mode == mode


async def test_a_statement_planned_once_is_not_planned_for_each_read(database: Database) -> None:
    task = aliased(Task, name=f"task_{uuid.uuid4().hex}")
    keys = bindparam("keys", type_=ARRAY(Uuid()))
    read = Statement(select(task.id).where(task.id == keys.any_()), plan=Plan.ONCE)
    for _ in range(12):
        await database.reader.fetch(read, {"keys": [uuid.uuid4()]})
    prepared = table("pg_prepared_statements", *map(column, ("statement", "custom_plans")))
    plans = Statement(
        select(prepared.c.custom_plans).where(prepared.c.statement == read.text), plan=Plan.ONCE
    )
    rows = await database.reader.fetch(plans, {})
    assert [row.custom_plans for row in rows] == [0]


async def test_a_snapshot_reads_the_state_of_one_moment(database: Database) -> None:
    name = f"moments_{uuid.uuid4().hex}"
    numbers = table(name, column("n"))
    count = Statement(
        select(
            func.count().label("count"),
            func.now().label("now"),
        ).select_from(numbers)
    )
    rows = Statement(select(numbers.c.n).order_by(numbers.c.n))

    async def write(statement: str) -> None:
        async with database.session() as session, session.begin():
            await session.execute(text(statement))

    await write(f"CREATE TABLE {name} (n int)")
    await write(f"INSERT INTO {name} VALUES (1), (2), (3)")
    async with database.reader.snapshot() as snapshot:
        await write(f"INSERT INTO {name} VALUES (4)")
        await write(f"DELETE FROM {name} WHERE n = 1")
        first = await snapshot.fetch(count, {})
        found = []
        async for chunk in snapshot.stream(rows, {}, chunk=2):
            found += [row.n for row in chunk]
            await write(f"UPDATE {name} SET n = n + 10")
        assert found == [1, 2, 3]
        assert await snapshot.fetch(count, {}) == first
        assert (first[0].count, first[0].now) == (3, snapshot.moment)
    (after,) = await database.reader.fetch(count, {})
    assert after.count == 3
    assert after.now > snapshot.moment


async def test_snapshots_leave_a_connection_to_other_reads(database: Database) -> None:
    """Exports take minutes, and webhooks must not wait for them."""
    one = Statement(select(literal(1).label("one")), plan=Plan.GUESSED)
    ends = asyncio.Event()
    begun = 0

    async def export() -> None:
        nonlocal begun
        async with database.reader.snapshot():
            begun += 1
            await ends.wait()

    size = database.reader.pools()["filtered_reads"].size
    exports = [asyncio.create_task(export()) for _ in range(size + 1)]
    async with asyncio.timeout(60):
        while begun < size - 1:
            await asyncio.sleep(0.01)
        await database.reader.fetch(one, {})
        ends.set()
        await asyncio.gather(*exports)
    assert begun == size + 1


async def test_statements_are_made_once_and_beside_the_loop() -> None:
    threads: list[int] = []

    @kept(2)
    def make(number: int) -> Statement:
        threads.append(threading.get_ident())
        return Statement(select(literal(number).label("number")))

    first, *others = await asyncio.gather(*(make.ready(1) for _ in range(3)))
    assert all(each is first for each in others)
    assert make(1) is first
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
    assert await make.ready(2) is make(2)
    await make.ready(3)
    assert make(1) is not first, "only the two that were used last are kept"
