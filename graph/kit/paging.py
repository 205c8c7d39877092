"""Connections: pages of lists, at the root and under many parents at once.

The rows of a page (`graph.kit.page_rows`) are the edges too: an edge's node is the row and its
cursor comes from the row's ordering values. Counts are a separate statement, run only if
`totalCount` is selected.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, TypeVar, cast

import strawberry
from sqlalchemy.orm import InstrumentedAttribute
from strawberry.types.arguments import StrawberryArgument

from auth.viewer import Viewer
from db.base import Base
from db.statements import values_of
from errors import BadInput
from graph.core.fields import BatchInfo, argument, batch, derived
from graph.core.selection import Selection
from graph.engine.sql_json import KEY_ONLY, Columns, usual_columns
from graph.engine.state import EngineState
from graph.kit import counting
from graph.kit.loading import below
from graph.kit.look_ups import shaped_filter
from graph.kit.ordering import Key, Ordering, ordering_of
from graph.kit.page_query import KEY, MAX_PAGE
from graph.kit.page_rows import Link, PageReader, PageRequest, PageShape
from graph.kit.predicates import right_of
from graph.kit.segments import position_of

T = TypeVar("T")

DEFAULT_PAGE = 50


@strawberry.type(description="The position of a page in its list.")
class PageInfo:
    has_next_page: bool = derived(
        (), attrgetter("has_next"), "Whether there are items after this page."
    )
    has_previous_page: bool = derived(
        (), attrgetter("has_previous"), "Whether there are items before this page."
    )
    start_cursor: str | None = derived(
        (),
        attrgetter("start_cursor"),
        "The cursor of the first item. Null for an empty page.",
    )
    end_cursor: str | None = derived(
        (),
        attrgetter("end_cursor"),
        "The cursor of the last item; pass it as `after` to get the next page.",
    )


@dataclass(slots=True)
class Page:
    """The rows of one parent's page."""

    rows: list[Any]
    has_next: bool = False
    has_previous: bool = False
    # An exception if counting failed.
    total: int | Exception | None = None

    def cursor(self, row: Any) -> str:
        """The cursor of a row of this page."""
        return cursor_of(row)

    @property
    def start_cursor(self) -> str | None:
        """Where the previous page ends; None if the page has no row."""
        return self.cursor(self.rows[0]) if self.rows else None

    @property
    def end_cursor(self) -> str | None:
        """Where the next page begins; None if the page has no row."""
        return self.cursor(self.rows[-1]) if self.rows else None


def cursor_of(row: Any) -> str:
    """The cursor of a row that a page statement read."""
    ordering: Ordering = type(row).ordering
    return ordering.cursor([getattr(row, f"{KEY}{i}") for i in range(len(ordering.keys))])


# --- connection and edge types -------------------------------------------------------------------


def connection_type(
    description: str,
    *,
    edge: str,
    node: str = "The item.",
    item: Callable[[Any], Any] | None = None,
) -> Callable[[type[T]], type[T]]:
    """Declare a connection, and its edge type beside it, by what its nodes are:

        @connection_type("A page of tasks.", edge="A task in a list.")
        class TaskConnection:
            node: Task

    `edge` and `node` describe the edge type and its field. `item`: the node of a row, if it is
    not the row itself.
    """
    node_of = item or (lambda row: row)
    nodes = attrgetter("rows") if item is None else lambda page: list(map(node_of, page.rows))

    def declare(cls: type[T]) -> type[T]:
        of = cls.__annotations__["node"]
        edge_type = type(
            f"{cls.__name__.removesuffix('Connection')}Edge",
            (),
            {
                # Where the name of the node's type is looked up.
                "__module__": cls.__module__,
                "__annotations__": {"cursor": str, "node": of},
                "cursor": edge_cursor(),
                "node": derived((), node_of, node),
            },
        )
        strawberry.type(edge_type, description=edge)
        cls.__annotations__ = {
            "edges": list[edge_type],  # type: ignore[valid-type]
            "nodes": f"list[{of}]",
            "page_info": PageInfo,
            "total_count": int,
        }
        fields = {
            "edges": derived((), attrgetter("rows"), "The items of this page with their cursors."),
            "nodes": derived((), nodes, "The items of this page."),
            "page_info": derived((), lambda page: page, "The position of this page in the list."),
            "total_count": derived(
                (),
                attrgetter("total"),
                f"The number of items in all pages. {counting.DESCRIPTION} Counted only if you "
                "select it.",
                may_fail=True,
            ),
        }
        for name, field in fields.items():
            setattr(cls, name, field)
        return strawberry.type(cls, description=description)

    return declare


def edge_cursor() -> Any:
    """`cursor` of an edge."""
    return derived(
        (),
        cursor_of,
        "The item's cursor. Pass it as `after` or `before` to continue from this item.",
    )


# --- arguments -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """The checked arguments `first`, `after`, `last` and `before`."""

    limit: int
    backward: bool
    after: tuple[Any, ...] | None
    before: tuple[Any, ...] | None
    # Whether the rows at `after` and `before` themselves are included.
    inclusive: bool = False

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of its statement. One more row is read, to know whether there is a next
        page.
        """
        return {
            **_bounds("after", self.after),
            **_bounds("before", self.before),
            "limit": self.limit + 1,
        }


def window_of(
    ordering: Ordering,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> Window:
    """Check the paging arguments of a field."""
    return Window(
        limit=window_size(first, last),
        # "The rows before this one" means the nearest ones.
        backward=last is not None or (before is not None and first is None),
        # An empty string means the beginning, or the end.
        after=ordering.place(after, ("after",)) if after else None,
        before=ordering.place(before, ("before",)) if before else None,
    )


def window_size(first: int | None, last: int | None) -> int:
    """The number of rows that `first` or `last` asks for."""
    if first is not None and last is not None:
        raise BadInput("Provide either first or last, not both.", path=("last",))
    for name, value in (("first", first), ("last", last)):
        if value is not None and not 0 <= value <= MAX_PAGE:
            raise BadInput(f"{name} must be from 0 to {MAX_PAGE}; it is {value}.", path=(name,))
    return first if first is not None else last if last is not None else DEFAULT_PAGE


def paging_arguments(filter_type: Any = None, order_type: Any = None) -> list[StrawberryArgument]:
    """`filter`, `orderBy`, `first`, `after`, `last`, `before`."""
    arguments = []
    if filter_type is not None:
        arguments.append(
            argument("filter", filter_type | None, "Returns only items that match this filter.")
        )
    if order_type is not None:
        arguments.append(
            argument(
                "order_by",
                list[order_type] | None,
                "The sort keys, most significant first. The ID is always the last key.",
            )
        )
    return [
        *arguments,
        argument(
            "first",
            int | None,
            f"Returns the first items, up to this number; {DEFAULT_PAGE} by default, at most "
            f"{MAX_PAGE}.",
        ),
        argument(
            "after",
            str | None,
            "Returns only items after this cursor. An empty string means the beginning.",
        ),
        argument(
            "last", int | None, f"Returns the last items, up to this number; at most {MAX_PAGE}."
        ),
        argument(
            "before",
            str | None,
            "Returns only items before this cursor. An empty string means the end.",
        ),
    ]


# --- reading --------------------------------------------------------------------------------------


def _bounds(name: str, place: tuple[Any, ...] | None) -> dict[str, Any]:
    return {f"{name}_{index}": value for index, value in enumerate(place or ())}


def nulls_of(place: tuple[Any, ...] | None) -> tuple[bool, ...] | None:
    """Which values of a position are null: a part of the statement's shape."""
    return None if place is None else tuple(value is None for value in place)


async def read_pages(
    info: BatchInfo,
    model: type[Base],
    *,
    child: str | Link | None = None,
    parents: Sequence[Any] = (),
    default_order: Sequence[Key] = (),
    where: Callable[[Viewer, Any], Any] | None = None,
    filter: Any = None,  # noqa: A002 - the argument's name in the schema
    order_by: Sequence[Any] | None = None,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    params: Mapping[str, Any] | None = None,
    right: Callable[[Viewer, Any], Any] | None = None,
    total: int | None = None,
) -> dict[Any, Page]:
    """The page of each parent key (of None if there is no parent).

    `where(viewer, entity)` restricts the list permanently (its parameters in `params`); it must be
    the same function each time, as it is part of the statement's key. `right` is the predicate of
    `auth.access` that decides which rows the viewer gets. `total` is the number of rows of each
    page's list, if it is known.
    """
    ordering = ordering_of(model, order_by, default_order, ("order_by",))
    window = window_of(ordering, first, after, last, before)
    filter_shaped, values = await shaped_filter(
        filter, ("filter",), info.context.services.database.reader
    )
    requested = _requested(info, model)
    shape = PageShape(
        model=model,
        child=child,
        columns=requested.columns,
        ordering=ordering,
        with_cursors=requested.cursors,
        backward=window.backward,
        after=position_of(ordering, window.after),
        before=position_of(ordering, window.before),
        filter=filter_shaped,
        viewer=info.viewer.shape,
        where=where,
        right=right or right_of(filter_shaped),
    )
    if (
        info.context.services.access_paths.uses_candidates(info.viewer, model)
        and shape.has_candidates
    ):
        shape = replace(shape, counted=True)
    arguments = {
        **info.viewer.params,
        **values.params(),
        **(params or {}),
    }
    request = PageRequest(parents, {**arguments, **window.params})

    async def beyond(far: Window, keys: Sequence[Any]) -> list[Any]:
        there = replace(
            shape,
            columns=KEY_ONLY,
            with_cursors=False,
            backward=far.backward,
            after=position_of(ordering, far.after),
            before=position_of(ordering, far.before),
            inclusive=far.inclusive,
        )
        found = await reader.rows(there, PageRequest(keys, {**arguments, **far.params}))
        return [parent for parent, rows in found if rows]

    pages = {parent: Page([]) for parent in (parents if child is not None else (None,))}
    reader = info.context.of(PageReader)
    if requested.rows:
        for parent, rows in await reader.rows(shape, request):
            pages[parent].rows += rows
        await cut(pages, window, info.selection, beyond)
    if requested.total and total is not None:
        for page in pages.values():
            page.total = counting.bounded(total)
    elif requested.total:
        await count(pages, reader.totals(shape, request))
    return pages


@dataclass(frozen=True, slots=True)
class _Requested:
    """What one position requests of a connection: the columns of its rows, their cursors, rows or
    what depends on them, the total.
    """

    columns: Columns
    cursors: bool
    rows: bool
    total: bool


def _requested(info: BatchInfo, model: type[Base]) -> _Requested:
    selection, serialized = info.selection, info.context.of(EngineState).columns
    known = (serialized or selection.selection_index).statements
    found: _Requested | None = known.get((selection, model))
    if found is None:
        nodes = [below(selection, "nodes"), below(selection, "edges", "node")]
        cursors = [
            below(selection, "edges", "cursor"),
            below(selection, "pageInfo", "startCursor"),
            below(selection, "pageInfo", "endCursor"),
        ]
        columns = None if serialized is None else serialized.pages.get(selection)
        if columns is None:
            columns = Columns(
                frozenset().union(
                    *(
                        usual_columns(place.type) | place.labels(place.type)
                        for place in cast("list[Any]", nodes)
                        if place is not None
                    )
                )
            )
        found = known[selection, model] = _Requested(
            columns=columns,
            cursors=any(place is not None for place in cursors),
            rows=any(selection.child(name) is not None for name in ("nodes", "edges", "pageInfo")),
            total=selection.child("totalCount") is not None,
        )
    return found


async def count(pages: Mapping[Any, Page], totals: Awaitable[Mapping[Any, int]]) -> None:
    """Set the total of each page, by its key. If that fails, only `totalCount` fails."""
    try:
        found = await totals
    except Exception as error:  # noqa: BLE001 - reported by the field
        for page in pages.values():
            page.total = error
        return
    for key, page in pages.items():
        page.total = counting.bounded(found.get(key, 0))


# Of the pages with these keys, those whose lists have rows in the window.
Beyond = Callable[[Window, Sequence[Any]], Awaitable[Iterable[Any]]]


async def cut(
    pages: Mapping[Any, Page], window: Window, selection: Selection, beyond: Beyond
) -> None:
    """Trim pages that were read with one row too many, and find out what comes before and after
    them.

    On one side, the extra row answers that. On the other, and if there was no extra row, there may
    still be rows that a cursor excludes; these are looked for only if that is selected.
    """
    for page in pages.values():
        more = len(page.rows) > window.limit
        if more:
            page.rows.pop()
        if window.backward:
            page.rows.reverse()
        page.has_previous, page.has_next = more and window.backward, more and not window.backward
    info = below(selection, "pageInfo")
    if window.after is not None and below(info, "hasPreviousPage") is not None:
        unknown = [key for key, page in pages.items() if not page.has_previous]
        left_out = Window(0, True, after=None, before=window.after, inclusive=True)
        for key in await beyond(left_out, unknown) if unknown else ():
            pages[key].has_previous = True
    if window.before is not None and below(info, "hasNextPage") is not None:
        unknown = [key for key, page in pages.items() if not page.has_next]
        left_out = Window(0, False, after=window.before, before=None, inclusive=True)
        for key in await beyond(left_out, unknown) if unknown else ():
            pages[key].has_next = True


# --- declaring -----------------------------------------------------------------------------------


def connection(
    model: type[Base],
    description: str,
    *,
    filter_type: Any = None,
    order_type: Any = None,
    default_order: Sequence[Key] = (),
    where: Callable[[Viewer, Any], Any] | None = None,
) -> Any:
    """A list of all rows of a model that the viewer can see, at the root or under `viewer`."""

    async def pages(parents: Sequence[Any], info: BatchInfo, **paging: Any) -> list[Page]:
        info.viewer.require()
        found = await read_pages(info, model, default_order=default_order, where=where, **paging)
        return [found[None]] * len(parents)

    return batch(pages, description, arguments=paging_arguments(filter_type, order_type))


def to_many(
    relationship: InstrumentedAttribute[Any],
    description: str,
    *,
    filter_type: Any = None,
    order_type: Any = None,
    default_order: Sequence[Key] = (),
    where: Callable[[Viewer, Any], Any] | None = None,
) -> Any:
    """A relation to many rows: a page of them under each parent, by the child's foreign key."""
    prop = relationship.property
    ((_, remote),) = prop.local_remote_pairs
    return linked(
        prop.mapper.class_,
        remote.key,
        lambda parents: values_of(parents, "id"),
        description,
        requires=("id",),
        filter_type=filter_type,
        order_type=order_type,
        default_order=default_order,
        where=where,
    )


def linked(
    model: type[Base],
    child: str | Link,
    keys_of: Callable[[Sequence[Any]], list[Any]],
    description: str,
    *,
    requires: Sequence[Any],
    filter_type: Any = None,
    order_type: Any = None,
    default_order: Sequence[Key] = (),
    where: Callable[[Viewer, Any], Any] | None = None,
) -> Any:
    """A page of rows under each parent, whose key `keys_of` reads."""

    async def pages(parents: Sequence[Any], info: BatchInfo, **paging: Any) -> list[Page]:
        ids = keys_of(parents)
        keys = list(dict.fromkeys(ids))
        found = await read_pages(
            info,
            model,
            child=child,
            parents=keys,
            default_order=default_order,
            where=where,
            **paging,
        )
        return [found[id_] for id_ in ids]

    return batch(
        pages,
        description,
        requires=requires,
        arguments=paging_arguments(filter_type, order_type),
    )
