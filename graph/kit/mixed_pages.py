"""Pages of lists whose rows are of several models, in one order: search results, the trash.

A list is a UNION of one SELECT for each model. A page is cut from it by its ordering; the objects
themselves are read for that page alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Integer, bindparam, literal_column

from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db.statements import Plan, Statement, select_from
from graph.core.fields import BatchInfo
from graph.kit import counting
from graph.kit.loading import below
from graph.kit.ordering import Ordering
from graph.kit.page_query import KEY
from graph.kit.paging import Page, Window, count, cut, nulls_of


@dataclass(frozen=True, eq=False)
class MixedList:
    """`rows(shape, viewer)` is a subquery of all rows that the viewer can see, with the columns
    that the ordering compares. `shape` says which list of its kind it is: kinds, filter.
    `plan(shape)`: when its statements are planned.
    """

    ordering: Ordering
    rows: Callable[[Any, Viewer], Any]
    plan: Callable[[Any], Plan] = lambda _: Plan.EACH


@dataclass(frozen=True, slots=True)
class _Part:
    """The part of a list that a statement reads; see `graph.kit.page_rows.PageShape`."""

    backward: bool
    after: tuple[bool, ...] | None
    before: tuple[bool, ...] | None
    inclusive: bool

    @classmethod
    def of(cls, window: Window) -> _Part:
        return cls(
            window.backward, nulls_of(window.after), nulls_of(window.before), window.inclusive
        )


@lru_cache(maxsize=500)
def _page_statement(
    listed: MixedList, shape: Hashable, part: _Part, viewer_shape: ViewerShape
) -> Statement:
    viewer, ordering = placeholder_viewer(viewer_shape), listed.ordering
    found = listed.rows(shape, viewer)
    keys = [key.source.sql(viewer, found) for key in ordering.keys]
    query = select_from(
        found, *found.c, *(key.label(f"{KEY}{place}") for place, key in enumerate(keys))
    )
    for order, nulls, name in (
        (ordering, part.after, "after"),
        (ordering.reversed(), part.before, "before"),
    ):
        if nulls is not None:
            query = query.where(order.after(keys, nulls, name, inclusive=part.inclusive))
    read = ordering.reversed() if part.backward else ordering
    query = query.order_by(*(key.sorted(by) for key, by in zip(read.keys, keys, strict=True)))
    return Statement(
        query.limit(bindparam("limit", None, Integer())),
        plan=listed.plan(shape),
        ordering=ordering,
    )


@lru_cache(maxsize=200)
def _count_statement(listed: MixedList, shape: Hashable, viewer_shape: ViewerShape) -> Statement:
    found = listed.rows(shape, placeholder_viewer(viewer_shape))
    number = counting.number_of(select_from(found, literal_column("1")))
    return Statement(number, plan=listed.plan(shape))


async def read_mixed_page(
    info: BatchInfo,
    listed: MixedList,
    shape: Hashable,
    window: Window,
    params: Mapping[str, Any],
) -> Page:
    """One page of the list; `params` are the values of the shape."""
    reader = info.context.services.database.reader
    values = {**info.viewer.params, **params}
    page = Page([])

    async def read(part: Window) -> list[Any]:
        statement = _page_statement(listed, shape, _Part.of(part), info.viewer.shape)
        return await reader.fetch(statement, {**values, **part.params})

    async def beyond(far: Window, keys: Sequence[None]) -> Sequence[None]:
        return keys if await read(far) else ()

    if any(below(info.selection, name) for name in ("nodes", "edges", "pageInfo")):
        page.rows = await read(window)
        await cut({None: page}, window, info.selection, beyond)
    if below(info.selection, "totalCount"):

        async def totals() -> dict[None, int]:
            statement = _count_statement(listed, shape, info.viewer.shape)
            rows: list[Any] = await reader.fetch(statement, values)
            return {None: rows[0].total}

        await count({None: page}, totals())
    return page
