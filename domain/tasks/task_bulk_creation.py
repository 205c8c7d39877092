"""Create many tasks at once; see `domain.tasks.task_bulk`."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Uuid, bindparam, column, func, insert, select, update

from auth import access
from db.models import Project, Role, Task, User
from db.rows import given_rows
from db.statements import Statement
from domain import locks, rules
from domain.projects.project import demand_editing
from domain.tasks import placement, ranks, reference_rows, visibility
from domain.tasks.reference_rows import list_of
from domain.tasks.task_bulk_items import (
    Known,
    columns_of,
    demand_active,
    good,
    people_of,
    permitted,
    projects_named,
    rows_about,
    stopped,
    taken,
    tasks_named,
)
from domain.tasks.task_creation import COLUMNS, hidden_from_assignee
from domain.tasks.task_values import NewTask, checked_new, record
from domain.work import Work
from errors import Failure, NotFound, Problems
from events.kinds import EventKind

_INSERT = Statement(
    insert(Task).from_select(COLUMNS, select(*given_rows(Task, *COLUMNS).c)).returning(Task.id)
)


async def create(
    work: Work, items: Sequence[NewTask | Failure], *, all_or_nothing: bool
) -> list[Task | Failure]:
    """Create tasks, in this order. An item's parent may be an earlier item, by an id that the
    client chose.
    """
    # Before the first lock, which holds back the readers of the log until the commit.
    drafts = [_drafted(work, item, index) for index, item in enumerate(items)]
    known = await _known_to(work, [item for item in items if isinstance(item, NewTask)])
    made: dict[UUID, Task] = {}
    results: list[Task | Failure] = []
    for item in drafts:
        try:
            draft = taken(item)
            with draft.problems.collect():
                _place(draft, known, made)
            draft.problems.raise_any()
            task = draft.task
            _demand_shown_to(work, task, known, made)
            known.references.demand(task, task.external_references, new=True)
            known.references.note(task)
        except Failure as failure:
            results.append(failure)
        else:
            made[task.id] = task
            results.append(task)
    if stopped(results, all_or_nothing):
        return results
    tasks = good(results)
    if not tasks:
        return results
    # Ranks first: everyone takes their locks in one order, so that transactions that number the
    # same projects in another order do not deadlock.
    await _rank(work, tasks)
    await _number(work, tasks)
    await work.fetch(_INSERT, {"rows": [columns_of(task, COLUMNS) for task in tasks]})
    if any(task.external_references for task in tasks):
        await reference_rows.write(work, tasks, new=True)
    for task in tasks:
        record(work, EventKind.TASK_CREATED, task)
    await work.session.flush()
    return results


@dataclass(frozen=True, slots=True)
class _Draft:
    """What an item says by itself. `task` has no number, rank or parent yet."""

    new: NewTask
    task: Task
    problems: Problems


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
    tasks = await rows_about(work, named, tasks_named)
    return _Known(
        projects={
            project.id: (project, role is not None and role >= Role.EDITOR)
            for project, role in await rows_about(work, projects, projects_named)
        },
        parents={
            task.id: (task, bool(edit), bool(held)) for task, read, edit, held in tasks if read
        },
        people=await people_of(work, {item.assignee_id for item in items}),
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


def _drafted(work: Work, item: NewTask | Failure, index: int) -> _Draft | Failure:
    if isinstance(item, Failure):
        return item
    values: dict[str, Any] = {}
    problems = Problems()
    with problems.collect():
        values = checked_new(work, item)
    # A microsecond apart, so that lists by time keep the order of the input.
    moment = work.now + dt.timedelta(microseconds=index)
    task = Task(
        **{"due_at": None, "due_on": None, "due_timezone": None, **values},
        id=item.id or work.new_id(),
        project_id=item.project_id,
        owner_id=work.viewer.require(),
        assignee_id=item.assignee_id,
        parent_id=None,
        root_id=None,
        created_at=moment,
        updated_at=moment,
        version=1,
    )
    return _Draft(item, task, problems)


def _place(draft: _Draft, known: _Known, made: Mapping[UUID, Task]) -> None:
    """Check what an item refers to, and put its task where `domain.tasks.task.create` would."""
    new, task = draft.new, draft.task
    if new.project_id is not None and new.project_id not in known.projects:
        raise NotFound("project", path=("project_id",))
    if new.parent_id is not None:
        parent = made.get(new.parent_id) or permitted(
            known.parents, new.parent_id, "change", ("parent_id",)
        )
        placement.demand_depth(placement.level_below(parent) + 1, ("parent_id",))
        placement.demand_same_project(parent, new.project_id)
        task.project_id, task.parent_id = parent.project_id, parent.id
        task.root_id = parent.root_id or parent.id
        if parent.project_id is None:
            # A personal task's subtasks belong to its owner, even if created by others.
            task.owner_id = parent.owner_id
    elif new.project_id is not None:
        project, editor = known.projects[new.project_id]
        demand_editing(project, editor=editor, path=("project_id",))
    if new.id in known.taken or new.id in made:
        raise rules.taken("id", ("id",))
    demand_active(known.people, new.assignee_id)


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
