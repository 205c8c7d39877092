"""Create one task.

`create` does it step by step, within a transaction, and can report every error.
`create_in_one_statement` does the most frequent case - a task in a project - in one statement that
is its own transaction: rights, number, rank, task and event. If anything prevents it, it writes
nothing; then `create` finds out what.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Insert,
    bindparam,
    exists,
    insert,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer, placeholder_viewer
from db.models import Event, Project, Task, User
from db.statements import Row, Statement
from domain.projects.project import demand_editor, is_member
from domain.tasks import placement, ranks, reference_rows, visibility
from domain.tasks.task_values import NewTask, checked_new, event_of_values
from domain.work import EVENT_COLUMNS, Work
from errors import BadInput, Forbidden
from events.kinds import EventKind


async def create(work: Work, new: NewTask) -> Task:
    """Create a task in a project, below another task, or a personal one.

    The returned task has what was written; it is not part of the session.
    """
    user_id = work.viewer.require()
    values = checked_new(work, new)
    parent = await placement.parent_for(work, new.parent_id)
    project_id, owner_id = new.project_id, user_id
    if parent is not None:
        if new.project_id is not None:
            # Users who see the parent need not see its project, and must not find it by trying IDs.
            await work.readable(Project, new.project_id, path=("project_id",))
            placement.demand_same_project(parent, new.project_id)
        project_id = parent.project_id
        if project_id is None:
            # A personal task's subtasks belong to its owner, even if created by others.
            owner_id = parent.owner_id
    elif project_id is not None:
        await demand_editor(work, project_id, ("project_id",))
    await work.demand_free(Task, new.id)
    if new.assignee_id is not None:
        await assignable(work, new.assignee_id)
        if parent is not None:
            await _demand_shown_to(work, parent, owner_id, new.assignee_id)
    references = values.pop("external_references")
    # This locks the list.
    position = await placement.at_end(work, project_id, owner_id)
    columns = _columns(work, new, values, owner_id) | {
        "project_id": project_id,
        "position": position,
        "parent_id": None if parent is None else parent.id,
        "root_id": None if parent is None else parent.root_id or parent.id,
    }
    task = Task(**columns, external_references=references)
    if references:
        scope = reference_rows.scope_of(task)
        found = await reference_rows.known(work, [scope], references)
        found.demand(task, references, new=True)
    (row,) = await work.fetch(
        _INSERT_PERSONAL if project_id is None else _INSERT_IN_PROJECT,
        {f"task_{name}": value for name, value in columns.items()},
    )
    work.events.append(event_of_values(work, EventKind.TASK_CREATED, columns))
    task.number = row.number
    if references:
        await reference_rows.write(work, [task], new=True)
    return task


async def _demand_shown_to(work: Work, parent: Task, owner_id: UUID, assignee_id: UUID) -> None:
    """Raise unless the viewer may share a new task below this parent, or the assignee can see the
    parent anyway.
    """
    if await visibility.sees(work, parent.id, assignee_id):
        return
    if owner_id == work.viewer.user_id and (
        parent.project_id is None or await is_member(work, parent.project_id, owner_id)
    ):
        return
    raise hidden_from_assignee()


def hidden_from_assignee() -> Forbidden:
    """A user who cannot see a task can be assigned only with permission to share it."""
    return Forbidden(
        "The assignee cannot see this task yet, and you cannot share it. Choose another "
        "assignee, or ask someone who can share it.",
        path=("assignee_id",),
    )


async def create_in_one_statement(work: Work, new: NewTask, returning: Returning) -> Row | None:
    """The new task, with the requested columns; None if nothing was done.

    `work` is one of `domain.work.Transactions.single`. Raises the failures of the values
    themselves, and `IntegrityError` if the id is in use.
    """
    own = work.viewer.projects
    if new.project_id is None or new.parent_id is not None or new.external_references:
        return None
    if own is not None and new.project_id not in own:
        return None
    values = checked_new(work, new)
    del values["external_references"]
    columns = _columns(work, new, values, work.viewer.require())
    given = {name: value for name, value in columns.items() if value is not None}
    statement = _at_once(placeholder_viewer(work.viewer.shape), tuple(given), returning)
    event = event_of_values(work, EventKind.TASK_CREATED, columns)
    params = {_TASK[name].key: value for name, value in given.items()}
    for name, bind in _EVENT_AT_ONCE.items():
        params[bind.key] = event[name]
    rows: list[Row] = await work.fetch(statement, params)
    return rows[0] if rows else None


async def assignable(work: Work, user_id: UUID) -> User:
    """The user, if tasks can be assigned to them."""
    user = await work.readable(User, user_id, path=("assignee_id",))
    if not user.is_active:
        raise BadInput("This account is deactivated. Choose an active user.", path=("assignee_id",))
    return user


def _columns(work: Work, new: NewTask, values: dict[str, Any], user_id: UUID) -> dict[str, Any]:
    return _EMPTY | {
        **values,
        "id": new.id or work.new_id(),
        "project_id": new.project_id,
        "owner_id": user_id,
        "assignee_id": new.assignee_id,
        "created_at": work.now,
        "updated_at": work.now,
        "version": 1,
    }


# --- statements ----------------------------------------------------------------------------------

# All but those that the database computes.
COLUMNS = tuple(column.key for column in Task.__table__.columns if column.computed is None)
_EMPTY: dict[str, Any] = dict.fromkeys(COLUMNS)


def _bound(table: Any, names: tuple[str, ...], prefix: str) -> dict[str, Any]:
    return {name: bindparam(f"{prefix}_{name}", type_=table.columns[name].type) for name in names}


_TASK = _bound(Task.__table__, COLUMNS, "task")
_EVENT = _bound(Event.__table__, EVENT_COLUMNS, "event")


def _insertion(*, in_project: bool) -> Statement:
    """A task and its number, in one statement.

    Numbering locks the project's row until the commit, so there are no gaps and no duplicates.
    """
    values = dict(_TASK)
    if in_project:
        numbered = _numbering().returning(Project.last_number).cte("numbered")
        values["number"] = select(numbered.c.last_number).scalar_subquery()
    return Statement(insert(Task).values(values).returning(Task.number))


def _numbering() -> Any:
    return (
        update(Project)
        .where(Project.id == _TASK["project_id"])
        .values(last_number=Project.last_number + 1)
    )


_INSERT_PERSONAL = _insertion(in_project=False)
_INSERT_IN_PROJECT = _insertion(in_project=True)


# What an event of a new task has in common with the task.
_SHARED = {
    "at": "created_at",
    "actor_id": "owner_id",
    "subject_id": "id",
    "task_id": "id",
    "project_id": "project_id",
}
_EVENT_AT_ONCE = {name: bind for name, bind in _EVENT.items() if name not in _SHARED}
# The columns of a table to return; equal values mean equal columns.
Returning = Callable[[Any], Sequence[Any]]


@lru_cache(maxsize=500)
def _at_once(viewer: Viewer, given: tuple[str, ...], returning: Returning) -> Statement:
    """The project is numbered if everything that `create` would require holds; the rest follows
    from it.

    `given` are the columns of the task that are not empty.
    """
    # The UPDATE reads the newest version of the project's row, but the members of its own snapshot.
    # A concurrent change of them has also changed this time, and then `create` decides.
    as_read = aliased(Project)
    demands = [
        Project.updated_at
        == select(as_read.updated_at)
        .where(as_read.id == _TASK["project_id"])
        .correlate(None)
        .scalar_subquery(),
        access.add(viewer, Project),
    ]
    if "assignee_id" in given:
        demands.append(
            exists()
            .where(User.id == _TASK["assignee_id"], User.is_active)
            .where(access.read(viewer, User))
        )
    numbered = _numbering().where(*demands).returning(Project.last_number).cte("numbered")
    last = (
        select(ranks.counted(Task.position).label("rank"))
        .where(Task.project_id == _TASK["project_id"])
        .order_by(Task.position.desc())
        .limit(literal_column("1"))
        .lateral("last")
    )
    placed = (
        select(numbered.c.last_number, last.c.rank)
        .select_from(numbered.outerjoin(last, true()))
        .cte("placed")
    )
    values = {name: _TASK[name] for name in given} | {
        "number": placed.c.last_number,
        "position": ranks.numbered_rank(placed.c.rank, placed.c.last_number),
    }
    event = {name: _TASK[_SHARED[name]] if name in _SHARED else _EVENT[name] for name in _EVENT}
    logged = _from(Event, event, numbered).cte("logged")
    made = _from(Task, values, placed).add_cte(logged)
    return Statement(made.returning(*returning(Task.__table__)), Task)


def _from(model: Any, values: dict[str, Any], rows: Any) -> Insert:
    return insert(model).from_select(list(values), select(*values.values()).select_from(rows))
