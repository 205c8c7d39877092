"""Removes what belongs to rows, some at a time, before the rows themselves are deleted.

Foreign keys would do it too, but within one statement: with a project, a million time entries would
lose it at once. The keys stay for what is added meanwhile. The tables are found by their foreign
keys, so that none is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    CursorResult,
    Select,
    Table,
    delete,
    select,
    tuple_,
    update,
)

from db.base import Base
from db.rows import among
from domain.work import Work

MOST = 500
"""Rows of each table in one call: readers of events wait while a transaction writes."""


async def remove_some(work: Work, model: type[Base], ids: Sequence[UUID]) -> bool:
    """Remove up to `MOST` rows of each table that belong to these rows, as their foreign keys
    would: rows with all that belongs to them in turn, or only the reference. Returns whether there
    may be more.
    """
    return await _remove_some(work, model.metadata.tables[model.__tablename__], ids)


async def _remove_some(work: Work, table: Table, ids: Sequence[UUID]) -> bool:
    more = False
    for column, cascades in _references(table):
        keys = list(column.table.primary_key)
        some = select(*keys).where(among(column, ids)).limit(MOST)
        if cascades and len(keys) == 1:
            found = list(await work.session.scalars(some))
            if not found:
                continue
            if await _remove_some(work, column.table, found):
                more = True
                continue
            some = some.where(among(keys[0], found))
        more |= await _change(work, column, keys, some, cascades=cascades) == MOST
    return more


async def _change(
    work: Work, column: Column[Any], keys: list[Column[Any]], some: Select[Any], *, cascades: bool
) -> int:
    these = tuple_(*keys).in_(some)
    statement = (
        delete(column.table).where(these)
        if cascades
        else update(column.table).where(these).values({column: None})
    )
    done = await work.session.execute(statement)
    assert isinstance(done, CursorResult)
    return done.rowcount


def _references(table: Table) -> Iterator[tuple[Column[Any], bool]]:
    """The columns whose foreign keys refer to a table and act when a row is deleted; whether they
    delete too.
    """
    for other in table.metadata.sorted_tables:
        for column in other.columns:
            for key in column.foreign_keys:
                if key.column.table is table and key.ondelete is not None:
                    yield column, key.ondelete == "CASCADE"
