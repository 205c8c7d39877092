"""The statements of pages, and the rows they read.

One statement reads the pages of all parents of a position: a LATERAL query for each parent's rows,
so that `first: 10` means ten for each parent and never ten for the batch.

Pages that differ only in values - the next windows of one list, the columns of a board, one list
under many aliases - come from one statement as well: the values that differ become columns of the
table that the LATERAL query runs for, beside the parent. So the number of statements grows with the
different *shapes* of lists in an operation and not with the number of its fields.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Uuid,
    bindparam,
    case,
    column,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.orm import aliased
from sqlalchemy.sql.visitors import replacement_traverse

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db.base import Base
from db.statements import Plan, Row, Statement, compiled_part, joined_sql, kept, select_from
from graph.core.access_paths import candidate_set, path_flag
from graph.core.context import Context
from graph.core.single_flight import SharedRun, others_join
from graph.engine.sql_json import Columns, with_spans
from graph.engine.state import EngineState
from graph.kit import counting
from graph.kit.ordering import Ordering
from graph.kit.page_query import PageQuery, predicates
from graph.kit.segments import Position

# The parent's key, as a parameter and in counts; the position, from 1, of a row's page among the
# requested pages; a dummy column if nothing else distinguishes the pages.
PARENT, _PLACE, _NOTHING = "parent_key", "_place_", "_nothing_"

_Select = Select[*tuple[Any, ...]]
_LIMIT = compiled_part(bindparam("limit", type_=Integer()))


@dataclass(frozen=True, eq=False)
class Link:
    """How rows belong to their parents, if no column of the row points to the parent.

    `types` are those of the values that a parent's key has, a tuple; `holds(row, *values)` is the
    predicate.
    """

    types: tuple[Any, ...]
    holds: Callable[..., ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class PageShape:
    """Everything that a page's statement depends on. `child` is the column that points to the
    parent, or another link to it.
    """

    model: type[Base]
    child: str | Link | None
    columns: Columns
    ordering: Ordering
    with_cursors: bool
    backward: bool
    after: Position | None
    before: Position | None
    filter: Any
    viewer: ViewerShape
    where: Callable[[Viewer, Any], Any] | None
    right: Callable[[Viewer, Any], Any]
    # Whether to check first if the viewer sees few rows; see `graph.core.access_paths`.
    counted: bool = False
    # Whether the rows at `after` and `before` themselves are included.
    inclusive: bool = False

    @property
    def plan(self) -> Plan:
        """When PostgreSQL plans the statement."""
        return Plan.ONCE if self.filter is None else Plan.EACH

    @property
    def has_candidates(self) -> bool:
        """Whether there is more than one access path to the rows."""
        at_root = self.child is None and self.right is access.read
        return at_root and access.rule_of(self.model).sources is not None

    @property
    def counts_candidates(self) -> bool:
        """Whether `totalCount` first counts the rows within the viewer's reach: if they are few,
        it need not go through all others.
        """
        return self.has_candidates and self.filter is None


@dataclass(slots=True)
class PageRequest:
    """One field's pages: the parents' keys (none at the root) and the values of the rest."""

    parents: Sequence[Any]
    params: Mapping[str, Any]


# --- statements ----------------------------------------------------------------------------------


def _binds(query: _Select) -> dict[str, BindParameter[Any]]:
    found: dict[str, BindParameter[Any]] = {}

    def note(element: Any, **_: Any) -> None:
        if isinstance(element, BindParameter):
            found[element.key] = element

    replacement_traverse(query, {}, note)
    return found


def _parts(shape: PageShape) -> list[tuple[str, Any]]:
    """The values of a parent's key: their names as parameters, and their types."""
    if shape.child is None:
        return []
    if isinstance(shape.child, str):
        return [(PARENT, Uuid())]
    return [(f"{PARENT}_{index}", type_) for index, type_ in enumerate(shape.child.types)]


def _parents(shape: PageShape, keys: Sequence[Any]) -> dict[str, list[Any]]:
    """The parameters for these parents."""
    if isinstance(shape.child, Link):
        return {
            f"many_{name}": [key[index] for key in keys]
            for index, (name, _) in enumerate(_parts(shape))
        }
    return {f"many_{PARENT}": list(keys)}


def _belongs(shape: PageShape, entity: Any, parents: FromClause) -> Any:
    values = [parents.c[name] for name, _ in _parts(shape)]
    if isinstance(shape.child, Link):
        return shape.child.holds(entity, *values)
    return getattr(entity, str(shape.child)) == values[0]


@kept(2_000)
def _statement(shape: PageShape, varying: tuple[str, ...] | None) -> Statement:
    """The pages of one request or, if `varying` names the values that differ, of several."""
    columns = shape.columns
    if columns.spans:
        # Only the rows of the final page are serialized.
        rows = _statement(replace(shape, columns=columns.below()), varying)
        hidden = (columns.below().labels | {"id"}) - columns.labels
        kept = [label for label in rows.row.labels if label not in hidden]
        spans = [("", span) for span in columns.spans]
        return with_spans(rows, [*kept, *spans], shape.viewer, shape.model)
    page = PageQuery(shape)
    given: list[tuple[str, Any]] = _parts(shape)
    if varying:
        binds = _binds(page.ordered())
        given += [(name, binds[name].type) for name in varying]
    if varying is not None and not given:
        given.append((_NOTHING, Integer()))
    single = None if given else page.single()
    if single is not None:
        # As text, since the usual list is to be compiled quickly.
        sql = joined_sql(
            ["SELECT * FROM (", compiled_part(single), ") AS page_rows LIMIT ", _LIMIT]
        )
        return Statement(
            sql,
            shape.model,
            labels=[str(each.key) for each in single.exported_columns],
            plan=shape.plan,
            ordering=shape.ordering,
        )
    if not given:
        query = page.ordered()
    else:
        # The pages to read, one row each.
        pages = (
            func.unnest(*(bindparam(f"many_{name}", type_=ARRAY(type_)) for name, type_ in given))
            .table_valued(
                *(column(name, type_) for name, type_ in given),
                with_ordinality=_PLACE,
            )
            .render_derived(name="page")
        )
        if varying:
            taken = frozenset(varying)

            def replaced(element: Any, **_: Any) -> Any:
                # As text: in a subquery two levels below, SQLAlchemy would read `page` again.
                if isinstance(element, BindParameter) and element.key in taken:
                    return literal_column(f'page."{element.key}"', element.type)
                return None

            page.replace(replaced)
        if shape.child is not None:
            page.query = page.query.where(_belongs(shape, page.entity, pages))
        inner = page.ordered().correlate(pages).lateral("row")
        query = select_from(pages, pages.c[_PLACE], *inner.c).join(inner, true())
    return Statement(
        query,
        shape.model,
        plan=shape.plan,
        ordering=shape.ordering,
    )


@kept(500)
def _count_statement(shape: PageShape) -> Statement:
    viewer = placeholder_viewer(shape.viewer)
    entity = aliased(shape.model, name="item")
    query: _Select = select_from(entity, literal_column("1").label("one"))
    query = query.where(*predicates(shape, entity, viewer))
    if shape.child is None:
        candidates = candidate_set(viewer, shape.model, counted=shape.counted)
        if shape.counts_candidates:
            candidates = candidate_set(viewer, shape.model, counted=True, most=counting.EXACT_UP_TO)
        if candidates is None:
            return Statement(counting.number_of(query), plan=shape.plan)
        few = counting.number_of(query.where(candidates.holds(entity))).scalar_subquery()
        # Only the branch that applies is counted.
        branches = [(candidates.is_few, few)]
        if shape.counts_candidates and (by := access.container(viewer, entity)) is not None:
            # Enough of them are usually in the viewer's projects, and are found without going
            # through all others.
            inside = counting.number_of(query.join(*by)).cte("inside")
            many = select(inside.c.total).scalar_subquery()
            branches.append((many > counting.EXACT_UP_TO, many))
        total = case(*branches, else_=counting.number_of(query).scalar_subquery())
        counted = select(total.label("total"), *path_flag(candidates))
        return Statement(counted, plan=shape.plan)
    given = _parts(shape)
    parents = (
        func.unnest(*(bindparam(f"many_{name}", type_=ARRAY(type_)) for name, type_ in given))
        .table_valued(
            *(column(name, type_) for name, type_ in given), with_ordinality=_PLACE, name="parent"
        )
        .render_derived()
    )
    own = query.where(_belongs(shape, entity, parents)).limit(counting.limit()).correlate(parents)
    rows = own.lateral("row")
    counted = (
        select_from(parents, parents.c[_PLACE], func.count().label("total"))
        .join(rows, true())
        .group_by(parents.c[_PLACE])
    )
    return Statement(counted, plan=shape.plan)


# --- reading -------------------------------------------------------------------------------------


# Rows of pages, each page with its parent's key (None at the root) and in order.
Pages = list[tuple[Any, list[Row]]]


class _Turn:
    """Requests of one shape that were made within one turn of the event loop."""

    def __init__(self) -> None:
        self.requests: list[PageRequest] = []
        self.rows = SharedRun[list[Pages]]()


class PageReader:
    """Reads pages for one operation."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._engine = context.of(EngineState)
        self._reader = context.services.database.reader
        self._turns: dict[PageShape, _Turn] = {}

    async def rows(self, shape: PageShape, request: PageRequest) -> Pages:
        """The request's pages, each with one extra row if there is one."""
        if self._engine.branches < 2:
            return await self._alone(shape, request)
        turn = self._turns.get(shape)
        if turn is not None:
            place = len(turn.requests)
            turn.requests.append(request)
            return (await turn.rows.result())[place]
        turn = self._turns[shape] = _Turn()
        turn.requests.append(request)

        async def read() -> list[Pages]:
            try:
                await others_join()
            finally:
                del self._turns[shape]
            return await self._several(shape, turn.requests)

        return (await turn.rows.lead(read))[0]

    async def totals(self, shape: PageShape, request: PageRequest) -> dict[Any, int]:
        """How many rows all pages of each parent have together (of None at the root), as
        `graph.kit.counting` says.
        """
        statement = await _count_statement.ready(shape)
        params = {**request.params, **_parents(shape, request.parents)}
        if shape.counts_candidates:
            rows: Sequence[Any] = await self._reader.fetch(statement, params)
        else:
            rows = await self._fetch(shape, statement, params)
        if shape.child is None:
            return {None: rows[0].total}
        return {request.parents[place - 1]: total for place, total in rows}

    async def _alone(self, shape: PageShape, request: PageRequest) -> Pages:
        rows = await self._fetch(
            shape,
            await _statement.ready(shape, None),
            {**request.params, **_parents(shape, request.parents)},
        )
        if shape.child is None:
            return [(None, rows)]
        return [(request.parents[place - 1], own) for place, own in _by_place(rows)]

    async def _several(self, shape: PageShape, requests: Sequence[PageRequest]) -> list[Pages]:
        groups: list[list[int]] = []
        for index, request in enumerate(requests):
            for group in groups:
                if _alike(request, requests[group[0]]):
                    group.append(index)
                    break
            else:
                groups.append([index])
        found: list[Pages] = [[] for _ in requests]

        async def read(group: list[int]) -> None:
            if len(group) == 1:
                found[group[0]] = await self._alone(shape, requests[group[0]])
                return
            united = await self._united(shape, [requests[index] for index in group])
            for index, pages in zip(group, united, strict=True):
                found[index] = pages

        if len(groups) == 1:
            await read(groups[0])
        else:
            await asyncio.gather(*map(read, groups))
        return found

    async def _united(self, shape: PageShape, requests: Sequence[PageRequest]) -> list[Pages]:
        first = requests[0].params
        varying = tuple(
            name
            for name, value in first.items()
            if any(request.params[name] != value for request in requests)
        )
        wanted = [
            (index, parent)
            for index, request in enumerate(requests)
            for parent in (request.parents if shape.child is not None else (None,))
        ]
        params = dict(first)
        params[f"many_{_NOTHING}"] = [0] * len(wanted)
        params |= _parents(shape, [parent for _, parent in wanted])
        for name in varying:
            params[f"many_{name}"] = [requests[index].params[name] for index, _ in wanted]
        found: list[Pages] = [[] for _ in requests]
        for place, own in _by_place(
            await self._fetch(shape, await _statement.ready(shape, varying), params)
        ):
            index, parent = wanted[place - 1]
            found[index].append((parent, own))
        return found

    async def _fetch(
        self, shape: PageShape, statement: Statement, params: Mapping[str, Any]
    ) -> list[Row]:
        if not shape.has_candidates:
            return await self._reader.fetch(statement, params)
        return await self._context.services.access_paths.read(
            self._reader.fetch(statement, params),
            self._context.viewer,
            shape.model,
            counted=shape.counted,
        )


def _by_place(rows: Sequence[Row]) -> Iterator[tuple[int, list[Row]]]:
    """The pages of a statement of several; one may come in parts, but hardly ever does."""
    return ((place, list(own)) for place, own in groupby(rows, itemgetter(0)))


def _alike(one: PageRequest, other: PageRequest) -> bool:
    """Whether two requests can share a statement: a list cannot be a column of values."""
    return all(
        value == other.params[name] or not isinstance(value, list)
        for name, value in one.params.items()
    )
