"""Filters by a part of a text: the rows that have it are looked up first.

An index of all pieces of three characters finds these rows (`db.base.pieces`). If they are few, the
list is read from them alone. If they are many, the list is read in its order, and enough of its
rows have the text. PostgreSQL cannot decide that by itself, since it does not know how many rows
contain a text. Rights and all other conditions are the list's own: a look-up changes no result.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Text, bindparam, literal_column, select
from sqlalchemy.orm import aliased

from auth.viewer import NOBODY
from db.base import Base, pieces
from db.read import Fetching
from db.statements import Plan, Statement
from graph.kit.criteria import Criterion
from graph.kit.filter_values import Binds, LookUp, Path, Values
from graph.kit.predicates import filter_shape

# So many rows are few: they are read and sorted within a millisecond. If there are more of some
# 100,000, a page of them is found within so many milliseconds in any order.
MOST: Final = 500
# Of one filter; a person's has one or two. The rows of further conditions are not looked up.
MOST_LOOK_UPS: Final = 5


async def shaped_filter(filter_: Any, path: Path, reader: Fetching) -> tuple[Hashable, Values]:
    """The shape of a filter, and its values."""
    values = Values()
    if filter_ is None:
        return None, values
    shape = filter_shape(filter_, values, path)
    if not values.look_ups:
        return shape, values
    found = [await _rows(look_up, reader) for look_up in values.look_ups[:MOST_LOOK_UPS]]
    known = Values([*found, *[None] * (len(values.look_ups) - len(found))])
    return filter_shape(filter_, known, path), known


async def _rows(look_up: LookUp, reader: Fetching) -> list[UUID] | None:
    values = Values()
    values.list += look_up.values
    statement = _statement(look_up.criterion, look_up.model, look_up.shape)
    rows = await reader.fetch(statement, {**values.params(), "pieces": look_up.pieces})
    return [row.id for row in rows] if len(rows) <= MOST else None


@lru_cache(maxsize=200)
def _statement(criterion: Criterion, model: type[Base], shape: Hashable) -> Statement:
    entity: Any = aliased(model)
    wanted = bindparam("pieces", type_=ARRAY(Text()))
    # OFFSET keeps the planner, which does not know how many rows have these pieces, from reading
    # the table in the hope of many.
    found = (
        select(entity.id)
        .where(
            pieces(entity).contains(wanted),
            criterion.build(shape, entity, NOBODY, Binds()),
        )
        .offset(literal_column("0", Integer()))
        .subquery()
    )
    query = select(found.c.id).limit(literal_column(str(MOST + 1), Integer()))
    return Statement(query, plan=Plan.ONCE)
