"""Statistics over the tasks that the viewer can see, in one statement.

Numbers come from counters: those of the lists that the viewer sees as a whole
(`auth.access.lists`, `db.models.counters`), and the few tasks that they see beside these. Only what
is overdue is counted, from an index of open tasks. With a filter by more than project, status and
priority, and in groups by assignee or tag, the tasks themselves are counted.

Only what is selected is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import (
    ColumnElement,
    Integer,
    SelectBase,
    Uuid,
    and_,
    cast,
    func,
    literal,
    null,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db import models
from db.models import TaskPriority, TaskStatus
from db.models.task import is_overdue, was_due
from db.statements import Plan, Statement
from errors import collecting
from graph.core.access_paths import CandidateSet, by_access_path, candidate_set, path_flag
from graph.core.fields import BatchInfo, argument, attribute, batch, root
from graph.kit.look_ups import shaped_filter
from graph.kit.ordering import text_key
from graph.kit.predicates import right_of
from graph.types.tasks.counted import (
    NONE,
    ONE,
    PARENTS,
    CountedTasks,
    is_counted,
    of_counted,
    of_tasks,
    spellings,
    tag_pairs,
)
from graph.types.tasks.stats_groups import (
    MAX_GROUPS,
    TaskGroupBy,
    TaskStatsGroup,
    checked_keys,
    demand_few,
    grouped,
    read_groups,
)
from graph.types.tasks.tag import CountedTag, Tag

if TYPE_CHECKING:
    from graph.types.tasks.task_inputs import TaskFilter

_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]

MAX_TAGS = 100


@strawberry.type(description="The number of tasks with one status.")
class TaskStatusCount:
    """One entry of `byStatus`."""

    status: TaskStatus = attribute("The status.")
    count: int = attribute("The number of tasks with this status.")


@strawberry.type(description="The number of tasks with one priority.")
class TaskPriorityCount:
    """One entry of `byPriority`."""

    priority: TaskPriority = attribute("The priority.")
    count: int = attribute("The number of tasks with this priority.")


@strawberry.type(
    description="Statistics over the tasks that you can see. They reflect every change of the "
    "tasks and of your access at once."
)
class TaskStats:
    total: int = attribute("The number of tasks.")
    completed: int = attribute("The number of tasks with the status COMPLETED.")
    open: int = attribute("The number of open tasks: TODO and IN_PROGRESS.")
    overdue: int = attribute("The number of open tasks that are past due.")
    by_status: list[TaskStatusCount] = attribute(
        "Counts by status: every status once, in the order of the enum."
    )
    by_priority: list[TaskPriorityCount] = attribute(
        "Counts by priority: every priority once, in the order of the enum."
    )
    by_tag: list[Tag] = attribute(f"Counts by tag: the {MAX_TAGS} most frequent tags.")
    shared_by_me: int = attribute("The number of tasks that you shared with someone.")
    shared_with_me: int = attribute("The number of tasks that someone shared with you.")
    comments_posted: int = attribute("The number of comments that you posted on these tasks.")
    groups: list[TaskStatsGroup] = attribute(
        "The tasks in groups by the first criterion of `groupBy`, each with groups by the next; "
        "only groups that have tasks. Empty without `groupBy`."
    )


def _stats_of(row: Any, keys: Sequence[TaskGroupBy], project: UUID | None) -> TaskStats:
    statuses = [TaskStatusCount(status=s, count=getattr(row, _column(s))) for s in TaskStatus]
    open_statuses = {TaskStatus.TODO, TaskStatus.IN_PROGRESS}
    return TaskStats(
        total=row.total,
        completed=getattr(row, _column(TaskStatus.COMPLETED)),
        open=sum(bar.count for bar in statuses if bar.status in open_statuses),
        overdue=row.overdue,
        by_status=statuses,
        by_priority=[
            TaskPriorityCount(priority=p, count=getattr(row, _column(p))) for p in TaskPriority
        ],
        by_tag=[CountedTag(tag, count, project) for tag, count in _of(row, "tags") or ()],  # type: ignore[misc]
        shared_by_me=_of(row, "shared_by_me"),
        shared_with_me=_of(row, "shared_with_me"),
        comments_posted=_of(row, "comments_posted"),
        groups=read_groups(row.groups, keys) if keys else [],  # type: ignore[arg-type]
    )


def _of(row: Any, label: str) -> Any:
    """A number of a row; 0 if it was not selected."""
    return getattr(row, label, 0)


def _column(member: TaskStatus | TaskPriority) -> str:
    return f"{type(member).__name__}_{member.name}".lower()


_NOTHING = dict.fromkeys(
    [
        "total",
        "overdue",
        "shared_by_me",
        "shared_with_me",
        "comments_posted",
        *map(_column, TaskStatus),
        *map(_column, TaskPriority),
    ],
    0,
)


class _Empty:
    """The row of a project without tasks."""

    tags = None
    groups = None

    def __getattr__(self, name: str) -> int:
        return _NOTHING[name]


# --- the statement -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Requested:
    """Everything that a statement depends on. `counted`: see `graph.core.access_paths`."""

    by_project: bool
    filter: Hashable
    group_by: tuple[TaskGroupBy, ...]
    viewer: ViewerShape
    counted: bool
    # The selected fields.
    fields: frozenset[str]

    @property
    def plan(self) -> Plan:
        """When PostgreSQL plans the statement."""
        if self.filter is not None:
            return Plan.EACH
        return Plan.ONCE if self.has_counters else Plan.GUESSED

    @property
    def has_counters(self) -> bool:
        """Whether counters know the answer."""
        if {TaskGroupBy.ASSIGNEE, TaskGroupBy.TAG} & {*self.group_by}:
            return False
        # Those of tags do not say which status and priority the tasks have.
        return self.filter is None or (
            "byTag" not in self.fields and is_counted(self.filter, self.viewer)
        )


@dataclass(frozen=True, slots=True)
class _Source:
    """What is counted. `rows` has `key`, `project_id`, `status`, `priority`, `n` (the number of
    tasks) and `overdue` (how many of them are), and for groups also what these are made of.
    """

    rows: Any
    # The tags of a key: `tag_key`, `tag`, `n`.
    tags: Callable[[Any], SelectBase]
    # The visible tasks of a key, as a condition for an alias of them.
    holds: Callable[[Any, Any], ColumnElement[bool]]


def _from_tasks(requested: _Requested, candidates: CandidateSet | None) -> _Source:
    """The visible tasks, one by one."""
    viewer = placeholder_viewer(requested.viewer)
    task = aliased(models.Task)
    key = task.project_id if requested.by_project else literal(1, Integer())
    query = select(
        key.label("key"),
        task.id,
        task.project_id,
        task.assignee_id,
        task.status,
        task.priority,
        ONE.label("n"),
        cast(is_overdue(task), Integer).label("overdue"),
    ).where(right_of(requested.filter)(viewer, task))
    if "byTag" in requested.fields or TaskGroupBy.TAG in requested.group_by:
        # Hundreds of thousands of rows with tags do not fit into PostgreSQL's memory.
        query = query.add_columns(task.tags, task.tag_keys)
    if requested.by_project:
        query = query.where(task.project_id == PARENTS.any_())
    query = query.where(of_tasks(requested.filter, task, viewer))
    visible = (
        by_access_path(query, task, candidates).cte("visible").prefix_with(text("MATERIALIZED"))
    )

    def tags(key: Any) -> SelectBase:
        one = visible.alias()
        pair = tag_pairs(one.c)
        rows = select(pair.c.tag_key, pair.c.tag, one.c.n).select_from(one.join(pair, true()))
        return rows.where(one.c.key == key).correlate(key.table)

    def holds(key: Any, task: Any) -> ColumnElement[bool]:
        ids = select(visible.c.id).where(visible.c.key == key).correlate(key.table)
        held: ColumnElement[bool] = task.id.in_(ids)
        return held

    return _Source(visible, tags, holds)


def _from_counters(requested: _Requested) -> _Source:
    """The counters of whole lists, and the visible tasks beside them."""
    viewer = placeholder_viewer(requested.viewer)
    by_project = requested.by_project
    by_list = by_project or TaskGroupBy.PROJECT in requested.group_by
    filter_ = requested.filter
    counted = CountedTasks(viewer, by_project=by_project, filter_=filter_)

    def sums(list_id: Any, row: Any, n: Any, overdue: Any) -> Any:
        """Sums of some rows, as few as the answer needs."""
        lists = list_id if by_list else cast(null(), Uuid())
        keys = [lists.label("list_id"), row.status, row.priority]
        added = [func.sum(n).label("n"), func.sum(overdue).label("overdue")]
        return select(*keys, *added).group_by(*(keys if by_list else keys[1:]))

    parts = []
    for model in (models.ListCount, models.ListCountChange):
        counter: Any = aliased(model)
        inside = and_(counter.list_id.in_(counted.lists), of_counted(filter_, counter, viewer))
        parts.append(sums(counter.list_id, counter, counter.tasks, NONE).where(inside))
    if counted.beside is not None:
        beside = counted.beside.c
        parts.append(sums(beside.project_id, beside, ONE, beside.overdue))
    if {"overdue", "groups"} & requested.fields:
        task, own = aliased(models.Task), aliased(models.Task)
        inside = and_(
            was_due(task),
            task.project_id.in_(counted.lists),
            of_tasks(filter_, task, viewer),
        )
        parts.append(sums(task.project_id, task, NONE, ONE).where(inside))
        if not by_project and not viewer.restricted:
            personal = and_(
                was_due(own),
                own.project_id.is_(None),
                own.owner_id == viewer.sql_id,
                of_tasks(filter_, own, viewer),
            )
            parts.append(sums(own.project_id, own, NONE, ONE).where(personal))
    added = union_all(*parts).subquery("parts")
    rows = select(
        (added.c.list_id if by_project else ONE).label("key"),
        added.c.list_id.label("project_id"),
        added.c.status,
        added.c.priority,
        added.c.n,
        added.c.overdue,
    ).subquery("numbers")

    def holds(key: Any, task: Any) -> ColumnElement[bool]:
        seen = and_(access.read(viewer, task), of_tasks(filter_, task, viewer))
        return and_(seen, task.project_id == key) if by_project else seen

    return _Source(rows, counted.tags, holds)


def _sum(n: Any, *conditions: ColumnElement[bool]) -> Any:
    total = func.sum(n).filter(*conditions) if conditions else func.sum(n)
    return cast(func.coalesce(total, 0), Integer)


@lru_cache(maxsize=500)
def _statement(requested: _Requested) -> Statement:
    """The statistics by project, or one for all."""
    viewer = placeholder_viewer(requested.viewer)
    candidates = None
    if requested.has_counters:
        source = _from_counters(requested)
    else:
        candidates = candidate_set(viewer, models.Task, counted=requested.counted)
        source = _from_tasks(requested, candidates)
    rows = source.rows
    totals = (
        select(
            rows.c.key,
            _sum(rows.c.n).label("total"),
            _sum(rows.c.overdue).label("overdue"),
            *(_sum(rows.c.n, rows.c.status == s).label(_column(s)) for s in TaskStatus),
            *(_sum(rows.c.n, rows.c.priority == p).label(_column(p)) for p in TaskPriority),
        )
        .group_by(rows.c.key)
        .subquery("totals")
    )
    joined: Any = totals
    extra = []
    if requested.group_by:
        groups = grouped(rows, requested.group_by, viewer)
        joined, extra = totals.outerjoin(groups, groups.c.key == totals.c.key), [groups.c.groups]
    if "byTag" in requested.fields:
        extra.append(_tags(source.tags(totals.c.key)).label("tags"))
    for field, (label, number) in _OWN.items():
        if field in requested.fields:
            extra.append(number(source, totals.c.key, viewer).label(label))
    return Statement(
        select(*totals.c, *extra, *path_flag(candidates)).select_from(joined),
        plan=requested.plan,
    )


def _shared_by_me(source: _Source, key: Any, viewer: Viewer) -> Any:
    share = aliased(models.TaskShare)
    return _number(source, key, select(share.task_id).where(share.shared_by_id == viewer.sql_id))


def _shared_with_me(source: _Source, key: Any, viewer: Viewer) -> Any:
    return _number(source, key, access.shared_tasks(viewer))


def _number(source: _Source, key: Any, ids: Any) -> Any:
    task = aliased(models.Task)
    return (
        select(func.count())
        .select_from(task)
        .where(task.id.in_(ids), source.holds(key, task))
        .correlate(key.table)
        .scalar_subquery()
    )


def _comments_posted(source: _Source, key: Any, viewer: Viewer) -> Any:
    comment, task = aliased(models.Comment), aliased(models.Task)
    return (
        select(func.count())
        .select_from(comment)
        .join(task, task.id == comment.task_id)
        .where(
            comment.author_id == viewer.sql_id,
            comment.removed_at.is_(None),
            source.holds(key, task),
        )
        .correlate(key.table)
        .scalar_subquery()
    )


# What depends on the viewer's own shares and comments.
_OWN: dict[str, tuple[str, Callable[[_Source, Any, Viewer], Any]]] = {
    "sharedByMe": ("shared_by_me", _shared_by_me),
    "sharedWithMe": ("shared_with_me", _shared_with_me),
    "commentsPosted": ("comments_posted", _comments_posted),
}


def _tags(pairs: SelectBase) -> Any:
    """The most frequent tags, as JSON pairs."""
    spelled = spellings(pairs)
    count = func.sum(spelled.c.n)
    counted = (
        select(func.min(spelled.c.tag).label("tag"), count.label("count"))
        .group_by(spelled.c.tag_key)
        .order_by(count.desc(), text_key(spelled.c.tag_key))
        .limit(MAX_TAGS)
        .subquery("counted_tags")
    )
    shown = func.jsonb_build_array(counted.c.tag, counted.c.count)
    return select(func.jsonb_agg(shown)).select_from(counted).scalar_subquery()


# The fields that are computed only if they are selected.
_FIELDS = frozenset(["overdue", "byTag", "groups", *_OWN])


async def _read(
    info: BatchInfo,
    projects: Sequence[UUID] | None,
    *,
    filter_: Any = None,
    group_by: Sequence[TaskGroupBy] | None = None,
) -> list[TaskStats]:
    """The statistics of each project, or of everything."""
    viewer, services = info.viewer, info.context.services
    with collecting():
        keys = checked_keys(group_by)
        shaped, values = await shaped_filter(filter_, ("filter",), services.database.reader)
    groups: Sequence[Any] = [1] if projects is None else projects
    requested = _Requested(
        by_project=projects is not None,
        filter=shaped,
        group_by=keys,
        viewer=viewer.shape,
        counted=False,
        fields=frozenset(name for name in _FIELDS if info.selection.child(name) is not None),
    )
    params = {**viewer.params, **values.params(), "parents": list(projects or ())}
    if projects is not None or requested.has_counters:
        rows = await services.database.reader.fetch(_statement(requested), params)
    else:
        paths = services.access_paths
        counted = paths.uses_candidates(viewer, models.Task)
        statement = _statement(replace(requested, counted=counted))
        reading = services.database.reader.fetch(statement, params)
        rows = await paths.read(reading, viewer, models.Task, counted=counted)
    if keys:
        demand_few(rows)
    found: dict[Any, Any] = {row.key: row for row in rows}
    return [
        _stats_of(found.get(group, _Empty()), keys, None if projects is None else group)
        for group in groups
    ]


_ARGUMENTS = [
    argument(
        "filter_",
        _TaskFilter | None,
        "Returns statistics only over tasks that match this filter.",
        name="filter",
    ),
    argument(
        "group_by",
        list[TaskGroupBy] | None,
        "How to group the tasks, from the outermost to the innermost level; see `groups`. Returns "
        f"at most {MAX_GROUPS:,} innermost groups.",
    ),
]


async def _task_stats(info: BatchInfo, **arguments: Any) -> TaskStats:
    info.viewer.require()
    (stats,) = await _read(info, None, **arguments)
    return stats


async def _project_stats(
    parents: Sequence[Any], info: BatchInfo, **arguments: Any
) -> list[TaskStats]:
    keys = list(dict.fromkeys(parent.id for parent in parents))
    by_key = dict(zip(keys, await _read(info, keys, **arguments), strict=True))
    return [by_key[parent.id] for parent in parents]


def project_stats() -> Any:
    """The field `Project.stats`."""
    return batch(
        _project_stats,
        "Statistics over the project's tasks, or over those that match the filter.",
        requires=("id",),
        arguments=_ARGUMENTS,
    )


@strawberry.type
class StatsQuery:
    task_stats: TaskStats = root(
        _task_stats,
        "Returns statistics over the tasks that you can see, or over those that match the filter.",
        arguments=_ARGUMENTS,
    )
