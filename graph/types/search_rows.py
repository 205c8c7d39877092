"""The rows that `search` ranks: of each kind, the newest matches that the viewer can see.

How many rows match depends on the words and on the data, and so does how many of them the viewer
can see, so there are three ways to the newest matches
(docs/decisions/0040-rank-the-newest-matches.md):

- *by words*: the index of words finds all matches, and rights are tested row by row. For words that
  are not common.
- *newest first*: rows are read from the newest on until enough match. For common words and a viewer
  who sees many rows.
- *by reach*: the rows that the viewer can see are read, and those that match remain. For common
  words and a viewer who sees few rows.

Which one is taken affects only the time. PostgreSQL's planner is asked how many rows match; it
answers from its statistics, without looking for them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache, partial
from typing import Any, Final

from sqlalchemy import (
    REAL,
    BigInteger,
    ColumnElement,
    Integer,
    Text,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    not_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db import models
from db.base import Base
from db.read import Fetching
from db.statements import Plan, Sql, Statement
from graph.kit.filter_values import Binds
from graph.kit.predicates import build_filter

# So many of each kind are ranked; nobody pages further.
RANKED: Final = 500

# Up to so many matches are found by words whatever the viewer sees: reading them takes some
# milliseconds.
_FEW_MATCHES: Final = 2_000
# Somebody who can see so many tasks has their rows read instead of all matches.
_REACH: Final = 5_000
# Fetching a row by the index of words costs as much as reading so many in their order.
_FETCH: Final = 5
# The planner may be wrong about the number of matches, and older rows may have more of them than
# new ones. So many times the rows that should be enough are read before looking by words.
_PATIENCE: Final = 3
# Of very common words so many are expected that few rows should be enough. Before fetching all
# matches, one row for this many of them is read, which takes a tenth of the time.
_MATCHES_PER_ROW: Final = 20


class SearchKind(Enum):
    """A kind of object that search finds."""

    TASK = "TASK"
    COMMENT = "COMMENT"
    PROJECT = "PROJECT"


MODELS: Final[Mapping[SearchKind, type[Base]]] = {
    SearchKind.TASK: models.Task,
    SearchKind.COMMENT: models.Comment,
    SearchKind.PROJECT: models.Project,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which kinds are searched, each with the shape of its filter; None for none."""

    filters: tuple[tuple[SearchKind, Hashable], ...]
    # If not, the newest rows are looked at first: `scan_…` of each kind, or none.
    by_reach: bool = False
    # Whether such a number is given for any kind.
    newest_first: bool = False

    @property
    def filtered(self) -> bool:
        """Whether the client has given any condition but the words."""
        return any(shape is not None for _, shape in self.filters)

    @property
    def plan(self) -> Plan:
        """One plan serves all words. Reading the newest rows, PostgreSQL needs to know how many of
        them will be read; planning for that takes less time than it saves.
        """
        return Plan.EACH if self.filtered or self.newest_first else Plan.ONCE


def _query() -> ColumnElement[Any]:
    words = bindparam("query", None, Text())
    return func.to_tsquery(literal_column("'pg_catalog.simple'"), words)


def _scan(kind: SearchKind) -> str:
    return f"scan_{kind.value.lower()}"


def _ranked(kind: SearchKind, found: Any) -> Any:
    """The newest of the rows found, which have `id` and `search`. Ids begin with their time."""
    return (
        select(
            literal_column(f"'{kind.value}'", Text()).label("kind"),
            found.id,
            # Divided by the logarithm of the length, so that long descriptions do not win by length
            # alone.
            cast(func.ts_rank(found.search, _query(), 1), REAL).label("rank"),
            # The fragments of a result are made from it; one operation may have two searches.
            bindparam("query", None, Text()).label("requested"),
        )
        .order_by(found.id.desc())
        .limit(_number(RANKED))
    )


def _by_words(
    kind: SearchKind,
    viewer: Viewer,
    where: Callable[[Any], ColumnElement[bool]] = lambda _: true(),
) -> Any:
    entity: Any = aliased(MODELS[kind])
    matching = entity.search.op("@@")(_query())
    # OFFSET keeps the planner, which does not know how many rows match, from reading the primary
    # key backwards in the hope of many.
    found = (
        select(entity.id, entity.search)
        .where(matching, access.read(viewer, entity), where(entity))
        .offset(_number(0))
        .subquery()
    )
    return _ranked(kind, found.c)


def _by_reach(kind: SearchKind, viewer: Viewer) -> Any:
    if kind is SearchKind.PROJECT:
        return _by_words(kind, viewer)
    entity: Any = aliased(MODELS[kind])
    task_id = entity.id if kind is SearchKind.TASK else entity.task_id
    reached = access.candidate_ids(viewer, models.Task, most=_REACH + 1)
    assert reached is not None, "the viewer is signed in"
    array = func.array(select(reached.subquery().c[0]).scalar_subquery())
    visible = access.read(viewer, entity)
    return _ranked(kind, entity).where(task_id == any_(array), _matches(entity), visible)


def _newest_or_by_words(kind: SearchKind, viewer: Viewer) -> Any:
    """The newest matches among the newest rows, or else among all."""
    model: Any = MODELS[kind]
    most = bindparam(_scan(kind), None, BigInteger())
    rows = select(model).order_by(model.id.desc()).limit(most).subquery()
    entity: Any = aliased(model, rows)
    newest = (
        _ranked(kind, entity)
        .where(_matches(entity), access.read(viewer, entity))
        .cte(f"newest_{kind.value.lower()}")
    )
    # PostgreSQL decides before it begins which of the two it executes.
    enough = select(func.count()).select_from(newest).scalar_subquery() == _number(RANKED)
    every = _by_words(kind, viewer).subquery()
    return union_all(select(newest).where(enough), select(every).where(not_(enough)))


def _matches(entity: Any) -> Any:
    """As the operator `@@`, but no index serves the function."""
    return func.ts_match_vq(entity.search, _query())


def _number(value: int) -> Any:
    return literal_column(str(value), Integer())


def rows_of(wanted: Wanted, viewer: Viewer) -> Any:
    """All results, with `kind`, `id`, `rank` and the words."""
    binds = Binds()

    def rows(kind: SearchKind, shape: Hashable) -> Any:
        if shape is not None:
            where = partial(_where, shape, viewer, binds)
            return _by_words(kind, viewer, where)
        return _by_reach(kind, viewer) if wanted.by_reach else _newest_or_by_words(kind, viewer)

    parts = [select(rows(kind, shape).subquery()) for kind, shape in wanted.filters]
    return union_all(*parts).subquery("found")


def _where(shape: Hashable, viewer: Viewer, binds: Binds, entity: Any) -> ColumnElement[bool]:
    return build_filter(shape, entity, viewer, binds)


# --- which way to take ---------------------------------------------------------------------------


def _expected_statement() -> Statement:
    """What the planner expects: for each kind, the rows that match and all rows. It plans the parts
    of the statement and executes none.
    """
    parts = []
    for kind, model in MODELS.items():
        table = model.__tablename__
        matches = f"SELECT FROM {table} WHERE search @@ to_tsquery('pg_catalog.simple', $1)"
        parts += [
            f"{kind.value}_matches AS MATERIALIZED ({matches})",
            f"{kind.value}_rows AS MATERIALIZED (SELECT FROM {table})",
        ]
    counted = (
        f"(SELECT count(*) FROM {kind.value}_{of})"  # noqa: S608 - our own names
        for kind in MODELS
        for of in ("matches", "rows")
    )
    text = f"EXPLAIN (FORMAT JSON) WITH {', '.join(parts)} SELECT {', '.join(counted)}"
    return Statement(Sql(text, ("query",), {}, {}, {}), labels=["plan"], explains=True)


_EXPECTED: Final = _expected_statement()


async def _expected(reader: Fetching, query: str) -> dict[str, int]:
    """The numbers of rows by the names of the parts."""
    ((plan,),) = await reader.fetch(_EXPECTED, {"query": query})
    return {
        part["Subplan Name"].removeprefix("CTE ").upper(): part["Plan Rows"]
        for part in plan[0]["Plan"]["Plans"]
        if part["Subplan Name"].startswith("CTE ")
    }


@lru_cache(maxsize=8)
def _visible_statement(shape: ViewerShape) -> Statement:
    viewer = placeholder_viewer(shape)
    reached = access.candidate_ids(viewer, models.Task, most=_REACH + 1)
    assert reached is not None, "the viewer is signed in"
    some = select(reached.subquery().c[0]).limit(_number(_REACH + 1)).subquery()
    project: Any = aliased(models.Project)
    return Statement(
        select(
            select(func.count()).select_from(some).scalar_subquery().label("reached"),
            # Each task of a project has a number, so this is about how many there are.
            select(func.coalesce(func.sum(project.last_number), 0))
            .where(access.read(viewer, project))
            .scalar_subquery()
            .label("in_projects"),
        ),
        plan=Plan.ONCE,
    )


def newest_to_read(matches: int, rows: int, visible: float) -> int:
    """How many of the newest rows to read before all matches are fetched; 0 for none.

    `visible`: about which part of the rows the viewer sees.
    """
    needed = RANKED * rows / max(1.0, matches * min(1.0, visible))
    if needed >= _FETCH * matches:
        return 0
    return min(rows, round(max(_PATIENCE * needed, matches / _MATCHES_PER_ROW)))


async def way_to(
    wanted: Wanted, query: str, viewer: Viewer, reader: Fetching
) -> tuple[Wanted, dict[str, int]]:
    """What is wanted, by the way that is expected to be fastest, and further parameters."""
    scans = {_scan(kind): 0 for kind in SearchKind}
    if wanted.filtered:
        return wanted, {}
    expected = await _expected(reader, query)
    common = {
        kind: expected[f"{kind.value}_MATCHES"]
        for kind, _ in wanted.filters
        if expected[f"{kind.value}_MATCHES"] > _FEW_MATCHES
    }
    if not common:
        return wanted, scans
    (found,) = await reader.fetch(_visible_statement(viewer.shape), viewer.params)
    if found.reached <= _REACH:
        return replace(wanted, by_reach=True), {}
    visible = max(found.reached, found.in_projects) / max(expected["TASK_ROWS"], 1)
    for kind, matches in common.items():
        scans[_scan(kind)] = newest_to_read(matches, expected[f"{kind.value}_ROWS"], visible)
    return replace(wanted, newest_first=any(scans.values())), scans
