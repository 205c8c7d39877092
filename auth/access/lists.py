"""The lists of tasks that a viewer sees as a whole, and the tasks that they see beside these.

A list has the tasks of a project, or a user's personal tasks; its ID is that of the project or
user. Members see all tasks of a project, and users all of their personal tasks. So what is counted
for each list (`db.models.counters`) is right for everyone who sees the list, and only the tasks
that are seen by other rights must be counted one by one.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, SelectBase, and_, any_, func, or_, select, union_all
from sqlalchemy.orm import aliased

from auth.access.grants import BY_MEMBERSHIP, BY_OWNERSHIP, TASK_GRANTS, Right
from auth.access.rule import read
from auth.viewer import Viewer
from db import models


def list_of(task: Any) -> ColumnElement[UUID]:
    """The ID of a task's list."""
    return func.coalesce(task.project_id, task.owner_id)


def whole_lists(viewer: Viewer) -> SelectBase:
    """The IDs of the lists that the viewer sees as a whole, in the column `id`."""
    members = BY_MEMBERSHIP.keys(viewer, Right.SEE)
    assert members is not None
    (project,) = members.selected_columns
    projects = members.with_only_columns(project.label("id"))
    if viewer.restricted:
        return projects.where(project == viewer.sql_projects.any_())
    return union_all(projects, select(viewer.sql_id.label("id")))


def seen_beside(viewer: Viewer, task: Any, lists: Select[UUID]) -> ColumnElement[bool]:
    """Whether a task is in none of these lists, the viewer's whole ones, and the viewer sees it.

    Starts at the few tasks outside of the lists that a right is given on. What is below them is in
    their list.
    """
    given = []
    for source in TASK_GRANTS:
        top = aliased(models.Task)
        itself = source.itself(viewer, top, Right.SEE)
        if source not in {BY_MEMBERSHIP, BY_OWNERSHIP} and itself is not None:
            given.append(select(top.id).where(itself, list_of(top).not_in(lists)))
    tops = union_all(*given).cte("given_outside")
    # An array, so that indexes find the tasks.
    these = any_(func.array(select(tops.c.id).scalar_subquery()))
    reached = or_(task.id == these, task.parent_id == these, task.root_id == these)
    return and_(reached, list_of(task).not_in(lists), read(viewer, task))
