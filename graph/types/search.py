"""Full-text search over the tasks, comments and projects that the viewer can see.

Each kind is queried with its access rule, the results are ranked together, and a page is cut from
them by rank and id. The objects and the texts for highlighting are read for that page alone.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any

import strawberry
from sqlalchemy import (
    REAL,
    Integer,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db import models
from db.base import Base
from db.read import AnyRow, Statement, select_from
from graph.core.fields import BatchInfo, argument, attribute, batch, column
from graph.core.node import described_enum
from graph.core.scalars import HTML
from graph.kit.loading import below, load_objects
from graph.kit.ordering import Key, Ordering, Source
from graph.kit.paging import Page, Window, connection_type, count, cut, window_of
from graph.types.projects.project import Project
from graph.types.search_terms import Terms, highlight, terms_of
from graph.types.tasks.comment import Comment
from graph.types.tasks.task import Task


class SearchKind(Enum):
    """A kind of object that search finds."""

    TASK = "TASK"
    COMMENT = "COMMENT"
    PROJECT = "PROJECT"


described_enum(
    SearchKind,
    "A kind of object that search finds.",
    {
        SearchKind.TASK: "Tasks, by title, tags and description.",
        SearchKind.COMMENT: "Comments on tasks, by text.",
        SearchKind.PROJECT: "Projects, by name, key and description.",
    },
)

# For each kind its model, and the texts that may be highlighted, by field.
_KINDS: dict[SearchKind, tuple[type[Base], dict[str, Any]]] = {
    SearchKind.TASK: (
        models.Task,
        {
            "title": lambda task: task.title,
            "tags": lambda task: func.array_to_string(task.tags, ", "),
            "description": lambda task: task.description,
        },
    ),
    SearchKind.COMMENT: (models.Comment, {"body": lambda comment: comment.body}),
    SearchKind.PROJECT: (
        models.Project,
        {
            "name": lambda project: project.name,
            "key": lambda project: project.key,
            "description": lambda project: project.description,
        },
    ),
}

# Best first; equal ranks by id, newest first, since ids begin with their time.
_ORDER = Ordering(
    (
        Key(Source("rank", lambda _v, found: found.c.rank, REAL(), nullable=False), True),
        Key(Source("id", lambda _v, found: found.c.id, Uuid(), nullable=False), True),
    )
)

SearchSubject = Annotated[
    Task | Comment | Project,
    strawberry.union(name="SearchSubject", description="An object found by `search`."),
]


@strawberry.type(description="An excerpt of a text that matches.")
class SearchFragment:
    field: str = attribute("The field that the text is from, such as `title`.")
    html: HTML = attribute(
        "Up to about 160 characters around the first match, escaped as HTML, with matching words "
        "in `<mark>`."
    )


async def _subjects(parents: Sequence[Any], info: BatchInfo) -> list[AnyRow | None]:
    rows: list[AnyRow | None] = [None] * len(parents)
    for kind in SearchKind:
        places = [place for place, row in enumerate(parents) if row.kind == kind.value]
        if places:
            model = _KINDS[kind][0]
            found = await load_objects(info, model, [parents[place].id for place in places])
            for place, row in zip(places, found, strict=True):
                rows[place] = row
    return rows


@lru_cache(maxsize=16)
def _texts_statement(kind: SearchKind, shape: ViewerShape) -> Statement:
    model, texts = _KINDS[kind]
    keys = bindparam("keys", None, func.array_agg(model.id).type)  # type: ignore[attr-defined]
    return Statement(
        select(model.id, *(sql(model).label(field) for field, sql in texts.items())).where(  # type: ignore[attr-defined]
            model.id == keys.any_(),  # type: ignore[attr-defined]
            access.read(placeholder_viewer(shape), model),
        )
    )


async def _fragments(parents: Sequence[Any], info: BatchInfo) -> list[list[SearchFragment]]:
    reader = info.context.services.database.reader
    texts: dict[Any, Any] = {}
    for kind in SearchKind:
        keys = [row.id for row in parents if row.kind == kind.value]
        if not keys:
            continue
        rows = await reader.fetch(
            _texts_statement(kind, info.viewer.shape), {**info.viewer.params, "keys": keys}
        )
        texts.update({row.id: row for row in rows})
    found = []
    for row in parents:
        found.append(_marked(texts.get(row.id), row))
        # The longest texts take some milliseconds each, and a page may have a hundred of them.
        await asyncio.sleep(0)
    return found


def _marked(texts: Any, result: Any) -> list[SearchFragment]:
    """The fragments of one result; none if the texts were deleted in the meantime."""
    if texts is None:
        return []
    terms = Terms.of_query(result.requested)
    fields = _KINDS[SearchKind(result.kind)][1]
    marked = {field: highlight(getattr(texts, field) or "", terms) for field in fields}
    return [SearchFragment(field=field, html=HTML(html)) for field, html in marked.items() if html]


@strawberry.type(description="An object found by `search`.")
class SearchResult:
    kind: SearchKind = column("kind", "The kind of object.", convert=SearchKind)
    rank: float = column(
        "rank", "How well the object matches; higher is better. Comparable within one search."
    )
    subject: SearchSubject | None = batch(
        _subjects, "The object. Null if it was deleted in the meantime."
    )
    fragments: list[SearchFragment] = batch(
        _fragments, "Highlighted excerpts, one for each text that matches."
    )


@connection_type(
    "A page of search results, best first.",
    edge="A search result in a list, with its cursor.",
    node="The search result.",
)
class SearchConnection:
    node: SearchResult


# --- statements ----------------------------------------------------------------------------------


def _matching(kind: SearchKind, viewer: Viewer) -> Any:
    model = _KINDS[kind][0]
    entity: Any = aliased(model)
    query = func.to_tsquery(literal_column("'pg_catalog.simple'"), bindparam("query", None, Text()))
    return select(
        literal_column(f"'{kind.value}'", Text()).label("kind"),
        entity.id,
        # Divided by the logarithm of the length, so that long descriptions do not win by length
        # alone.
        cast(func.ts_rank(entity.search, query, 1), REAL).label("rank"),
    ).where(entity.search.op("@@")(query), access.read(viewer, entity))


def _found(kinds: frozenset[SearchKind], viewer: Viewer) -> Any:
    chosen = [kind for kind in SearchKind if kind in kinds]
    return union_all(*(_matching(kind, viewer) for kind in chosen)).subquery("found")


@lru_cache(maxsize=64)
def _page_statement(
    kinds: frozenset[SearchKind], bound: str | None, shape: ViewerShape
) -> Statement:
    """`bound`: the name under which the values of a cursor are bound, if only a part is read: the
    results `after` it, or those `before` it, nearest first and including its own row.
    """
    viewer = placeholder_viewer(shape)
    found = _found(kinds, viewer)
    expressions = [key.source.sql(viewer, found) for key in _ORDER.keys]
    query = select_from(
        found,
        *found.c,
        # The fragments of a result are made from it; one operation may have two searches.
        bindparam("query", None, Text()).label("requested"),
        *(expression.label(f"_key_{place}") for place, expression in enumerate(expressions)),
    )
    backward = bound == "before"
    order = _ORDER.reversed() if backward else _ORDER
    if bound is not None:
        query = query.where(order.after(expressions, (False, False), bound, inclusive=backward))
    query = query.order_by(
        *(key.sorted(by) for key, by in zip(order.keys, expressions, strict=True))
    )
    return Statement(query.limit(bindparam("limit", None, Integer())), ordering=_ORDER)


@lru_cache(maxsize=64)
def _count_statement(kinds: frozenset[SearchKind], shape: ViewerShape) -> Statement:
    found = _found(kinds, placeholder_viewer(shape))
    return Statement(select(func.count().label("total")).select_from(found))


async def _search(
    _: Sequence[Any],
    info: BatchInfo,
    *,
    query: str,
    kinds: list[SearchKind] | None = None,
    first: int | None = None,
    after: str | None = None,
) -> list[Page]:
    info.viewer.require()
    terms = terms_of(query, ("query",))
    chosen = frozenset(SearchKind if kinds is None else kinds)
    window = window_of(_ORDER, first, after, None, None)
    page = Page([])
    if not chosen:
        page.total = 0
        return [page]
    reader = info.context.services.database.reader
    params = {**info.viewer.params, "query": terms.query}

    async def read(part: Window) -> list[Any]:
        bound = "before" if part.before is not None else "after" if part.after is not None else None
        statement = _page_statement(chosen, bound, info.viewer.shape)
        return await reader.fetch(statement, {**params, **part.params})

    async def beyond(far: Window, keys: Sequence[None]) -> Sequence[None]:
        return keys if await read(far) else ()

    if any(below(info.selection, name) for name in ("nodes", "edges", "pageInfo")):
        page.rows = await read(window)
        await cut({None: page}, window, info.selection, beyond)
    if below(info.selection, "totalCount"):

        async def totals() -> dict[None, int]:
            statement = _count_statement(chosen, info.viewer.shape)
            rows: list[Any] = await reader.fetch(statement, params)
            return {None: rows[0].total}

        await count({None: page}, totals())
    return [page]


@strawberry.type
class SearchQuery:
    search: SearchConnection = batch(
        _search,
        "Searches the text of everything that you can see, best match first. All words must "
        "occur; the last one may be the beginning of a word. Ignores case and accents.",
        arguments=[
            argument(
                "query",
                str,
                "The text to search for, up to 10 words.",
                default=inspect.Parameter.empty,
            ),
            argument(
                "kinds",
                list[SearchKind] | None,
                "The kinds of objects to find; all kinds by default.",
            ),
            argument(
                "first", int | None, "The number of results to return; 50 by default, at most 100."
            ),
            argument("after", str | None, "Returns only results after this cursor."),
        ],
    )
