"""No matter what is cancelled and where: a connection is never reused unless it is idle."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import bindparam, func, insert, literal, select
from sqlalchemy.exc import DBAPIError

from db.engine import Database
from db.models import LogEpoch
from db.pool import Connection
from db.statements import Statement
from settings import Settings
from tests.cancelling import Strike, at_every_step, cancel
from tests.db.test_transaction import _ADD, EPOCH

_ids = itertools.count(10_000)
BLOWS = [cancel(strike, times=times) for strike in Strike for times in (1, 2)]
NAMES = [f"{strike.value}-{times}" for strike in Strike for times in (1, 2)]


@pytest.fixture
async def watch(settings: Settings) -> AsyncIterator[Connection]:
    """A connection outside the pools."""
    connection = await asyncpg.connect(settings.database.dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def small(settings: Settings) -> AsyncIterator[Database]:
    """Pools of one."""
    made = settings.database.model_copy(update={"connections": 4, "pool_timeout_seconds": 5.0})
    dsn = f"{made.dsn}{'&' if '?' in made.dsn else '?'}application_name=small"
    database = await Database.connect(made.model_copy(update={"url": dsn}))
    yield database
    await database.close()


async def settled(watch: Connection) -> None:
    """Every backend of the pools is idle and outside a transaction, once those whose connection was
    closed have noticed it: much earlier than the server would end them by itself.
    """
    async with asyncio.timeout(3):
        while await watch.fetch(
            "SELECT state, query FROM pg_stat_activity WHERE application_name = 'small'"
            " AND state <> 'idle'"
        ):
            await asyncio.sleep(0.005)


async def rows_of(watch: Connection, number: int) -> int:
    return int(await watch.fetchval("SELECT count(*) FROM log_epoch WHERE id = $1", number))


@pytest.mark.parametrize("blow", BLOWS, ids=NAMES)
@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
async def test_a_transaction_leaves_its_connection_idle_or_closed(
    settings: Settings, small: Database, watch: Connection, blow: Any, cold: bool
) -> None:
    number = 0

    async def change() -> None:
        async with small.transaction() as transaction:
            await transaction.fetch(_ADD, {"new_id": number, "made_by": "struck"})
            transaction.session.add(
                LogEpoch(id=number + 1, epoch=EPOCH, system_identifier="struck")
            )

    async def after(at: int, result: Any) -> None:
        nonlocal number
        await settled(watch)
        both = await rows_of(watch, number), await rows_of(watch, number + 1)
        assert both in {(0, 0), (1, 1)}, f"half of it is done at {at}"
        # What is acknowledged is committed, as the next connection shows too.
        if result is None:
            assert both == (1, 1)
        number = next(_ids) * 2
        async with asyncio.timeout(10), small.transaction() as transaction:
            await transaction.fetch(_ADD, {"new_id": number, "made_by": "next"})
        assert await rows_of(watch, number) == 1, f"acknowledged and lost, after a blow at {at}"
        number = next(_ids) * 2
        if cold:
            await watch.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'small'"
            )
            await asyncio.sleep(0.02)

    number = next(_ids) * 2
    if not cold:
        async with small.transaction():
            pass
    assert await at_every_step(change, blow, after) > 3


@pytest.mark.parametrize("blow", BLOWS, ids=NAMES)
@pytest.mark.parametrize("way", ["read", "single", "session"])
async def test_a_cancelled_statement_does_not_become_the_next_ones(
    small: Database, watch: Connection, way: str, blow: Any
) -> None:
    number = 0

    async def statement() -> None:
        nonlocal number
        number = next(_ids) * 2
        if way == "read":
            # A different text each time, so that each statement is prepared first.
            read = Statement(select(literal(1).label(f"one_{number}")))
            await small.reader.fetch(read, {})
        elif way == "single":
            add = Statement(
                insert(LogEpoch)
                .values(id=number, epoch=EPOCH, system_identifier=f"single {number}")
                .returning(LogEpoch.id.label(f"id_{number}"))
            )
            await small.single.fetch(add, {})
        else:
            async with small.session() as session, session.begin():
                await session.execute(select(func.now().label(f"now_{number}")))

    async def after(at: int, result: Any) -> None:
        del at, result
        await settled(watch)

    assert await at_every_step(statement, blow, after) > 1


async def test_an_unsendable_value_leaves_no_statement_pending(
    small: Database, watch: Connection
) -> None:
    """The driver notices it after the statement is prepared, and does not tell the server."""
    read = Statement(select(LogEpoch.id.label("odd")).where(LogEpoch.id == bindparam("wanted")))
    add = Statement(
        insert(LogEpoch)
        .values(id=bindparam("new_id"), epoch=EPOCH, system_identifier="odd")
        .returning(LogEpoch.id.label("odd_id"))
    )
    for _ in range(2):
        with pytest.raises(asyncpg.DataError):
            await small.reader.fetch(read, {"wanted": "no number"})
        await settled(watch)
        with pytest.raises(DBAPIError):
            await small.single.fetch(add, {"new_id": "no number"})
        await settled(watch)
        with pytest.raises(DBAPIError):
            async with small.transaction() as transaction:
                await transaction.fetch(add, {"new_id": "no number"})
        await settled(watch)
