"""Full-text search over the tasks, comments and projects that the viewer can see.

The newest matches of each kind (`graph.types.search_rows`) are ranked together, and a page is cut
from them by rank and id. The objects and the texts for highlighting are read for that page alone.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Annotated, Any

import strawberry
from sqlalchemy import (
    REAL,
    Uuid,
    bindparam,
    func,
    select,
)

from auth import access
from auth.viewer import ViewerShape, placeholder_viewer
from db.statements import AnyRow, Statement
from errors import collecting
from graph.core.fields import BatchInfo, argument, attribute, batch, column
from graph.core.inputs import optional
from graph.core.node import described_enum
from graph.core.scalars import HTML
from graph.kit.filter_values import Values
from graph.kit.loading import load_objects
from graph.kit.mixed_pages import MixedList, read_mixed_page
from graph.kit.ordering import Key, Ordering, Source
from graph.kit.paging import Page, connection_type, paging_arguments, window_of
from graph.kit.predicates import filter_shape
from graph.types.projects.project import Project
from graph.types.projects.project_inputs import ProjectFilter
from graph.types.search_rows import MODELS, RANKED, SearchKind, Wanted, rows_of, way_to
from graph.types.search_terms import Terms, highlight, terms_of
from graph.types.tasks.comment import Comment
from graph.types.tasks.comment_inputs import CommentFilter
from graph.types.tasks.task import Task
from graph.types.tasks.task_inputs import TaskFilter

described_enum(
    SearchKind,
    "A kind of object that search finds.",
    {
        SearchKind.TASK: "Tasks, by title, tags and description.",
        SearchKind.COMMENT: "Comments on tasks, by text.",
        SearchKind.PROJECT: "Projects, by name, key and description.",
    },
)

# The texts that may be highlighted, by field.
_TEXTS: dict[SearchKind, dict[str, Any]] = {
    SearchKind.TASK: {
        "title": lambda task: task.title,
        "tags": lambda task: func.array_to_string(task.tags, ", "),
        "description": lambda task: task.description,
    },
    SearchKind.COMMENT: {"body": lambda comment: comment.body},
    SearchKind.PROJECT: {
        "name": lambda project: project.name,
        "key": lambda project: project.key,
        "description": lambda project: project.description,
    },
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
            model = MODELS[kind]
            found = await load_objects(info, model, [parents[place].id for place in places])
            for place, row in zip(places, found, strict=True):
                rows[place] = row
    return rows


@lru_cache(maxsize=16)
def _texts_statement(kind: SearchKind, shape: ViewerShape) -> Statement:
    model, texts = MODELS[kind], _TEXTS[kind]
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
    fields = _TEXTS[SearchKind(result.kind)]
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


# --- arguments -----------------------------------------------------------------------------------

_LIST = MixedList(_ORDER, rows_of, plan=lambda wanted: wanted.plan)


@strawberry.input(description="Filter for `search`.")
class SearchFilter:
    project: ProjectFilter | None = optional(
        "Returns only tasks in these projects, comments on them, and these projects themselves."
    )


def _filter_of(kind: SearchKind, given: SearchFilter) -> Any:
    """The filter in terms of the kind's own filter."""
    of_task: Any = TaskFilter
    of_comment: Any = CommentFilter
    project: Any = given.project
    if kind is SearchKind.PROJECT:
        return ProjectFilter() if project is None or project is strawberry.UNSET else project
    task = of_task(project=project)
    return of_comment(task=task) if kind is SearchKind.COMMENT else task


def _wanted(
    kinds: list[SearchKind] | None, given: SearchFilter | None
) -> tuple[Wanted, dict[str, Any]]:
    """What is searched, and the values of the filters."""
    shapes: dict[SearchKind, Hashable] = dict.fromkeys(SearchKind)
    parts: dict[SearchKind, Values] = {kind: Values() for kind in SearchKind}
    if given is not None:
        # Tasks first, whatever is searched: there the filter has the path that the client wrote.
        for kind in SearchKind:
            shapes[kind] = filter_shape(_filter_of(kind, given), parts[kind], ("filter",))
    chosen = [kind for kind in SearchKind if kinds is None or kind in kinds]
    values = Values()
    for kind in chosen:
        values.list += parts[kind].list
    return Wanted(tuple((kind, shapes[kind]) for kind in chosen)), values.params()


async def _search(
    _: Sequence[Any],
    info: BatchInfo,
    *,
    query: str,
    filter: SearchFilter | None = None,  # noqa: A002 - the argument's name in the schema
    kinds: list[SearchKind] | None = None,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> list[Page]:
    info.viewer.require()
    with collecting():
        terms = terms_of(query, ("query",))
        wanted, values = _wanted(kinds, filter)
    window = window_of(_ORDER, first, after, last, before)
    if not wanted.filters:
        return [Page([], total=0)]
    wanted, scans = await way_to(
        wanted, terms.query, info.viewer, info.context.services.database.reader
    )
    params = {**values, **scans, "query": terms.query}
    return [await read_mixed_page(info, _LIST, wanted, window, params)]


@strawberry.type
class SearchQuery:
    search: SearchConnection = batch(
        _search,
        "Searches the text of everything that you can see, best match first. All words must "
        "occur; the last one may be the beginning of a word. Ignores case and accents. Of each "
        f"kind, the newest {RANKED} matches are ranked and counted.",
        arguments=[
            argument(
                "query",
                str,
                "The text to search for, up to 10 words.",
                default=inspect.Parameter.empty,
            ),
            argument("filter", SearchFilter | None, "Returns only objects that match this filter."),
            argument(
                "kinds",
                list[SearchKind] | None,
                "The kinds of objects to find; all kinds by default.",
            ),
            *paging_arguments(),
        ],
    )
