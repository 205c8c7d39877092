"""Many tasks at once: created, changed or deleted in a number of statements that does not grow.

What is read about one item is read about all items in one statement; then each item is checked by
itself, by the rules for single tasks; then all valid ones are written in one statement, their
events in another. An item that fails is a `Failure` at its index of the result, and does not affect
others, unless the caller wants all or nothing (`all_or_nothing`): then nothing is written if any
fails.

Items may also be `Failure`s already, if they could not be read.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Integer,
    Select,
    Uuid,
    bindparam,
    case,
    column,
    func,
    insert,
    inspect,
    or_,
    select,
    update,
)

from auth import access
from auth.viewer import Viewer, placeholder_viewer
from db.models import Project, Role, Task, User
from db.read import Statement
from db.rows import given_rows
from domain import locks, rights_change, rules
from domain.projects.project import demand_editing
from domain.tasks import placement, ranks, reference_rows, visibility
from domain.tasks.reference_rows import list_of
from domain.tasks.task import Deleted, demand_all_deletable
from domain.tasks.task_creation import COLUMNS, hidden_from_assignee
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
from domain.work import Work, archived
from errors import BadInput, ErrorCode, Failure, Forbidden, NotFound, collecting
from events.kinds import EventKind

MAX_ITEMS = 200

T = TypeVar("T")
# A task that the viewer can see, whether they have a right on it, and whether they would have it if
# its project were not archived.
Known = tuple[Task, bool, bool]


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


# --- making --------------------------------------------------------------------------------------


async def create(
    work: Work, items: Sequence[NewTask | Failure], *, all_or_nothing: bool
) -> list[Task | Failure]:
    """Create tasks, in this order. An item's parent may be an earlier item, by an id that the
    client chose.
    """
    work.viewer.require()
    known = await _known_to(work, [item for item in items if isinstance(item, NewTask)])
    made: dict[UUID, Task] = {}
    results: list[Task | Failure] = []
    for item in items:
        try:
            with collecting():
                task = _drafted(work, _taken(item), known, made)
            _demand_shown_to(work, task, known, made)
            known.references.demand(task, task.external_references, new=True)
            known.references.note(task)
        except Failure as failure:
            results.append(failure)
        else:
            made[task.id] = task
            results.append(task)
    if _stopped(results, all_or_nothing):
        return results
    tasks = _good(results)
    if not tasks:
        return results
    # Ranks first: everyone takes their locks in one order, so that transactions that number the
    # same projects in another order do not deadlock.
    await _rank(work, tasks)
    await _number(work, tasks)
    await work.fetch(_INSERT, {"rows": [_columns(task, COLUMNS) for task in tasks]})
    if any(task.external_references for task in tasks):
        await reference_rows.write(work, tasks, new=True)
    for task in tasks:
        record(work, EventKind.TASK_CREATED, task)
    await work.session.flush()
    return results


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database says about the objects that new tasks refer to."""

    # Projects and parents, with whether the viewer may work on them.
    projects: Mapping[UUID, tuple[Project, bool]]
    parents: Mapping[UUID, Known]
    people: Mapping[UUID, User]
    taken: Collection[UUID]
    # Projects of which the viewer is a member: they may share what they create there.
    member_of: Collection[UUID]
    # Parents and assignees who can see them.
    seen: Collection[visibility.TaskAndPerson]
    # Of the counterparts of these, in the lists that they will be in.
    references: reference_rows.Known


async def _known_to(work: Work, items: Sequence[NewTask]) -> _Known:
    own = {item.id for item in items if item.id is not None}
    parents = {item.parent_id for item in items if item.parent_id is not None}
    projects = {item.project_id for item in items if item.project_id is not None}
    named = own | parents
    await locks.lock_tasks(work, parents, projects=projects)
    tasks = await _rows(work, named, _tasks_named)
    return _Known(
        projects={
            project.id: (project, role is not None and role >= Role.EDITOR)
            for project, role in await _rows(work, projects, _projects)
        },
        parents={
            task.id: (task, bool(edit), bool(held)) for task, read, edit, held in tasks if read
        },
        people=await _people(work, {item.assignee_id for item in items}),
        taken=own & {task.id for task, *_ in tasks},
        member_of=set(await work.session.scalars(access.member_projects(work.viewer)))
        if parents
        else projects,
        seen=await visibility.seen(
            work,
            {
                (parent_id, item.assignee_id)
                for item in items
                if item.assignee_id is not None
                for parent_id in parents
            },
        ),
        references=await reference_rows.lock_and_find(
            work,
            {(None, work.viewer.require())}
            | {(project_id, None) for project_id in projects}
            | {list_of(task) for task, read, *_ in tasks if read and task.id in parents},
            [item.external_references for item in items],
        ),
    )


def _demand_shown_to(work: Work, task: Task, known: _Known, made: Mapping[UUID, Task]) -> None:
    """As in `domain.tasks.task_creation`: the assignee can see the parent, or the viewer may share
    the task.
    """
    above = task.parent_id
    while above is not None and above in made:
        if made[above].assignee_id == task.assignee_id:
            return
        above = made[above].parent_id
    if task.assignee_id is None or above is None or (above, task.assignee_id) in known.seen:
        return
    may_share = task.owner_id == work.viewer.user_id and (
        task.project_id is None or task.project_id in known.member_of
    )
    if not may_share:
        raise hidden_from_assignee()


def _drafted(work: Work, new: NewTask, known: _Known, made: Mapping[UUID, Task]) -> Task:
    """The task of an item, without number and rank: as `domain.tasks.task.create` has it."""
    values = checked_new(work, new)
    if new.project_id is not None and new.project_id not in known.projects:
        raise NotFound("project", path=("project_id",))
    parent = None
    if new.parent_id is not None:
        parent = made.get(new.parent_id) or _permitted(
            known.parents, new.parent_id, "change", ("parent_id",)
        )
        placement.demand_depth(placement.level_below(parent) + 1, ("parent_id",))
        placement.demand_same_project(parent, new.project_id)
    elif new.project_id is not None:
        project, editor = known.projects[new.project_id]
        demand_editing(project, editor=editor, path=("project_id",))
    if new.id in known.taken or new.id in made:
        raise rules.taken("id", ("id",))
    _demand_active(known.people, new.assignee_id)
    # A microsecond apart, so that lists by time keep the order of the input.
    moment = work.now + dt.timedelta(microseconds=len(made))
    # A personal task's subtasks belong to its owner, even if created by others.
    owner_id = work.viewer.require()
    if parent is not None and parent.project_id is None:
        owner_id = parent.owner_id
    return Task(
        **{"due_at": None, "due_on": None, "due_timezone": None, **values},
        id=new.id or work.new_id(),
        project_id=new.project_id if parent is None else parent.project_id,
        owner_id=owner_id,
        assignee_id=new.assignee_id,
        parent_id=None if parent is None else parent.id,
        root_id=None if parent is None else parent.root_id or parent.id,
        created_at=moment,
        updated_at=moment,
        version=1,
    )


async def _number(work: Work, tasks: Sequence[Task]) -> None:
    """Numbers for tasks in projects: a run for each project, taken in one statement."""
    counts = Counter(task.project_id for task in tasks if task.project_id is not None)
    if not counts:
        return
    wanted = (
        func.unnest(
            bindparam("projects", list(counts), ARRAY(Uuid())),
            bindparam("counts", list(counts.values()), ARRAY(Integer())),
        )
        .table_valued(column("project_id", Uuid()), column("count", Integer()))
        .render_derived(name="wanted")
    )
    rows = await work.session.execute(
        update(Project)
        .where(Project.id == wanted.c.project_id)
        .values(last_number=Project.last_number + wanted.c.count)
        .returning(Project.id, Project.last_number)
        .execution_options(synchronize_session=False)
    )
    following = {project_id: last - counts[project_id] for project_id, last in rows}
    for task in tasks:
        if task.project_id is not None:
            following[task.project_id] += 1
            task.number = following[task.project_id]


async def _rank(work: Work, tasks: Sequence[Task]) -> None:
    """Ranks at the end of each list, in the order of the tasks; see `domain.tasks.placement`."""
    lists: dict[placement.TaskList, list[Task]] = {}
    for task in tasks:
        whose = task.owner_id if task.project_id is None else None
        lists.setdefault((task.project_id, whose), []).append(task)
    last = await placement.lock_and_find_ends(work, list(lists))
    for one, members in lists.items():
        for task, rank in zip(members, ranks.after(last.get(one), len(members)), strict=True):
            task.position = rank


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
    known = await _with_right(work, named, access.edit)
    for task, *_ in known.values():
        # Written below in one statement, instead of one by one by the session.
        work.session.expunge(task)
    assignees = {item.changes.get("assignee_id") for item in edits}
    people = await _people(work, assignees)
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
            edit = _taken(item)
            with collecting():
                values = checked(work, edit.changes)
                if edit.task_id in changed:
                    raise BadInput("This task is already in an earlier item.", path=("id",))
                task = _permitted(known, edit.task_id, "change", ("id",))
            if "assignee_id" in edit.changes:
                person = edit.changes["assignee_id"]
                _demand_active(people, person)
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
    if _stopped(results, all_or_nothing):
        return results
    written = [task for task in _good(results) if changed[task.id]]
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
    known = await _with_right(work, wanted, access.delete)
    before = await rights_change.snapshot(work, known)
    results: list[Task | Failure] = []
    seen: set[UUID] = set()
    emptied: dict[UUID, Task] = {}
    for item in items:
        try:
            deletion = _taken(item)
            if deletion.task_id in seen:
                raise BadInput("This task is already in an earlier item.", path=("id",))
            seen.add(deletion.task_id)
            task = _permitted(known, deletion.task_id, "delete", ("id",))
            work.check_version(task, deletion.if_version, fields=[], ref="task")
            if deletion.subtasks is Subtasks.MOVE_UP:
                emptied[task.id] = task
            else:
                demand_all_deletable(work, before, task.id)
            results.append(task)
        except Failure as failure:
            results.append(failure)
    tasks = {task.id: task for task in _good(results)}
    gone: dict[UUID, list[UUID]] = {task_id: [task_id] for task_id in tasks}
    deleted = [
        result if isinstance(result, Failure) else Deleted(result, gone[result.id])
        for result in results
    ]
    if not tasks or _stopped(results, all_or_nothing):
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


# --- common --------------------------------------------------------------------------------------


def _taken(item: T | Failure) -> T:
    if isinstance(item, Failure):
        raise item
    return item


def _good(results: Sequence[Task | Failure]) -> list[Task]:
    return [result for result in results if isinstance(result, Task)]


def _stopped(results: Sequence[Any], all_or_nothing: bool) -> bool:
    return all_or_nothing and any(isinstance(result, Failure) for result in results)


_INSERT = Statement(
    insert(Task).from_select(COLUMNS, select(*given_rows(Task, *COLUMNS).c)).returning(Task.id)
)


async def _write(work: Work, tasks: Sequence[Task]) -> None:
    names = {name for task in tasks for name in inspect(task).committed_state}
    rows = [_columns(task, ["id", *names]) for task in tasks]
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


def _columns(task: Task, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(task, name) for name in names}


async def _rows(
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
def _tasks_named(viewer: Viewer) -> Select[Any, Any, Any, Any]:
    """Tasks, whether the viewer sees them, can change them, or could if nothing were archived."""
    rights = (
        access.read(viewer, Task),
        access.edit(viewer, Task),
        access.edit(viewer, Task, archived=True),
    )
    return select(Task, *rights).where(_is_given(Task.id))


@cache
def _projects(viewer: Viewer) -> Select[Any, Any]:
    role = access.role_in(viewer, Project.id)
    return select(Project, role).where(_is_given(Project.id), access.read(viewer, Project))


@cache
def _users(viewer: Viewer) -> Select[Any]:
    return select(User).where(_is_given(User.id), access.read(viewer, User))


@cache
def _tasks_with_right(right: Any, viewer: Viewer) -> Select[Any, Any]:
    rights = (right(viewer, Task), right(viewer, Task, archived=True))
    return select(Task, *rights).where(_is_given(Task.id), access.read(viewer, Task))


async def _with_right(work: Work, ids: Collection[UUID], right: Any) -> dict[UUID, Known]:
    """The tasks among these that the viewer can see, with their rights."""
    return {
        task.id: (task, bool(allowed), bool(held))
        for task, allowed, held in await _rows(work, ids, partial(_tasks_with_right, right))
    }


async def _people(work: Work, ids: Collection[UUID | None]) -> dict[UUID, User]:
    wanted = {person for person in ids if person is not None}
    return {user.id: user for (user,) in await _rows(work, wanted, _users)}


def _permitted(known: Mapping[UUID, Known], task_id: UUID, verb: str, path: rules.Path) -> Task:
    if task_id not in known:
        raise NotFound("task", path=path)
    task, allowed, held = known[task_id]
    if held and not allowed:
        raise archived(path)
    if not allowed:
        raise Forbidden(f"You can see this task but cannot {verb} it.", path=path)
    return task


def _demand_active(people: Mapping[UUID, User], user_id: UUID | None) -> None:
    if user_id is None:
        return
    if user_id not in people:
        raise NotFound("user", path=("assignee_id",))
    if not people[user_id].is_active:
        raise BadInput("This account is deactivated. Choose an active user.", path=("assignee_id",))
