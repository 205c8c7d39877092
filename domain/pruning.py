"""Deletes rows whose time is over, some at a time.

What piles up while no worker runs is more than one statement may take, and a statement that is too
slow each time never ends it. So callers repeat this until nothing is left, each time in a
transaction of its own (`jobs.periodic`).
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, CursorResult, delete, inspect, select, tuple_

from domain.work import Work

MOST: Final = 2_000
"""Rows in one statement."""


async def delete_some(
    work: Work, model: Any, over: ColumnElement[bool], *, most: int | None = None
) -> int:
    """Delete up to `most` rows (`MOST`) of which this holds; returns how many."""
    keys = inspect(model).primary_key
    some = select(*keys).where(over).limit(MOST if most is None else most)
    statement = delete(model).where(tuple_(*keys).in_(some))
    done = await work.session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(done, CursorResult)
    return done.rowcount
