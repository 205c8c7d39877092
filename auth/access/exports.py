"""Whether the file of an export can still be downloaded."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Select, Uuid, and_, any_, func, literal_column, select
from sqlalchemy.orm import aliased

from auth.access.grants import BY_MANAGED_PROJECT, Right
from auth.access.rule import read
from auth.viewer import ViewerColumn
from db.models import Project, ReportExport, Task, User

# Written as text, so that subqueries of the rules do not add the table again; see events.log.
_OWNER = ViewerColumn(literal_column("report_exports.user_id", Uuid()))


def could_export_again() -> ColumnElement[bool]:
    """Rows of `ReportExport` (the class, not an alias) whose owner is active and still has the
    permissions that the file depends on. False or NULL for an export that did not record them.
    """
    export = ReportExport
    project, task = aliased(Project), aliased(Task)
    managed = BY_MANAGED_PROJECT.keys(_OWNER, Right.SEE)
    assert managed is not None
    return and_(
        select(User.id).where(User.id == export.user_id, User.is_active).exists(),
        _all_in(export.managed_project_ids, managed),
        _all_in(
            export.seen_project_ids,
            select(project.id).where(
                project.id == any_(export.seen_project_ids), read(_OWNER, project)
            ),
        ),
        # A task in the trash is not a withdrawn permission.
        _all_in(
            export.seen_task_ids,
            select(task.id).where(
                task.id == any_(export.seen_task_ids), read(_OWNER, task, trashed=None)
            ),
        ),
    )


def _all_in(keys: Any, allowed: Select[Any]) -> ColumnElement[bool]:
    array = func.array(allowed.scalar_subquery(), type_=ARRAY(Uuid()))
    held: ColumnElement[bool] = keys.op("<@", is_comparison=True)(array)
    return held
