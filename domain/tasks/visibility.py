"""Which other users can see a task.

The viewer's own rights are checked by `Work`. Here the same rule of `auth.access` is applied to
other users: can they see this task? As in live delivery, one statement checks many of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ARRAY, Select, Text, Uuid, bindparam, column, func, literal_column, select
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import ViewerColumn
from db.models import Task, User
from domain.work import Work

TaskAndPerson = tuple[UUID, UUID]


def _seen_statement() -> Select[UUID, UUID]:
    pair = (
        func.unnest(
            bindparam("tasks", type_=ARRAY(Uuid())), bindparam("people", type_=ARRAY(Uuid()))
        )
        .table_valued(column("task_id", Uuid()), column("person_id", Uuid()))
        .render_derived(name="pair")
    )
    # A literal column, so that subqueries of the rule do not add the table again; see events.log.
    them = ViewerColumn(literal_column("pair.person_id", Uuid()))
    return (
        select(pair.c.task_id, pair.c.person_id)
        .select_from(pair.join(Task, Task.id == pair.c.task_id))
        .where(access.read(them, Task))
    )


def _named_statement() -> Select[UUID]:
    person = aliased(User, name="person")
    them = ViewerColumn(literal_column("person.id", Uuid()))
    return (
        select(person.id)
        .join(Task, Task.id == bindparam("task_id", type_=Uuid()))
        .where(
            func.lower(person.username) == bindparam("names", type_=ARRAY(Text())).any_(),
            person.is_active,
            person.deleted_at.is_(None),
            access.read(them, Task),
        )
    )


# Built once: building the rule takes longer than running it.
_SEEN = _seen_statement()
_NAMED = _named_statement()


async def seen(work: Work, pairs: Collection[TaskAndPerson]) -> set[TaskAndPerson]:
    """Of these pairs of a task and a user, those where the user can see the task."""
    if not pairs:
        return set()
    tasks, people = zip(*pairs, strict=True)
    rows = await work.session.execute(_SEEN, {"tasks": list(tasks), "people": list(people)})
    return {(task_id, person_id) for task_id, person_id in rows}


async def sees(work: Work, task_id: UUID, person_id: UUID) -> bool:
    """Whether this user can see the task."""
    return bool(await seen(work, [(task_id, person_id)]))


async def viewers_named(work: Work, task_id: UUID, usernames: Sequence[str]) -> list[UUID]:
    """Ids of the active users with these usernames (in lower case) who can see the task."""
    if not usernames:
        return []
    found = await work.session.scalars(_NAMED, {"task_id": task_id, "names": list(usernames)})
    return list(found)
