"""The external references of tasks: of a counterpart there is one task in a project, or among a
user's personal tasks, so that an import can be repeated.

A change of references locks the list that the task is in (see `domain.tasks.placement`), so that
two of them do not both find a counterpart free.

Whether a counterpart is free tells of all tasks of the list. So only users who see the whole list
add references to its tasks: the project's members, and the owner of personal tasks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.orm import aliased

from auth import access
from db.models import Task, TaskExternalReference
from domain.tasks import placement
from domain.tasks.external_references import ExternalReference, checked
from domain.tasks.placement import TaskList
from domain.work import Work
from errors import AlreadyExists, Failure, Forbidden, collecting

Row = TaskExternalReference
# In a scope (a project's or a user's id), a source and its id.
Counterpart = tuple[UUID, tuple[str, str]]


def scope_of(task: Task) -> UUID:
    """Where the task's references are unique."""
    return task.project_id or task.owner_id


async def of(work: Work, tasks: Collection[UUID]) -> dict[UUID, tuple[ExternalReference, ...]]:
    """The references of these tasks."""
    found: dict[UUID, list[ExternalReference]] = {}
    rows = await work.session.execute(
        select(Row.task_id, Row.source, Row.external_id, Row.url).where(Row.task_id.in_(tasks))
    )
    for task_id, source, external_id, url in rows:
        found.setdefault(task_id, []).append(ExternalReference(source, external_id, url))
    return {task_id: tuple(sorted(references)) for task_id, references in found.items()}


@dataclass(frozen=True, slots=True)
class Known:
    """What decides whether tasks in some scopes can get references: which tasks have them there,
    and the scopes in which the viewer may add some.
    """

    taken: dict[Counterpart, UUID] = field(default_factory=dict)
    whole: Collection[UUID] = ()

    def demand(self, task: Task, references: Sequence[ExternalReference], *, new: bool) -> None:
        """Raise unless the task can have these references, instead of those that it has.

        `ALREADY_EXISTS`, if another task has one of them, refers to that task if `new`.
        """
        scope = scope_of(task)
        old = {one.key for one in task.external_references} if not new else set()
        if scope not in self.whole and {one.key for one in references} - old:
            raise Forbidden(
                "Only members of the task's project, or the owner of a personal task, can add "
                "external references.",
                path=("external_references",),
            )
        for reference in references:
            other = self.taken.get((scope, reference.key))
            if other not in {None, task.id}:
                raise AlreadyExists(
                    f"Another task here has the external reference {reference.source} "
                    f"{reference.external_id}. It may be in the trash.",
                    path=("external_references",),
                    refs={"task": other} if new else {},
                )

    def note(self, task: Task, instead_of: Sequence[ExternalReference] = ()) -> None:
        """From now on the task has its references, instead of these."""
        scope = scope_of(task)
        for one in instead_of:
            self.taken.pop((scope, one.key), None)
        self.taken.update(((scope, one.key), task.id) for one in task.external_references)


async def known(
    work: Work, scopes: Collection[UUID], references: Iterable[ExternalReference]
) -> Known:
    """What is known of these references in these scopes, whose lists are locked."""
    keys = {one.key for one in references}
    if not keys or not scopes:
        return Known()
    rows = await work.session.execute(
        select(Row.scope_id, Row.source, Row.external_id, Row.task_id).where(
            tuple_(Row.source, Row.external_id).in_(keys), Row.scope_id.in_(scopes)
        )
    )
    lists = access.whole_lists(work.viewer).subquery()
    whole = await work.session.scalars(select(lists.c.id).where(lists.c.id.in_(scopes)))
    taken = {(scope, (source, id_)): task_id for scope, source, id_, task_id in rows}
    return Known(taken, set(whole))


async def prepare(work: Work, task: Task, references: Sequence[ExternalReference]) -> None:
    """Read the task's references, lock its list, and demand that no other task has these."""
    await placement.lock_list(work, task.project_id, task.owner_id)
    task.external_references = (await of(work, [task.id])).get(task.id, ())
    (await known(work, [scope_of(task)], references)).demand(task, references, new=False)


def list_of(task: Task) -> TaskList:
    """The list that the task is in."""
    return task.project_id, task.owner_id if task.project_id is None else None


async def lock_and_find(
    work: Work, lists: Collection[TaskList], given: Iterable[Sequence[ExternalReference] | None]
) -> Known:
    """For new tasks in these lists, which are locked, unless there is nothing to find."""
    references = _valid(given)
    if not references:
        return Known()
    await placement.lock_and_find_ends(work, list(lists))
    named = {project_id or owner_id for project_id, owner_id in lists}
    scopes = [scope for scope in named if scope is not None]
    return await known(work, scopes, references)


async def prepare_many(
    work: Work, wanted: Sequence[tuple[Task, Sequence[ExternalReference] | None]]
) -> Known:
    """`prepare` for many tasks, without the demands."""
    if not wanted:
        return Known()
    tasks = [task for task, _ in wanted]
    lists = {list_of(task) for task in tasks}
    await placement.lock_and_find_ends(work, list(lists))
    current = await of(work, [task.id for task in tasks])
    for task in tasks:
        task.external_references = current.get(task.id, ())
    references = _valid(given for _, given in wanted)
    return await known(work, {scope_of(task) for task in tasks}, references)


def _valid(given: Iterable[Sequence[ExternalReference] | None]) -> list[ExternalReference]:
    """Those of the references that a task could have; what is wrong with others is found later."""
    found: list[ExternalReference] = []
    for references in given:
        try:
            with collecting():
                valid = checked(references, ())
        except Failure:
            continue
        found += valid
    return found


async def write(work: Work, tasks: Collection[Task], *, new: bool = False) -> None:
    """Write the references of these tasks in place of what they had."""
    if not new:
        named = Row.task_id.in_([task.id for task in tasks])
        await work.session.execute(
            delete(Row).where(named).execution_options(synchronize_session=False)
        )
    rows = [
        {
            "task_id": task.id,
            "scope_id": scope_of(task),
            "source": reference.source,
            "external_id": reference.external_id,
            "url": reference.url,
        }
        for task in tasks
        for reference in task.external_references
    ]
    if rows:
        await work.session.execute(insert(Row).execution_options(render_nulls=True), rows)


async def demand_free_there(work: Work, task: Task, scope: UUID) -> None:
    """Raise `ALREADY_EXISTS` if a counterpart of the task, or of one below it, has another task in
    this scope.
    """
    own, other = aliased(Row), aliased(Row)
    tree = placement.tree(task.id)
    found = await work.session.execute(
        select(own.source, own.external_id)
        .join(other, (other.source == own.source) & (other.external_id == own.external_id))
        .where(own.task_id.in_(tree), other.scope_id == scope, other.task_id.not_in(tree))
        .limit(1)
    )
    if (row := found.first()) is not None:
        raise AlreadyExists(
            f"Another task there has the external reference {row.source} {row.external_id}.",
            path=("project_id",),
        )
