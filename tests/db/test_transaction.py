"""A transaction's session and statements share one transaction; dead connections go unnoticed."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import Text, bindparam, func, insert, literal, select, text
from sqlalchemy.exc import IntegrityError

from db.engine import Database
from db.models import LogEpoch
from db.statements import Statement
from graph.core.context import Services

EPOCH = UUID(int=7)

_ADD = Statement(
    insert(LogEpoch)
    .values(id=bindparam("new_id"), epoch=EPOCH, system_identifier=bindparam("made_by"))
    .returning(LogEpoch.id)
)
_COUNT = Statement(
    select(func.count().label("count")).where(
        LogEpoch.system_identifier == bindparam("made_by", type_=Text())
    )
)


@pytest.fixture
def database(services: Services) -> Database:
    return services.database


class UndoneError(Exception):
    """An error raised by a test."""


async def count(database: Database, name: str) -> int:
    return int((await database.reader.fetch(_COUNT, {"made_by": name}))[0].count)


async def test_statements_and_session_see_each_other_and_end_together(database: Database) -> None:
    with pytest.raises(UndoneError):  # noqa: PT012 - a whole transaction is meant
        async with database.transaction() as transaction:
            await transaction.fetch(_ADD, {"new_id": 101, "made_by": "both"})
            transaction.session.add(LogEpoch(id=102, epoch=EPOCH, system_identifier="both"))
            rows = await transaction.fetch(_COUNT, {"made_by": "both"})
            assert rows[0].count == 2, "what the session holds is written before a statement"
            assert await transaction.session.get(LogEpoch, 101) is not None
            raise UndoneError
    assert await count(database, "both") == 0


async def test_a_statement_alone_commits_and_rolls_back(database: Database) -> None:
    with pytest.raises(UndoneError):  # noqa: PT012 - a whole transaction is meant
        async with database.transaction() as transaction:
            await transaction.fetch(_ADD, {"new_id": 103, "made_by": "alone"})
            raise UndoneError
    assert await count(database, "alone") == 0
    async with database.transaction() as transaction:
        await transaction.fetch(_ADD, {"new_id": 103, "made_by": "alone"})
    assert await count(database, "alone") == 1


async def test_a_session_that_does_nothing_loses_nothing(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.fetch(_ADD, {"new_id": 114, "made_by": "beside"})
        assert not transaction.session.new
    assert await count(database, "beside") == 1


async def test_a_rollback_of_the_session_rolls_back_the_transaction(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.fetch(_ADD, {"new_id": 104, "made_by": "undone"})
        await transaction.session.rollback()
    assert await count(database, "undone") == 0


async def test_a_broken_rule_raises_the_same_error_as_a_session(database: Database) -> None:
    with pytest.raises(IntegrityError) as caught:  # noqa: PT012 - as above
        async with database.transaction() as transaction:
            for _ in range(2):
                await transaction.fetch(_ADD, {"new_id": 105, "made_by": "twice"})
    assert getattr(caught.value.orig, "constraint_name", None) == "pk_log_epoch"
    assert await count(database, "twice") == 0


async def test_connections_that_the_server_closed_are_replaced(database: Database) -> None:
    pid = Statement(select(func.pg_backend_pid().label("pid")))
    async with database.transaction() as first, database.transaction() as second:
        pids = [(await each.fetch(pid, {}))[0].pid for each in (first, second)]
    async with database.transaction() as transaction:
        own = (await transaction.fetch(pid, {}))[0].pid
        for other in set(pids) - {own}:
            await transaction.session.execute(text("SELECT pg_terminate_backend(:p)"), {"p": other})
    for _ in range(4):
        async with database.transaction() as transaction:
            assert (await transaction.fetch(Statement(select(literal(1).label("one"))), {}))[0].one
