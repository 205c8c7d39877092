"""Tags in the schema: list them, and add them to or remove them from a task.

A tag is a word on tasks, compared case-insensitively. `tags` counts them over the tasks that the
viewer can see, by the counters of lists (`graph.types.tasks.counted`), and shows the most frequent
spelling of each.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import ARRAY, BigInteger, Integer, Text, Uuid, and_, bindparam, func, or_, true
from sqlalchemy.dialects.postgresql import aggregate_order_by, array

from auth.viewer import ViewerShape, placeholder_viewer
from db import models
from db.statements import Statement, select_from
from domain import rules
from domain.tasks import tags
from domain.work import Work
from graph.core import ids
from graph.core.fields import BatchInfo, batch, column
from graph.core.inputs import UpdateInput, given, required
from graph.kit import filtering, ordering, paging
from graph.kit.comparators import IntFilter, StringFilter
from graph.kit.criteria import Compare, Search
from graph.kit.filter_values import Binds, Values
from graph.kit.mutation import (
    MutationPayload,
    Outcome,
    Refs,
    mutation,
    payload,
    ref,
    shared_payload,
)
from graph.kit.ordering import Key, Ordering, Source
from graph.kit.page_query import KEY
from graph.kit.page_rows import Link
from graph.kit.paging import Page, Window, paging_arguments, window_of
from graph.kit.predicates import build_filter, filter_shape
from graph.types.tasks.counted import CountedTasks, spellings

if TYPE_CHECKING:
    from graph.types.tasks.task import Task, TaskConnection
    from graph.types.tasks.task_inputs import TaskFilter, TaskOrder

_Task = Annotated["Task", strawberry.lazy("graph.types.tasks.task")]
_TaskConnection = Annotated["TaskConnection", strawberry.lazy("graph.types.tasks.task")]
_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]
_TaskOrder = Annotated["TaskOrder", strawberry.lazy("graph.types.tasks.task_inputs")]


@dataclass(frozen=True, slots=True)
class CountedTag:
    """A tag outside of lists of tags. `parent_key`: the only project whose tasks are meant."""

    name: str
    task_count: int
    parent_key: UUID | None = None


def _has_tag(task: Any, key: Any, project_id: Any) -> Any:
    return and_(
        task.tag_keys.contains(array([key])),
        or_(project_id.is_(None), task.project_id == project_id),
    )


_TAGGED = Link((Text(), Uuid()), _has_tag)


def _keys(tags: Sequence[Any]) -> list[tuple[str, UUID | None]]:
    return [(rules.tag_key(tag.name), getattr(tag, "parent_key", None)) for tag in tags]


@strawberry.type(description="A tag and the tasks that have it.")
class Tag:
    """Reads from a row of `_page_statement`, or from a `CountedTag`."""

    name: str = column("name", "The tag, in its most frequent spelling.")
    task_count: int = column("task_count", "The number of tasks with this tag that you can see.")
    tasks: _TaskConnection = paging.linked(
        models.Task,
        _TAGGED,
        _keys,
        "The tasks with this tag that you can see, newest first by default; below a project, only "
        "the project's. The filter of statistics does not apply to them.",
        requires=("name",),
        filter_type=_TaskFilter,
        order_type=_TaskOrder,
        default_order=(Key(ordering.source(models.Task.created_at), descending=True),),
    )


@paging.connection_type("A page of tags.", edge="A tag in a list, with its cursor.")
class TagConnection:
    node: Tag


def _of_groups(name: str) -> Any:
    # Rows are groups here, not rows of a model: `groups` is their subquery.
    return lambda _viewer, groups: groups.c[name]


_KEY = Source("tag_key", _of_groups("tag_key"), Text(), nullable=False)
_NAME = Source(
    "name_key", lambda _, groups: ordering.text_key(groups.c.tag_key), Text(), nullable=False
)
_COUNT = Source("task_count", _of_groups("task_count"), BigInteger(), nullable=False)
_MOST_USED_FIRST = (Key(_COUNT, descending=True), Key(_NAME), Key(_KEY))


class _Words(Search):
    """Words in a tag."""

    def __init__(self) -> None:
        super().__init__(())

    def texts(self, entity: Any) -> list[Any]:
        """The tag as it is compared."""
        return [entity.c.tag_key]


@filtering.filter_input("Filter for tags.")
class TagFilter:
    name: StringFilter | None = filtering.declared(
        Compare(lambda groups: groups.c.tag_key, Text(), convert=rules.tag_key),
        "The tag. Case-insensitive.",
        "name",
        _NAME,
    )
    task_count: IntFilter | None = filtering.declared(
        Compare(lambda groups: groups.c.task_count, BigInteger()),
        "The number of tasks with the tag that you can see.",
        "the number of tasks",
        _COUNT,
    )
    search: str | None = filtering.declared(
        _Words(), "Words that must all occur in the tag. Ignores case and accents."
    )


@ordering.order_input("Sort key for tags. Provide exactly one field.", of=TagFilter)
class TagOrder: ...


# --- statements ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Requested:
    """Everything that a statement depends on."""

    viewer: ViewerShape
    ordering: Ordering
    backward: bool
    after: tuple[bool, ...] | None
    before: tuple[bool, ...] | None
    filter: Hashable
    by_project: bool
    # See `graph.kit.page_rows.PageShape`.
    inclusive: bool = False


def _groups(requested: _Requested, projects: Any) -> Any:
    """Each tag with its count; per project if projects are given."""
    counted = CountedTasks(placeholder_viewer(requested.viewer), by_project=projects is not None)
    spelled = spellings(counted.tags(None if projects is None else projects.c.id))
    # Of equally frequent spellings, the first.
    in_order = aggregate_order_by(spelled.c.tag, spelled.c.n.desc(), spelled.c.tag)
    names = func.array_agg(in_order, type_=ARRAY(Text()))
    return select_from(
        spelled,
        spelled.c.tag_key,
        names[1].label("name"),
        func.sum(spelled.c.n).label("task_count"),
    ).group_by(spelled.c.tag_key)


def _wanted(requested: _Requested, groups: Any) -> list[Any]:
    if requested.filter is None:
        return []
    viewer = placeholder_viewer(requested.viewer)
    return [build_filter(requested.filter, groups, viewer, Binds())]


def _projects() -> Any:
    return (
        func.unnest(bindparam("parents", type_=ARRAY(Uuid())))
        .table_valued("id", name="parent")
        .render_derived()
    )


@lru_cache(maxsize=500)
def _page_statement(requested: _Requested) -> Statement:
    projects = _projects() if requested.by_project else None
    groups = _groups(requested, projects).lateral("groups")
    viewer, ordered = placeholder_viewer(requested.viewer), requested.ordering
    keys = [key.source.sql(viewer, groups) for key in ordered.keys]
    query = select_from(
        groups,
        groups.c.name,
        groups.c.task_count,
        *(key.label(f"{KEY}{index}") for index, key in enumerate(keys)),
    )
    query = query.where(*_wanted(requested, groups))
    if requested.after is not None:
        query = query.where(
            ordered.after(keys, requested.after, "after", inclusive=requested.inclusive)
        )
    if requested.before is not None:
        backward = ordered.reversed()
        query = query.where(
            backward.after(keys, requested.before, "before", inclusive=requested.inclusive)
        )
    read = ordered.reversed() if requested.backward else ordered
    query = query.order_by(
        *(key.sorted(expression) for key, expression in zip(read.keys, keys, strict=True))
    ).limit(bindparam("limit", type_=Integer()))
    if projects is not None:
        page = query.lateral("page")
        query = select_from(projects.join(page, true()), projects.c.id.label("parent_key"), *page.c)
    return Statement(query, ordering=ordered)


@lru_cache(maxsize=100)
def _count_statement(requested: _Requested) -> Statement:
    if not requested.by_project:
        groups = _groups(requested, None).subquery()
        total = select_from(groups, func.count().label("total"))
        return Statement(total.where(*_wanted(requested, groups)))
    projects = _projects()
    groups = _groups(requested, projects).lateral("groups")
    totals = select_from(
        projects.join(groups, true()),
        projects.c.id.label("parent_key"),
        func.count().label("total"),
    )
    return Statement(totals.where(*_wanted(requested, groups)).group_by(projects.c.id))


async def _pages(
    info: BatchInfo,
    projects: Sequence[UUID] | None,
    *,
    filter: TagFilter | None = None,  # noqa: A002 - the argument's name in the schema
    order_by: Sequence[Any] | None = None,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> dict[UUID | None, Page]:
    """The page of each project, or of None for all tasks."""
    ordered = ordering.ordering_by(_KEY, order_by, _MOST_USED_FIRST, ("order_by",))
    window = window_of(ordered, first, after, last, before)
    reader = info.context.services.database.reader
    values = Values()
    requested = _Requested(
        viewer=info.viewer.shape,
        ordering=ordered,
        backward=window.backward,
        after=paging.nulls_of(window.after),
        before=paging.nulls_of(window.before),
        filter=None if filter is None else filter_shape(filter, values, ("filter",)),
        by_project=projects is not None,
    )
    params: dict[str, Any] = {**info.viewer.params, **values.params()}

    async def read(
        statement: Statement, place: Window, keys: Sequence[Any] | None
    ) -> list[tuple[UUID | None, Any]]:
        rows = await reader.fetch(statement, {**params, **place.params, "parents": keys})
        return [(None if projects is None else row.parent_key, row) for row in rows]

    async def beyond(far: Window, keys: Sequence[UUID | None]) -> set[UUID | None]:
        there = replace(
            requested,
            backward=far.backward,
            after=paging.nulls_of(far.after),
            before=paging.nulls_of(far.before),
            inclusive=far.inclusive,
        )
        return {key for key, _ in await read(_page_statement(there), far, keys)}

    pages: dict[UUID | None, Page] = {key: Page([]) for key in projects or (None,)}
    if any(info.selection.child(name) for name in ("nodes", "edges", "pageInfo")):
        for key, row in await read(_page_statement(requested), window, projects):
            pages[key].rows.append(row)
        await paging.cut(pages, window, info.selection, beyond)
    if info.selection.child("totalCount") is not None:

        async def totals() -> dict[UUID | None, int]:
            rows = await read(_count_statement(requested), window, projects)
            return {key: row.total for key, row in rows}

        await paging.count(pages, totals())
    return pages


# --- fields --------------------------------------------------------------------------------------


async def _tags(_: Sequence[Any], info: BatchInfo, **paging_: Any) -> list[Page]:
    info.viewer.require()
    return [(await _pages(info, None, **paging_))[None]]


async def _tags_of_projects(parents: Sequence[Any], info: BatchInfo, **paging_: Any) -> list[Page]:
    projects = list(dict.fromkeys(parent.id for parent in parents))
    pages = await _pages(info, projects, **paging_)
    return [pages[parent.id] for parent in parents]


def project_tags() -> Any:
    """`Project.tags`."""
    return batch(
        _tags_of_projects,
        "The tags of the project's tasks with their counts, most frequent first by default.",
        requires=("id",),
        arguments=paging_arguments(TagFilter, TagOrder),
    )


@strawberry.type
class TagQuery:
    tags: TagConnection = batch(
        _tags,
        "Lists the tags of all tasks that you can see with their counts, most frequent first by "
        "default.",
        arguments=paging_arguments(TagFilter, TagOrder),
    )


# --- mutations -----------------------------------------------------------------------------------


@strawberry.input(description="Input for `taskTagsAdd`.")
class TaskTagsAddInput(UpdateInput):
    """See `domain.tasks.tags.add`."""

    id: strawberry.ID = required("The task's ID or identifier.")
    tags: list[str] = required(
        "The tags to add, 1 to 50 characters each. A task has at most 20 tags."
    )


@strawberry.input(description="Input for `taskTagsRemove`.")
class TaskTagsRemoveInput(UpdateInput):
    """See `domain.tasks.tags.remove`."""

    id: strawberry.ID = required("The task's ID or identifier.")
    tags: list[str] = required("The tags to remove. Case-insensitive.")


@shared_payload("`task` is the current task.")
class _TaggedPayload(MutationPayload):
    task: _Task | None = ref(models.Task, "The task. Null if the mutation failed.", "task")


@payload(
    "Payload of `taskTagsRemove`. `errors` has a `NOT_FOUND` for each tag that the task did not "
    "have. On `CONFLICT`, `task` is the current task."
)
class TaskTagsRemovePayload(_TaggedPayload):
    """`taskTagsRemove`."""


async def _add(work: Work, data: TaskTagsAddInput) -> Refs:
    task_id = ids.decode(models.Task, data.id, ("id",))
    return {"task": (await tags.add(work, task_id, data.tags, given(data.if_version))).id}


async def _remove(work: Work, data: TaskTagsRemoveInput) -> Outcome:
    task_id = ids.decode(models.Task, data.id, ("id",))
    task, absent = await tags.remove(work, task_id, data.tags, given(data.if_version))
    return Outcome({"task": task.id}, absent)


@strawberry.type
class TagMutation:
    task_tags_add: _TaggedPayload = mutation(
        _add,
        TaskTagsAddInput,
        "Adds tags to a task; concurrent additions do not conflict. A tag that the task already "
        "has, in any case, stays as it is.",
    )
    task_tags_remove: TaskTagsRemovePayload = mutation(
        _remove,
        TaskTagsRemoveInput,
        "Removes tags from a task. A tag that the task does not have is reported as `NOT_FOUND` "
        "with its index in the path; the others are removed.",
    )
