"""Statistics of tasks by group: `TaskStats.groups`.

The groups come with the totals, in the same statement (`graph.types.tasks.stats`). PostgreSQL
counts the innermost groups, and the outer ones are added up here. A task with several tags counts
once in the group of each; the groups around those of tags count it once, by its first tag.

A project or user that the viewer cannot see is not distinguished from none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import ColumnElement, and_, func, literal, or_, select, true
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer
from db import models
from db.base import Base
from db.models import TaskPriority, TaskStatus
from errors import BadInput, ErrorCode, Failure, refuse
from graph.core.fields import BatchInfo, batch, derived
from graph.core.node import described_enum
from graph.kit.loading import load_objects
from graph.types.accounts.user import User

if TYPE_CHECKING:
    from graph.types.projects.project import Project

_Project = Annotated["Project", strawberry.lazy("graph.types.projects.project")]

MAX_GROUPS = 10_000


class TaskGroupBy(Enum):
    """What tasks are grouped by."""

    STATUS = "STATUS"
    PRIORITY = "PRIORITY"
    ASSIGNEE = "ASSIGNEE"
    PROJECT = "PROJECT"
    TAG = "TAG"


described_enum(
    TaskGroupBy,
    "A criterion that tasks are grouped by.",
    {
        TaskGroupBy.STATUS: "Groups by status, in the order of the enum.",
        TaskGroupBy.PRIORITY: "Groups by priority, in the order of the enum.",
        TaskGroupBy.ASSIGNEE: "Groups by assignee; most tasks first.",
        TaskGroupBy.PROJECT: "Groups by project; most tasks first.",
        TaskGroupBy.TAG: "Groups by tag; most tasks first. A task counts once for each tag.",
    },
)


def checked_keys(given: Sequence[TaskGroupBy] | None) -> tuple[TaskGroupBy, ...]:
    """The criteria of a `groupBy` argument. Raises `BadInput` if one is given twice."""
    keys = tuple(given or ())
    for index, by in enumerate(keys):
        if by in keys[:index]:
            refuse(BadInput(f"groupBy contains {by.name} twice.", path=("group_by", index)))
    return keys


# --- the statement -------------------------------------------------------------------------------


def grouped(visible: Any, keys: Sequence[TaskGroupBy], viewer: Viewer) -> Any:
    """The innermost groups of each `key` of the visible tasks: `key` and `groups`, a JSON list of
    their values and counts. `read_groups` understands it. `visible`: see `stats._Source`.
    """
    source, values = visible, []
    once: ColumnElement[bool] = true()
    for place, by in enumerate(keys):
        if by is TaskGroupBy.TAG:
            pair = (
                func.unnest(visible.c.tag_keys, visible.c.tags)
                .table_valued("tag_key", "tag", with_ordinality="number")
                .render_derived()
                .lateral("pair")
            )
            source = source.outerjoin(pair, true())
            once = or_(pair.c.number.is_(None), pair.c.number == 1)
            value = pair.c.tag_key
        elif by in _COLUMNS:
            value = visible.c[_COLUMNS[by]]
        else:
            model, column = _OBJECTS[by]
            entity: Any = aliased(model)
            seen = select(entity.id).where(access.read(viewer, entity)).subquery(f"seen_{place}")
            source = source.outerjoin(seen, seen.c.id == visible.c[column])
            value = seen.c.id
        values.append(value.label(f"value_{place}"))
    # The spelling that is shown, as in `byTag`.
    spelled = func.min(pair.c.tag) if TaskGroupBy.TAG in keys else literal(None)
    n, overdue = visible.c.n, visible.c.overdue
    counted = (
        func.coalesce(func.sum(number).filter(condition), 0)
        for also in (true(), once)
        for number, condition in (
            (n, also),
            (n, and_(also, visible.c.status < TaskStatus.COMPLETED)),
            (n, and_(also, visible.c.status == TaskStatus.COMPLETED)),
            (overdue, also),
        )
    )
    counts = [count.label(f"count_{index}") for index, count in enumerate(counted)]
    groups = (
        select(visible.c.key, *values, spelled.label("spelled"), *counts)
        .select_from(source)
        .group_by(visible.c.key, *values)
        .having(func.sum(n) > 0)
        .limit(MAX_GROUPS + 1)
        .subquery("counted")
    )
    columns = [column for column in groups.c if column.key != "key"]
    rows = func.jsonb_agg(func.jsonb_build_array(*columns))
    return select(groups.c.key, rows.label("groups")).group_by(groups.c.key).subquery("grouped")


_COLUMNS = {TaskGroupBy.STATUS: "status", TaskGroupBy.PRIORITY: "priority"}
_OBJECTS: dict[TaskGroupBy, tuple[type[Base], str]] = {
    TaskGroupBy.ASSIGNEE: (models.User, "assignee_id"),
    TaskGroupBy.PROJECT: (models.Project, "project_id"),
}
_CONVERT: dict[TaskGroupBy, Callable[[Any], Any]] = {
    TaskGroupBy.STATUS: TaskStatus,
    TaskGroupBy.PRIORITY: TaskPriority,
    TaskGroupBy.ASSIGNEE: UUID,
    TaskGroupBy.PROJECT: UUID,
    TaskGroupBy.TAG: str,
}


# --- adding up -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Group:
    """`value` is a status, a priority, an ID, a folded tag, or None for none."""

    by: TaskGroupBy
    value: Any
    tag: str | None = None
    # total, open, completed, overdue
    counts: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    groups: list[Group] = field(default_factory=list)


def demand_few(rows: Sequence[Any]) -> None:
    """Raise `LIMIT_EXCEEDED` if there are too many groups of all keys together."""
    if sum(len(row.groups or ()) for row in rows) > MAX_GROUPS:
        raise Failure(
            f"There are more than {MAX_GROUPS:,} groups. Use a filter, or fewer values in groupBy.",
            path=("group_by",),
            code=ErrorCode.LIMIT_EXCEEDED,
            limit=MAX_GROUPS,
        )


def read_groups(rows: Sequence[Any] | None, keys: Sequence[TaskGroupBy]) -> list[Group]:
    """The nested groups of one key."""
    outermost: list[Group] = []
    found: dict[tuple[Any, ...], Group] = {}
    by_tag = keys.index(TaskGroupBy.TAG) if TaskGroupBy.TAG in keys else 0
    for row in rows or ():
        spelled, every, first = row[len(keys)], row[-8:-4], row[-4:]
        siblings = outermost
        for level, by in enumerate(keys):
            path = tuple(row[: level + 1])
            group = found.get(path)
            if group is None:
                value = path[-1]
                shown = None if value is None else _CONVERT[by](value)
                group = found[path] = Group(by, shown)
                siblings.append(group)
            counts = every if level >= by_tag else first
            group.counts = [a + b for a, b in zip(group.counts, counts, strict=True)]
            if by is TaskGroupBy.TAG and spelled is not None:
                group.tag = spelled if group.tag is None else min(group.tag, spelled)
            siblings = group.groups
    for groups in (outermost, *(group.groups for group in found.values())):
        groups.sort(key=_order)
    return outermost


def _order(group: Group) -> tuple[Any, ...]:
    if group.by in _COLUMNS:
        return (group.value,)
    return (-group.counts[0], group.value is None, str(group.value))


# --- types ---------------------------------------------------------------------------------------


def _object(by: TaskGroupBy, model: type[Base], description: str) -> Any:
    async def rows(parents: Sequence[Group], info: BatchInfo) -> Sequence[Any]:
        keys = [parent.value if parent.by is by else None for parent in parents]
        return await load_objects(info, model, keys)

    return batch(rows, description)


def _value(by: TaskGroupBy, description: str) -> Any:
    return derived((), lambda group: group.value if group.by is by else None, description)


def _count(place: int, description: str) -> Any:
    return derived((), lambda group: group.counts[place], description)


@strawberry.type(
    description="A group of tasks. The field that `by` names is set; null there means none."
)
class TaskStatsGroup:
    """Reads from a `Group`."""

    by: TaskGroupBy = derived((), lambda group: group.by, "The criterion of this group.")
    status: TaskStatus | None = _value(TaskGroupBy.STATUS, "The status of a STATUS group.")
    priority: TaskPriority | None = _value(
        TaskGroupBy.PRIORITY, "The priority of a PRIORITY group."
    )
    assignee: User | None = _object(
        TaskGroupBy.ASSIGNEE,
        models.User,
        "The assignee of an ASSIGNEE group; null for unassigned tasks.",
    )
    project: _Project | None = _object(
        TaskGroupBy.PROJECT,
        models.Project,
        "The project of a PROJECT group; null for personal tasks and tasks of projects that you "
        "cannot see.",
    )
    tag: str | None = derived(
        (), lambda group: group.tag, "The tag of a TAG group; null for tasks without tags."
    )
    total: int = _count(0, "The number of tasks.")
    open: int = _count(1, "The number of open tasks: TODO and IN_PROGRESS.")
    completed: int = _count(2, "The number of tasks with the status COMPLETED.")
    overdue: int = _count(3, "The number of open tasks that are past due.")
    groups: list[TaskStatsGroup] = derived(
        (),
        lambda group: group.groups,
        "The groups by the next criterion; empty at the last level.",
    )
