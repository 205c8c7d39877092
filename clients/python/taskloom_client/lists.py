"""A list that stays right by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


class LiveList:
    """A list of tasks, kept up to date with the events of `taskEvents` with the same filter.

    Read the tasks together with `eventCursor`, and subscribe from that cursor. Events select
    `subjectId`, `matches` and `task` with the fields of the list, `id` and `version` among them.
    `order`: the value by which the list is sorted, like the `key` of `sorted`.
    """

    def __init__(self, tasks: Iterable[Any], *, order: Callable[[Any], Any] | None = None) -> None:
        self._tasks = {task["id"]: task for task in tasks}
        self._order = order

    def __iter__(self) -> Iterator[Any]:
        tasks = list(self._tasks.values())
        return iter(tasks if self._order is None else sorted(tasks, key=self._order))

    def __len__(self) -> int:
        return len(self._tasks)

    def apply(self, event: Any) -> bool:
        """Take over an event; returns whether the list has changed."""
        task = event["task"]
        if task is None or not event["matches"]:
            gone = task["id"] if task else event["subjectId"]
            return self._tasks.pop(gone, None) is not None
        known = self._tasks.get(task["id"])
        # An older state must not replace the answer to a mutation of one's own.
        if known is not None and known["version"] >= task["version"]:
            return False
        self._tasks[task["id"]] = task
        return True

    def put(self, task: Any) -> None:
        """Take over a task from the answer to a mutation."""
        self._tasks[task["id"]] = task
