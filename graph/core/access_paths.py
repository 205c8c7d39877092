"""What is read of all that somebody sees, where that is little of much.

A list at the root walks the index of its ordering and tests the rights row by row; what is counted
over all rows goes through all of them. For somebody who sees most rows there is no quicker way;
somebody who sees ten of a million pays for the million. For them there are two ways in one
statement. First the rows within the viewer's reach are counted, each through its own index
(`auth.access.candidate_ids`), and no further than `MOST`. Where that is all there is, it is made of
these; else it walks. PostgreSQL executes only the way that is taken, since the other one's
condition is false before it begins.

To count takes some 0.3 ms, and twice as long to plan. So for whom it is done is learned
(`AccessPaths`): for whoever once waited for a walk, unless it then turns out that they see many.
What is learned decides about the time alone, and never about the rows.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    SelectBase,
    and_,
    any_,
    func,
    literal_column,
    select,
    union_all,
)

from auth import access
from auth.viewer import Viewer
from cache import BoundedCache
from db.base import Base

# So many rows are read and sorted for a page within a millisecond or two.
MOST: Final = 1_000
# A page by a walk takes a tenth of this where most rows are seen.
SLOW_SECONDS: Final = 0.005
# For how long it is believed that somebody sees many.
REMEMBERED_SECONDS: Final = 600
_MOST_KNOWN: Final = 20_000
# The label of the column that says whether the viewer sees few.
FEW: Final = "_few_"

_Select = Select[*tuple[Any, ...]]


class CandidateSet:
    """The rows within somebody's reach, where they are few: a part of one statement."""

    def __init__(self, rows: Any) -> None:
        """`rows`: a selection of ids."""
        ids = rows.subquery("candidate_ids")
        enough = literal_column(str(MOST + 1), Integer())
        self._rows = select(ids.c.id).limit(enough).cte("candidates")
        counted = select(func.count().label("rows")).select_from(self._rows).cte("counted")
        rows_reached = select(counted.c.rows).scalar_subquery()
        most = literal_column(str(MOST), Integer())
        self.is_few: ColumnElement[bool] = rows_reached <= most
        self.is_many: ColumnElement[bool] = rows_reached > most

    def holds(self, entity: Any) -> ColumnElement[bool]:
        """Whether they are few, and a row is one of them: an array, so that its key finds it."""
        array = func.array(select(self._rows.c.id).scalar_subquery())
        return and_(self.is_few, entity.id == any_(array))


def candidate_set(viewer: Viewer, model: type[Base], *, counted: bool) -> CandidateSet | None:
    """None where there is but one way: it is not to be counted, or no rule says how else to find
    the rows.
    """
    rows = access.candidate_ids(viewer, model, most=MOST + 1) if counted else None
    return None if rows is None else CandidateSet(rows)


def by_access_path(query: _Select, entity: Any, candidates: CandidateSet | None) -> SelectBase:
    """All rows of the query, by the way that is taken."""
    if candidates is None:
        return query
    return union_all(query.where(candidates.holds(entity)), query.where(candidates.is_many))


def path_flag(candidates: CandidateSet | None) -> list[ColumnElement[bool]]:
    """What to read beside the other columns, for `AccessPaths.read`."""
    return [] if candidates is None else [candidates.is_few.label(FEW)]


class AccessPaths:
    """By which way to read what somebody sees of a model. One a process."""

    def __init__(self, *, slow_seconds: float = SLOW_SECONDS) -> None:
        self.slow_seconds = slow_seconds
        # Until when they are known to see many; None where their rows are to be counted.
        self._known = BoundedCache[tuple[UUID | None, type[Base]], float | None](_MOST_KNOWN)

    def uses_candidates(self, viewer: Viewer, model: type[Base]) -> bool:
        """Whether the rows are to be counted first."""
        return self._known.get((viewer.user_id, model), 0.0) is None

    async def read(
        self,
        fetch: Awaitable[list[Any]],
        viewer: Viewer,
        model: type[Base],
        *,
        counted: bool,
    ) -> list[Any]:
        """The rows. Where it was counted, they say by `FEW` what was found, and it is learned."""
        begun = time.perf_counter()
        rows = await fetch
        if not counted:
            self.record_scan(viewer, model, time.perf_counter() - begun)
        elif rows:
            self.record_lookup(viewer, model, few=getattr(rows[0], FEW, True))
        return rows

    def record_scan(self, viewer: Viewer, model: type[Base], seconds: float) -> None:
        """A list was read by a walk that took so long."""
        key = (viewer.user_id, model)
        if seconds > self.slow_seconds and (self._known.get(key) or 0.0) < time.monotonic():
            self._known[key] = None

    def record_lookup(self, viewer: Viewer, model: type[Base], *, few: bool) -> None:
        """A list was read, and it was seen whether there are few."""
        if not few:
            self._known[viewer.user_id, model] = time.monotonic() + REMEMBERED_SECONDS
