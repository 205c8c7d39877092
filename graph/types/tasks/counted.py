"""The tasks that a viewer sees, as counters know them: whole lists, and single tasks beside these
(`auth.access.lists`, `db.models.counters`).
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Integer,
    Select,
    SelectBase,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy import column as column_
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db import models
from db.models.task import is_overdue
from graph.kit.filter_values import Binds
from graph.kit.predicates import build_filter

PARENTS: Any = bindparam("parents", type_=ARRAY(Uuid()))
NONE: ColumnElement[int] = literal_column("0", Integer())
ONE: ColumnElement[int] = literal_column("1", Integer())


def tag_pairs(task: Any) -> Any:
    """The tags of each task: `tag_key` and `tag`."""
    return (
        func.unnest(task.tag_keys, task.tags)
        .table_valued(column_("tag_key", Text()), column_("tag", Text()))
        .render_derived(name="pair")
        .lateral()
    )


def of_tasks(filter_: Any, task: Any, viewer: Viewer) -> ColumnElement[bool]:
    """Whether a task matches a filter, which may be None."""
    return true() if filter_ is None else build_filter(filter_, task, viewer, Binds())


class _NotCountedError(AttributeError):
    """A filter reads something that the tasks of one counter do not have in common."""


class _Counted:
    """What all tasks of a counter have in common, as columns of a task."""

    def __init__(self, counter: Any, viewer: Viewer) -> None:
        # The list of personal tasks has the ID of their owner.
        self.project_id = func.nullif(counter.list_id, viewer.sql_id, type_=Uuid())
        self.status = counter.status
        self.priority = counter.priority

    def __getattr__(self, name: str) -> Any:
        raise _NotCountedError(name)


def of_counted(filter_: Any, counter: Any, viewer: Viewer) -> ColumnElement[bool]:
    """The same of all tasks that a counter counts, if counters know (`is_counted`)."""
    return of_tasks(filter_, _Counted(counter, viewer), viewer)


@lru_cache(maxsize=500)
def is_counted(filter_: Hashable, viewer: ViewerShape) -> bool:
    """Whether counters know which tasks match a filter: it depends on nothing but their project,
    status and priority.
    """
    try:
        of_counted(filter_, models.ListCount, placeholder_viewer(viewer))
    except _NotCountedError:
        return False
    return True


class CountedTasks:
    """Parts of one statement. `by_project`: only the projects of the parameter `parents`, which the
    viewer sees as a whole or not at all. `filter_`: the shape of the filter of the tasks.
    """

    def __init__(self, viewer: Viewer, *, by_project: bool, filter_: Any = None) -> None:
        self.by_project = by_project
        self._filter = filter_
        whole = access.whole_lists(viewer).subquery("whole")
        query = select(whole.c.id)
        if by_project:
            query = query.where(whole.c.id == PARENTS.any_())
        self._lists = query.cte("lists").prefix_with(text("MATERIALIZED"))
        self.beside: CTE | None = None if by_project else self._beside(viewer)

    @property
    def lists(self) -> Select[Any]:
        """The IDs of the whole lists."""
        return select(self._lists.c.id)

    def _beside(self, viewer: Viewer) -> CTE:
        task = aliased(models.Task)
        overdue = cast(is_overdue(task), Integer).label("overdue")
        columns = (task.project_id, task.status, task.priority, task.tags, task.tag_keys, overdue)
        seen = access.seen_beside(viewer, task, self.lists)
        return select(*columns).where(seen, of_tasks(self._filter, task, viewer)).cte("beside")

    def tags(self, project_id: Any = None) -> SelectBase:
        """How many tasks have which tag, in parts to be added up: `tag_key`, `tag`, `n`.

        `project_id`: a column of the statement around this one.
        """
        found: list[Any] = []
        for model in (models.TagCount, models.TagCountChange):
            counter: Any = aliased(model)
            rows = select(counter.tag_key, counter.tag, counter.tasks.label("n"))
            rows = rows.where(counter.list_id.in_(self.lists))
            if self.by_project:
                rows = rows.where(counter.list_id == project_id).correlate(project_id.table)
            found.append(rows)
        if self.beside is not None:
            pair = tag_pairs(self.beside.c)
            tagged = self.beside.join(pair, true())
            found.append(select(pair.c.tag_key, pair.c.tag, ONE.label("n")).select_from(tagged))
        return union_all(*found)


def spellings(pairs: SelectBase) -> Any:
    """The parts of `CountedTasks.tags` added up, for each spelling of a tag."""
    pair = pairs.subquery("pair")
    total = cast(func.sum(pair.c.n), Integer)
    return (
        select(pair.c.tag_key, pair.c.tag, total.label("n"))
        .group_by(pair.c.tag_key, pair.c.tag)
        .having(total > 0)
        .subquery("spelled")
    )
