"""Add tags to a task and remove tags from it, independently of other changes to its tags."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from db.models import Task
from domain import rules
from domain.tasks.task_values import apply, checked, kind_of, record
from domain.work import Work
from errors import ErrorCode, Failure


async def add(work: Work, task_id: UUID, tags: Sequence[str], if_version: int | None) -> Task:
    """Add tags; one that is already there, in any case, stays as it is."""
    more = rules.tags(tags, ("tags",))
    task = await work.editable(Task, task_id)
    _set(work, task, [*task.tags, *more], if_version)
    await work.session.flush()
    return task


async def remove(
    work: Work, task_id: UUID, tags: Sequence[str], if_version: int | None
) -> tuple[Task, list[Failure]]:
    """Remove tags; returns the task, and a `NOT_FOUND` for each tag that it did not have."""
    # Each keeps its index, so that the failures can name it.
    keys = [
        rules.tag_key(rules.text(tag, ("tags", index), least=1, most=50))
        for index, tag in enumerate(tags)
    ]
    task = await work.editable(Task, task_id)
    absent: list[Failure] = [
        Failure("The task does not have this tag.", path=("tags", index), code=ErrorCode.NOT_FOUND)
        for index, key in enumerate(keys)
        if key not in task.tag_keys
    ]
    kept = [tag for tag in task.tags if rules.tag_key(tag) not in keys]
    _set(work, task, kept, if_version)
    await work.session.flush()
    return task, absent


def _set(work: Work, task: Task, tags: list[str], if_version: int | None) -> None:
    changes = apply(work, task, checked(work, {"tags": tags}), if_version)
    if changes:
        record(work, kind_of(changes), task, changes)
