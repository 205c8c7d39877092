"""Statistics over the tasks that the viewer can see: one statement, cached for five minutes.

Before a cached answer is used again it is checked against the event log: if the log has any event
since then that the viewer can see, the answer is computed again. That is enough because every
change of what a user sees is in the log, readable by that user: access gained by the event of the
change itself, access lost by `ACCESS_LOST` (`domain.rights_change`). Only an expiring share removes
access without an event, so an answer is cached at most until the next share with the viewer
expires. Two more kinds of events count even if the viewer cannot see them: those of shares, because
the user who shared may no longer see the task, and those of users, because a filter may match their
names. Nothing is cached for an API key that is restricted to projects: a task that leaves them is
lost to the key but not to its owner, so no event says so.

Nobody therefore sees numbers from before a change, in any process, and no message has to arrive for
that. The check reads only what was logged since the last check.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import (
    ARRAY,
    Integer,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from cache import BoundedCache
from db import models
from db.models import TaskPriority, TaskStatus
from db.models.event import Xid8
from db.models.task import is_overdue
from db.read import Statement
from errors import collecting
from events.kinds import EventKind
from graph.core.access_paths import by_access_path, candidate_set, path_flag
from graph.core.fields import BatchInfo, argument, attribute, batch, root
from graph.kit.filtering import Binds, Values, build_filter, filter_shape, right_of
from graph.kit.ordering import text_key
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

_COUNT_ANYWAY = literal(
    [kind.name for kind in EventKind if kind.name.startswith(("TASK_SHARE_", "USER_"))],
    ARRAY(Text()),
)
KEPT = dt.timedelta(minutes=5)
MAX_TAGS = 100
_MAX_KEPT = 10_000
_MAX_KEPT_GROUPS = 200


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
    "tasks and of your access at once; only `overdue` can be up to five minutes old."
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
        by_tag=[CountedTag(tag, count, project) for tag, count in row.tags or ()],  # type: ignore[misc]
        shared_by_me=row.shared_by_me,
        shared_with_me=row.shared_with_me,
        comments_posted=row.comments_posted,
        groups=read_groups(row.groups, keys) if keys else [],  # type: ignore[arg-type]
    )


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


@lru_cache(maxsize=500)
def _statement(
    by_project: bool,
    filter_shaped: Hashable,
    group_by: tuple[TaskGroupBy, ...],
    shape: ViewerShape,
    counted: bool,
) -> Statement:
    """The statistics by project, or one for all. `counted`: see `graph.core.access_paths`."""
    viewer = placeholder_viewer(shape)
    task = aliased(models.Task)
    key = task.project_id if by_project else literal(1, Integer())
    query = select(
        key.label("key"),
        task.id,
        task.project_id,
        task.assignee_id,
        task.status,
        task.priority,
        task.tags,
        task.tag_keys,
        is_overdue(task).label("overdue"),
    ).where(right_of(filter_shaped)(viewer, task))
    if by_project:
        parents = bindparam("parents", type_=ARRAY(Uuid()))
        query = query.where(task.project_id == parents.any_())
    if filter_shaped is not None:
        query = query.where(build_filter(filter_shaped, task, viewer, Binds()))
    candidates = candidate_set(viewer, models.Task, counted=counted)
    visible = (
        by_access_path(query, task, candidates).cte("visible").prefix_with(text("MATERIALIZED"))
    )
    share = aliased(models.TaskShare)
    by_me = select(share.task_id).where(share.shared_by_id == viewer.sql_id)
    comment = aliased(models.Comment)
    serialized = (
        select(comment.task_id, func.count().label("count"))
        .where(comment.author_id == viewer.sql_id, comment.removed_at.is_(None))
        .group_by(comment.task_id)
        .subquery()
    )
    totals = (
        select(
            visible.c.key,
            func.count().label("total"),
            func.count().filter(visible.c.overdue).label("overdue"),
            func.count().filter(visible.c.id.in_(by_me)).label("shared_by_me"),
            func.count()
            .filter(visible.c.id.in_(access.shared_tasks(viewer)))
            .label("shared_with_me"),
            func.coalesce(func.sum(serialized.c.count), 0).cast(Integer).label("comments_posted"),
            *(
                func.count().filter(visible.c.status == status).label(_column(status))
                for status in TaskStatus
            ),
            *(
                func.count().filter(visible.c.priority == priority).label(_column(priority))
                for priority in TaskPriority
            ),
        )
        .select_from(visible.outerjoin(serialized, serialized.c.task_id == visible.c.id))
        .group_by(visible.c.key)
        .subquery("totals")
    )
    source: Any = totals
    extra = []
    if group_by:
        groups = grouped(visible, group_by, viewer)
        source, extra = totals.join(groups, groups.c.key == totals.c.key), [groups.c.groups]
    return Statement(
        select(
            *totals.c,
            *extra,
            _tags(visible, totals.c.key).label("tags"),
            _xmin().label("mark"),
            _next_expiry(viewer).label("until"),
            *path_flag(candidates),
        ).select_from(source)
    )


def _next_expiry(viewer: Viewer) -> Any:
    """When the next share with the viewer expires; NULL if none does."""
    share = aliased(models.TaskShare)
    return (
        select(func.min(share.expires_at))
        .where(share.user_id == viewer.sql_id, share.expires_at > func.now())
        .scalar_subquery()
    )


def _tags(visible: Any, key: Any) -> Any:
    """The most frequent tags of a group, as JSON pairs."""
    spelled = (
        func.unnest(visible.c.tags, visible.c.tag_keys)
        .table_valued("tag", "folded")
        .render_derived()
        .lateral("spelled")
    )
    counted = (
        select(func.min(spelled.c.tag).label("tag"), func.count().label("count"))
        .select_from(visible.join(spelled, true()))
        .where(visible.c.key == key)
        .group_by(spelled.c.folded)
        .order_by(func.count().desc(), text_key(spelled.c.folded))
        .limit(MAX_TAGS)
        .correlate_except(visible)
        .subquery()
    )
    pair = func.jsonb_build_array(counted.c.tag, counted.c.count)
    return select(func.jsonb_agg(pair)).select_from(counted).scalar_subquery()


def _xmin() -> Any:
    """Events of transactions with this id or a later one were not all visible to this statement."""
    return literal_column("pg_snapshot_xmin(pg_current_snapshot())", Xid8())


@lru_cache(maxsize=4)
def _check_statement(shape: ViewerShape) -> Statement:
    event = aliased(models.Event)
    since = cast(bindparam("mark", None, Xid8()), Xid8())
    counts = or_(event.kind == any_(_COUNT_ANYWAY), access.read(placeholder_viewer(shape), event))
    changed = exists(select(1).where(event.xid >= since, counts))
    return Statement(select(changed.label("changed"), _xmin().label("mark")))


@dataclass(slots=True)
class _Kept:
    value: TaskStats
    mark: int
    until: dt.datetime


class StatsCache:
    """Cached answers of one process, by viewer, filter and project; bounded."""

    def __init__(self) -> None:
        self._kept = BoundedCache[Hashable, _Kept](_MAX_KEPT)

    def find(self, key: Hashable, now: dt.datetime) -> _Kept | None:
        """The cached answer, if it is not too old; still to be checked against the log."""
        kept = self._kept.get(key)
        return None if kept is None or kept.until <= now else kept

    def drop(self, key: Hashable) -> None:
        """Remove an answer."""
        self._kept.pop(key)

    def keep(
        self,
        key: Hashable,
        value: TaskStats,
        mark: int,
        now: dt.datetime,
        until: dt.datetime | None,
    ) -> None:
        """Cache an answer for `KEPT`, but not beyond `until`."""
        end = now + KEPT
        self._kept[key] = _Kept(value, mark, end if until is None else min(end, until))


_CACHE = StatsCache()


async def _read(
    info: BatchInfo,
    projects: Sequence[UUID] | None,
    *,
    filter_: Any = None,
    group_by: Sequence[TaskGroupBy] | None = None,
) -> list[TaskStats]:
    """The statistics of each project, or of everything."""
    values = Values()
    with collecting():
        keys = checked_keys(group_by)
        shaped = None if filter_ is None else filter_shape(filter_, values, ("filter",))
    groups: Sequence[Any] = [1] if projects is None else projects
    context = info.context
    viewer = info.viewer
    settled = (
        id(context.services),
        viewer.user_id,
        viewer.shape,
        keys,
        shaped,
        _hashable(values.list),
    )
    kept = {group: _CACHE.find((*settled, group), context.now) for group in groups}
    reader = context.services.database.reader
    if all(kept.values()) and not viewer.restricted:
        mark = min(entry.mark for entry in kept.values() if entry)
        # An API key does not see every event that changes its numbers, such as a task leaving its
        # projects.
        person = viewer.person
        (check,) = await reader.fetch(
            _check_statement(person.shape), {**person.params, "mark": mark}
        )
        if not check.changed:
            for entry in kept.values():
                assert entry is not None
                entry.mark = check.mark
            return [entry.value for entry in kept.values() if entry]
    paths = context.services.access_paths
    counted = projects is None and paths.uses_candidates(viewer, models.Task)
    statement = _statement(
        projects is not None,
        shaped,
        keys,
        info.viewer.shape,
        counted,
    )
    reading = reader.fetch(
        statement, {**info.viewer.params, **values.params(), "parents": list(projects or ())}
    )
    if projects is None:
        reading = paths.read(reading, viewer, models.Task, counted=counted)
    rows = await reading
    if keys:
        demand_few(rows)
    found: dict[Any, Any] = {row.key: row for row in rows}
    stats = [
        _stats_of(found.get(group, _Empty()), keys, None if projects is None else group)
        for group in groups
    ]
    for group, value in zip(groups, stats, strict=True):
        if rows and not viewer.restricted and _is_small(found.get(group), keys):
            _CACHE.keep((*settled, group), value, rows[0].mark, context.now, rows[0].until)
        else:
            # The cached answer is out of date, and the events that show it may become unreadable.
            _CACHE.drop((*settled, group))
    return stats


def _is_small(row: Any, keys: Sequence[TaskGroupBy]) -> bool:
    """Whether an answer may be cached: it has few groups."""
    return row is None or not keys or len(row.groups or ()) <= _MAX_KEPT_GROUPS


def _hashable(values: Any) -> Hashable:
    return tuple(_hashable(value) if isinstance(value, list) else value for value in values)


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
