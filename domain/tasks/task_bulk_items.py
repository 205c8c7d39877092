"""What all bulk operations on tasks share: what is read about their items, and what is demanded of
each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, Select, Uuid, bindparam, select

from auth import access
from auth.viewer import Viewer, placeholder_viewer
from db.models import Project, Task, User
from domain import rules
from domain.work import Work, archived
from errors import BadInput, Failure, Forbidden, NotFound

T = TypeVar("T")
# A task that the viewer can see, whether they have a right on it, and whether they would have it if
# its project were not archived.
Known = tuple[Task, bool, bool]


def taken(item: T | Failure) -> T:
    """The item; raises the failure that it is instead, if it could not be read."""
    if isinstance(item, Failure):
        raise item
    return item


def good(results: Sequence[Task | Failure]) -> list[Task]:
    """The tasks among the results."""
    return [result for result in results if isinstance(result, Task)]


def stopped(results: Sequence[Any], all_or_nothing: bool) -> bool:
    """Whether nothing may be written, because an item failed."""
    return all_or_nothing and any(isinstance(result, Failure) for result in results)


def columns_of(task: Task, names: Iterable[str]) -> dict[str, Any]:
    """Some of a task's columns, as `db.rows.given_rows` takes them."""
    return {name: getattr(task, name) for name in names}


async def rows_about(
    work: Work, ids: Collection[UUID], query: Callable[[Viewer], Select[*tuple[Any, ...]]]
) -> list[Any]:
    """The rows of a query about these ids; none, without a statement, if there are no ids.

    Locks are held by now, so the query is built once for all viewers of a shape.
    """
    if not ids:
        return []
    statement = query(placeholder_viewer(work.viewer.shape))
    found = await work.session.execute(statement, {"ids": list(ids), **work.viewer.params})
    return list(found.all())


def _is_given(id_: Any) -> Any:
    return id_ == bindparam("ids", type_=ARRAY(Uuid())).any_()


@cache
def tasks_named(viewer: Viewer) -> Select[Any, Any, Any, Any]:
    """Tasks, whether the viewer sees them, can change them, or could if nothing were archived."""
    rights = (
        access.read(viewer, Task),
        access.edit(viewer, Task),
        access.edit(viewer, Task, archived=True),
    )
    return select(Task, *rights).where(_is_given(Task.id))


@cache
def projects_named(viewer: Viewer) -> Select[Any, Any]:
    """Projects that the viewer sees, with their role there."""
    role = access.role_in(viewer, Project.id)
    return select(Project, role).where(_is_given(Project.id), access.read(viewer, Project))


@cache
def _users(viewer: Viewer) -> Select[Any]:
    return select(User).where(_is_given(User.id), access.read(viewer, User))


@cache
def _tasks_with_right(right: Any, viewer: Viewer) -> Select[Any, Any]:
    rights = (right(viewer, Task), right(viewer, Task, archived=True))
    return select(Task, *rights).where(_is_given(Task.id), access.read(viewer, Task))


async def with_right(work: Work, ids: Collection[UUID], right: Any) -> dict[UUID, Known]:
    """The tasks among these that the viewer can see, with their rights."""
    return {
        task.id: (task, bool(allowed), bool(held))
        for task, allowed, held in await rows_about(work, ids, partial(_tasks_with_right, right))
    }


async def people_of(work: Work, ids: Collection[UUID | None]) -> dict[UUID, User]:
    """The users among these that the viewer sees."""
    wanted = {person for person in ids if person is not None}
    return {user.id: user for (user,) in await rows_about(work, wanted, _users)}


def permitted(known: Mapping[UUID, Known], task_id: UUID, verb: str, path: rules.Path) -> Task:
    """The task, if the viewer has the right on it; otherwise raises `NotFound`, `Forbidden` or
    `PROJECT_ARCHIVED`. `verb` completes "cannot … it".
    """
    if task_id not in known:
        raise NotFound("task", path=path)
    task, allowed, held = known[task_id]
    if held and not allowed:
        raise archived(path)
    if not allowed:
        raise Forbidden(f"You can see this task but cannot {verb} it.", path=path)
    return task


def demand_active(people: Mapping[UUID, User], user_id: UUID | None) -> None:
    """Raise unless tasks can be assigned to this user, or it is nobody."""
    if user_id is None:
        return
    if user_id not in people:
        raise NotFound("user", path=("assignee_id",))
    if not people[user_id].is_active:
        raise BadInput("This account is deactivated. Choose an active user.", path=("assignee_id",))
