"""`totalCount`: how many rows a list has, counted no further than its description says.

A list may have millions of rows, and nobody needs to know exactly how many. A count stops at one
more than the bound, so that its time does not grow with the table.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, func, literal_column, select

EXACT_UP_TO = 10_000
DESCRIPTION = f"Exact up to {EXACT_UP_TO:,}; {EXACT_UP_TO + 1:,} means more."


def limit() -> ColumnElement[int]:
    """The most rows that are counted. Not a parameter: PostgreSQL needs it to plan."""
    return literal_column(str(EXACT_UP_TO + 1), Integer())


def number_of(rows: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """The statement that counts the rows of a query."""
    counted = rows.limit(limit()).subquery("counted_rows")
    return select(func.count().label("total")).select_from(counted)


def bounded(total: int) -> int:
    """What `totalCount` says of this many rows."""
    return min(total, EXACT_UP_TO + 1)
