"""Many tasks at once: created, changed or deleted in a number of statements that does not grow.

What is read about one item is read about all items in one statement; then each item is checked by
itself, by the rules for single tasks; then all valid ones are written in one statement, their
events in another. An item that fails is a `Failure` at its index of the result, and does not affect
others, unless the caller wants all or nothing (`all_or_nothing`): then nothing is written if any
fails.

`domain.tasks.task_bulk_creation` creates them, `domain.tasks.task_bulk_items` has what both share.

Items may also be `Failure`s already, if they could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import case, inspect, or_, select, update

from auth import access
from db.models import Task
from db.rows import given_rows
from db.statements import Statement
from domain import locks, rights_change
from domain.tasks import placement, reference_rows
from domain.tasks.task import Deleted, demand_all_deletable
from domain.tasks.task_bulk_items import (
    columns_of,
    demand_active,
    good,
    people_of,
    permitted,
    stopped,
    taken,
    with_right,
)
from domain.tasks.task_values import (
    Changes,
    NewTask,
    Subtasks,
    apply,
    checked,
    checked_new,
    kind_of,
    record,
)
from domain.work import Work
from errors import BadInput, ErrorCode, Failure, collecting

MAX_ITEMS = 200


@dataclass(frozen=True, slots=True)
class Edit:
    """Changes of one task, as for `domain.tasks.task.update_task`, without its parent."""

    task_id: UUID
    changes: Mapping[str, Any] = field(default_factory=dict)
    if_version: int | None = None


@dataclass(frozen=True, slots=True)
class Deletion:
    """A task to delete, as for `domain.tasks.task.delete`."""

    task_id: UUID
    if_version: int | None = None
    subtasks: Subtasks = Subtasks.DELETE


def check_values(work: Work, item: object) -> None:
    """Reject the values of an item that no task could have."""
    if isinstance(item, NewTask):
        checked_new(work, item)
    elif isinstance(item, Edit):
        checked(work, item.changes)


def demand_size(items: Sequence[Any]) -> None:
    """Raise if there are more items than one call accepts, or none."""
    if not items:
        raise BadInput("items must have at least one item.", path=("items",))
    if len(items) > MAX_ITEMS:
        raise Failure(
            f"items must have at most {MAX_ITEMS} entries; it has {len(items)}.",
            path=("items",),
            code=ErrorCode.LIMIT_EXCEEDED,
            limit=MAX_ITEMS,
            actual=len(items),
        )


# --- changing ------------------------------------------------------------------------------------


async def update_tasks(
    work: Work, items: Sequence[Edit | Failure], *, all_or_nothing: bool
) -> list[Task | Failure]:
    """Change tasks, each by its own changes."""
    work.viewer.require()
    edits = [item for item in items if isinstance(item, Edit)]
    named = {item.task_id for item in edits}
    trees = any("assignee_id" in item.changes for item in edits)
    await locks.lock_tasks(work, named, changing=True, trees=trees)
    known = await with_right(work, named, access.edit)
    for task, *_ in known.values():
        # Written below in one statement, instead of one by one by the session.
        work.session.expunge(task)
    assignees = {item.changes.get("assignee_id") for item in edits}
    people = await people_of(work, assignees)
    assigned = {item.task_id for item in edits if "assignee_id" in item.changes} & set(known)
    before = await rights_change.snapshot(work, assigned)
    references = await reference_rows.prepare_many(
        work,
        [
            (known[edit.task_id][0], edit.changes["external_references"])
            for edit in edits
            if "external_references" in edit.changes and edit.task_id in known
        ],
    )
    results: list[Task | Failure] = []
    changed: dict[UUID, Changes] = {}
    for item in items:
        try:
            edit = taken(item)
            with collecting():
                values = checked(work, edit.changes)
                if edit.task_id in changed:
                    raise BadInput("This task is already in an earlier item.", path=("id",))
                task = permitted(known, edit.task_id, "change", ("id",))
            if "assignee_id" in edit.changes:
                person = edit.changes["assignee_id"]
                demand_active(people, person)
                if person is not None and person != task.assignee_id:
                    hidden = [
                        one
                        for one in before.tree(task.id)
                        if one in before.living and not before.sees(one, person)
                    ]
                    rights_change.demand_sharable(work, before, hidden, ("assignee_id",))
                values["assignee_id"] = person
            old = task.external_references
            references.demand(task, values.get("external_references", ()), new=False)
            changed[task.id] = apply(work, task, values, edit.if_version)
            if "external_references" in values:
                references.note(task, old)
            results.append(task)
        except Failure as failure:
            results.append(failure)
    if stopped(results, all_or_nothing):
        return results
    written = [task for task in good(results) if changed[task.id]]
    if written:
        await _write(work, written)
    referring = [
        task
        for task in written
        if any(name == "external_references" for name, _, _ in changed[task.id])
    ]
    if referring:
        await reference_rows.write(work, referring)
    for task in written:
        record(work, kind_of(changed[task.id]), task, changed[task.id])
    await work.session.flush()
    after = await rights_change.snapshot(work, before.projects)
    rights_change.record_lost_access(work, before, after)
    return results


async def _write(work: Work, tasks: Sequence[Task]) -> None:
    names = {name for task in tasks for name in inspect(task).committed_state}
    rows = [columns_of(task, ["id", *names]) for task in tasks]
    await work.fetch(_update(tuple(sorted(names))), {"rows": rows})


@lru_cache(maxsize=128)
def _update(names: tuple[str, ...]) -> Statement:
    """Only the columns that change for some task: triggers and indexes of the others rest."""
    new = given_rows(Task, "id", *names)
    return Statement(
        update(Task)
        .where(Task.id == new.c.id)
        .values({name: new.c[name] for name in names})
        .returning(Task.id)
    )


# --- deleting ------------------------------------------------------------------------------------


async def delete(
    work: Work, items: Sequence[Deletion | Failure], *, all_or_nothing: bool
) -> list[Deleted | Failure]:
    """Move tasks to the trash, and their subtasks unless these move up. A task that is deleted
    together with one of its ancestors is restored with it. A subtask of several of these tasks is
    among the deleted ones of its nearest ancestor.
    """
    work.viewer.require()
    wanted = {item.task_id for item in items if isinstance(item, Deletion)}
    await locks.lock_tasks(work, wanted, trees=True)
    known = await with_right(work, wanted, access.delete)
    before = await rights_change.snapshot(work, known)
    results: list[Task | Failure] = []
    seen: set[UUID] = set()
    emptied: dict[UUID, Task] = {}
    for item in items:
        try:
            deletion = taken(item)
            if deletion.task_id in seen:
                raise BadInput("This task is already in an earlier item.", path=("id",))
            seen.add(deletion.task_id)
            task = permitted(known, deletion.task_id, "delete", ("id",))
            work.check_version(task, deletion.if_version, fields=[], ref="task")
            if deletion.subtasks is Subtasks.MOVE_UP:
                emptied[task.id] = task
            else:
                demand_all_deletable(work, before, task.id)
            results.append(task)
        except Failure as failure:
            results.append(failure)
    tasks = {task.id: task for task in good(results)}
    gone: dict[UUID, list[UUID]] = {task_id: [task_id] for task_id in tasks}
    deleted = [
        result if isinstance(result, Failure) else Deleted(result, gone[result.id])
        for result in results
    ]
    if not tasks or stopped(results, all_or_nothing):
        return deleted
    await placement.move_up(work, emptied, without=tasks)
    # Their current places: what was between two of them may have moved up.
    if emptied:
        stand: Any = select(Task).where(Task.id.in_(tasks))
        await work.session.execute(stand.execution_options(populate_existing=True))
    for went in await _put_into_trash(work, tasks):
        if went.id not in tasks:
            gone[went.parent_id if went.parent_id in tasks else went.root_id].append(went.id)
    watchers = before.watchers()
    rights_change.record_deleted(
        work,
        [
            (one, task.project_id, watchers.get(one, ()))
            for task in tasks.values()
            for one in gone[task.id]
        ],
    )
    await work.session.flush()
    after = await rights_change.snapshot(work, before.projects)
    rights_change.record_lost_access(
        work, before, after, told={one for some in gone.values() for one in some}
    )
    return deleted


async def _put_into_trash(work: Work, tasks: Mapping[UUID, Task]) -> Sequence[Any]:
    """Returns the IDs of all tasks that went, in order, with those of their parents and roots."""
    tops = [
        task.id
        for task in tasks.values()
        if task.parent_id not in tasks and task.root_id not in tasks
    ]
    named = Task.id.in_(tasks)
    went = await work.session.execute(
        update(Task)
        .where(
            or_(Task.id.in_(tops), Task.parent_id.in_(tops), Task.root_id.in_(tops)),
            Task.deleted_at.is_(None),
        )
        .values(
            deleted_at=work.now,
            # Of a task and its ancestors exactly one is a top.
            deleted_with=case(
                (Task.id.in_(tops), Task.id),
                (Task.parent_id.in_(tops), Task.parent_id),
                else_=Task.root_id,
            ),
            version=Task.version + case((named, 1), else_=0),
            updated_at=case((named, work.now), else_=Task.updated_at),
        )
        .returning(Task.id, Task.parent_id, Task.root_id)
        .execution_options(synchronize_session=False)
    )
    # RETURNING gives rows in no order.
    return sorted(went, key=lambda row: row.id)
