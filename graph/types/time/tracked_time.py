"""Sums of tracked time on tasks and projects, as fields and as sort keys.

Sums include the entries that the viewer can see; `all` includes everyone's, without revealing
whose, for viewers who can see the task or project. Running timers count up to now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Any

from sqlalchemy import ARRAY, BigInteger, Uuid, bindparam, cast, func, or_, select
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db import models
from db.models.time_entry import seconds
from db.read import Fetching
from db.statements import Statement
from graph.core.fields import BatchInfo, arg, batch

_All = Annotated[
    bool,
    arg(
        "If true, includes everyone's time, without revealing whose. If false, only entries "
        "that you can see."
    ),
]


def total(entry: Any) -> Any:
    """The sum of entries, in whole seconds."""
    return cast(func.coalesce(func.sum(seconds(entry)), 0), BigInteger)


def _tracked_on(column: str) -> Callable[[Viewer, Any], Any]:
    def sql(viewer: Viewer, parent: Any) -> Any:
        entry = aliased(models.TimeEntry)
        return (
            select(total(entry))
            .where(getattr(entry, column) == parent.id, access.read(viewer, entry))
            .scalar_subquery()
        )

    return sql


task_tracked_seconds = _tracked_on("task_id")
project_tracked_seconds = _tracked_on("project_id")


def _positive(column: str) -> Callable[[Viewer], Any]:
    def values(viewer: Viewer) -> Any:
        entry = aliased(models.TimeEntry)
        key, value = getattr(entry, column), total(entry)
        visible = select(key.label("key"), value.label("value")).where(access.read(viewer, entry))
        return visible.where(key.is_not(None)).group_by(key).having(value > 0)

    return values


# What has tracked time, and how much: see `graph.kit.ordering.Source`.
tracked_tasks = _positive("task_id")
tracked_projects = _positive("project_id")


@lru_cache(maxsize=16)
def _statement(column: str, everybody: bool, below: bool, shape: ViewerShape) -> Statement:
    entry = aliased(models.TimeEntry)
    parents = bindparam("parents", type_=ARRAY(Uuid()))
    key = getattr(entry, column)
    query = select(key.label("key"), total(entry).label("total")).where(key == parents.any_())
    if below:
        task, top = aliased(models.Task), aliased(models.Task)
        key = top.id
        query = (
            select(key.label("key"), total(entry).label("total"))
            .select_from(top)
            .join(task, or_(task.id == top.id, task.parent_id == top.id, task.root_id == top.id))
            .join(entry, entry.task_id == task.id)
            .where(top.id == parents.any_(), task.deleted_at.is_(None))
        )
    if not everybody:
        query = query.where(access.read(placeholder_viewer(shape), entry))
    return Statement(query.group_by(key))


async def _totals(
    parents: Sequence[Any], info: BatchInfo, statement: Statement, *, everybody: bool
) -> list[int]:
    database = info.context.services.database
    # Everybody's entries are hidden from the viewer, and their sum is not.
    reader: Fetching = database.all_rows if everybody else database.reader
    rows = await reader.fetch(
        statement, {**info.viewer.params, "parents": [parent.id for parent in parents]}
    )
    found = {row.key: row.total for row in rows}
    return [found.get(parent.id, 0) for parent in parents]


async def _of_tasks(
    parents: Sequence[Any],
    info: BatchInfo,
    include_subtasks: Annotated[
        bool, arg("Whether to include the time on all tasks below it.")
    ] = False,
    all: _All = False,  # noqa: A002
) -> list[int]:
    shape = info.viewer.shape
    statement = _statement("task_id", all, include_subtasks, shape)
    return await _totals(parents, info, statement, everybody=all)


async def _of_projects(
    parents: Sequence[Any],
    info: BatchInfo,
    all: _All = False,  # noqa: A002
) -> list[int]:
    shape = info.viewer.shape
    return await _totals(parents, info, _statement("project_id", all, False, shape), everybody=all)


def task_tracked() -> Any:
    """The field `Task.tracked`."""
    return batch(
        _of_tasks,
        "The time tracked on the task; a running timer counts up to now.",
        requires=("id",),
    )


def project_tracked() -> Any:
    """The field `Project.tracked`."""
    return batch(
        _of_projects,
        "The time tracked in the project, on its tasks and directly; a running timer counts up "
        "to now.",
        requires=("id",),
    )
