"""When the file of an export may still be fetched."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Select, Uuid, and_, any_, func, literal_column, select
from sqlalchemy.orm import aliased

from auth.access.grants import BY_MANAGED_PROJECT, Right
from auth.access.rule import read
from auth.viewer import ViewerColumn
from db.models import Project, ReportExport, Task, User

# Written as text, so that subqueries of the rules do not add the table afresh; see events.log.
_OWNER = ViewerColumn(literal_column("report_exports.user_id", Uuid()))


def could_export_again() -> ColumnElement[bool]:
    """Rows of `ReportExport` (the class, not an alias) whose owner is active and still has the
    rights that the file rests on. False, or NULL, of an export that did not keep them.
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
        # A task in the trash is not a right that was withdrawn: somebody has tidied up.
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
