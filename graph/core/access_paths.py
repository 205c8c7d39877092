"""A second access path for viewers who see few of many rows.

A list at the root scans the index of its ordering and tests the rights row by row; a count goes
through all rows. For a viewer who sees most rows there is no faster way; a viewer who sees ten of a
million pays for the million. For the latter, one statement holds two access paths. First the rows
within the viewer's reach are counted, each through its own index (`auth.access.candidate_ids`), up
to `MOST`. If there are no more, the result is made of these; otherwise it scans. PostgreSQL
executes only the path that applies, since the other one's condition is false before it begins.

Counting takes about 0.3 ms, and planning twice as long. So the server learns for which viewers
to count (`AccessPaths`): those who once waited for a scan, unless they turn out to see many rows.
What it learns affects only the time, never the rows.
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
from graph.core.explain import note_access_path

# This many rows are read and sorted for a page within a millisecond or two.
MOST: Final = 1_000
# Scanning a page takes a tenth of this if most rows are visible.
SLOW_SECONDS: Final = 0.005
# How long the server remembers that a viewer sees many rows.
REMEMBERED_SECONDS: Final = 600
_MOST_KNOWN: Final = 20_000
# The label of the column that says whether the viewer sees few rows.
FEW: Final = "_few_"

_Select = Select[*tuple[Any, ...]]


class CandidateSet:
    """The rows within a viewer's reach, if they are few: part of one statement."""

    def __init__(self, rows: Any, limit: int) -> None:
        """`rows`: a selection of ids. `limit`: how many are few."""
        ids = rows.subquery("candidate_ids")
        enough = literal_column(str(limit + 1), Integer())
        self._rows = select(ids.c.id).limit(enough).cte("candidates")
        counted = select(func.count().label("rows")).select_from(self._rows).cte("counted")
        rows_reached = select(counted.c.rows).scalar_subquery()
        most = literal_column(str(limit), Integer())
        self.is_few: ColumnElement[bool] = rows_reached <= most
        self.is_many: ColumnElement[bool] = rows_reached > most

    def holds(self, entity: Any) -> ColumnElement[bool]:
        """Whether they are few and a row is one of them: an array, so that the primary key finds
        it.
        """
        array = func.array(select(self._rows.c.id).scalar_subquery())
        return and_(self.is_few, entity.id == any_(array))


def candidate_set(
    viewer: Viewer, model: type[Base], *, counted: bool, most: int | None = None
) -> CandidateSet | None:
    """None if there is only one access path: the rows are not to be counted, or no rule says how
    else to find them. `most`: how many are few, instead of `MOST`.
    """
    limit = MOST if most is None else most
    rows = access.candidate_ids(viewer, model, most=limit + 1) if counted else None
    return None if rows is None else CandidateSet(rows, limit)


def by_access_path(query: _Select, entity: Any, candidates: CandidateSet | None) -> SelectBase:
    """All rows of the query, by the access path that applies."""
    if candidates is None:
        return query
    return union_all(query.where(candidates.holds(entity)), query.where(candidates.is_many))


def path_flag(candidates: CandidateSet | None) -> list[ColumnElement[bool]]:
    """The column to read beside the others, for `AccessPaths.read`."""
    return [] if candidates is None else [candidates.is_few.label(FEW)]


class AccessPaths:
    """Decides which access path to use for a viewer and a model. One per process."""

    def __init__(self, *, slow_seconds: float = SLOW_SECONDS) -> None:
        self.slow_seconds = slow_seconds
        # Until when they are known to see many rows; None if their rows are to be counted.
        self._known = BoundedCache[tuple[UUID | None, type[Base]], float | None](_MOST_KNOWN)

    def uses_candidates(self, viewer: Viewer, model: type[Base]) -> bool:
        """Whether to count the rows first."""
        return self._known.get((viewer.user_id, model), 0.0) is None

    async def read(
        self,
        fetch: Awaitable[list[Any]],
        viewer: Viewer,
        model: type[Base],
        *,
        counted: bool,
    ) -> list[Any]:
        """The rows. If they were counted, their column `FEW` has the result, which is
        remembered.
        """
        begun = time.perf_counter()
        rows = await fetch
        seconds = time.perf_counter() - begun
        if not counted:
            note_access_path("scan", self._why_scan(viewer, model))
            self.record_scan(viewer, model, seconds)
        elif rows:
            few = getattr(rows[0], FEW, True)
            self.record_lookup(viewer, model, few=few)
            path, bound = ("candidates", "at most") if few else ("scan", "more than")
            note_access_path(path, f"the viewer can see {bound} {MOST:,} rows")
        else:
            note_access_path("candidates", "no row was found")
        return rows

    def _why_scan(self, viewer: Viewer, model: type[Base]) -> str:
        if self._known.get((viewer.user_id, model)):
            return f"the viewer could see more than {MOST:,} rows when last asked"
        return f"no scan by this viewer has taken more than {1000 * self.slow_seconds:g} ms"

    def record_scan(self, viewer: Viewer, model: type[Base], seconds: float) -> None:
        """Note that a scan for a list took this long."""
        key = (viewer.user_id, model)
        if seconds > self.slow_seconds and (self._known.get(key) or 0.0) < time.monotonic():
            self._known[key] = None

    def record_lookup(self, viewer: Viewer, model: type[Base], *, few: bool) -> None:
        """Note whether a counted list has few rows."""
        if not few:
            self._known[viewer.user_id, model] = time.monotonic() + REMEMBERED_SECONDS
