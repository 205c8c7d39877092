"""A list that stays right by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any


class LiveList:
    """A list of tasks, kept up to date with the events of `taskEvents` with the same filter.

    Read the tasks together with `eventCursor`, and subscribe from that cursor. Tasks select `id`
    and `version`, and `project { id }` to follow the loss of a project; events select `kind`,
    `subjectId`, `matches`, and `task` with the fields of the list. `order`: the value by which the
    list is sorted, like the `key` of `sorted`; without it, new tasks come last.

    A task that belongs behind the last page read is not in the list, even if an event brings it:
    between the two there may be others, which were not read.
    """

    def __init__(
        self, tasks: Iterable[Any] = (), *, order: Callable[[Any], Any] | None = None
    ) -> None:
        self._tasks = {task["id"]: task for task in tasks}
        self._order = order
        # The versions at which tasks left, so that an older answer does not bring them back.
        self._gone: dict[str, float] = {}
        self._last: Any = None
        # Of the last page.
        self.has_next_page = False
        self.end_cursor: str | None = None

    def __iter__(self) -> Iterator[Any]:
        tasks = list(self._tasks.values())
        return iter(tasks if self._order is None else sorted(tasks, key=self._order))

    def __len__(self) -> int:
        return len(self._tasks)

    def append(self, page: Any, meanwhile: Iterable[Any] = ()) -> None:
        """Take over the next page (`nodes` and `pageInfo { hasNextPage endCursor }`), and once more
        the events that were applied while it was read.
        """
        nodes, info = page["nodes"], page["pageInfo"]
        self.has_next_page, self.end_cursor = info["hasNextPage"], info["endCursor"]
        self._last = nodes[-1] if nodes else self._last
        for task in nodes:
            self._take(task)
        for event in meanwhile:
            self.apply(event)

    def apply(self, event: Any) -> bool:
        """Take over an event; returns whether the list has changed."""
        task = event["task"]
        if task is not None and event["matches"]:
            return self._take(task)
        version = math.inf if task is None else task["version"]
        gone = {event["subjectId"] if task is None else task["id"]}
        if event.get("kind") == "ACCESS_LOST":
            gone |= {
                known["id"]
                for known in self._tasks.values()
                if (known.get("project") or {}).get("id") == event["subjectId"]
            }
        return sum(self._remove(known, version) for known in gone) > 0

    def put(self, task: Any) -> bool:
        """Take over a task from the answer to a mutation; returns whether the list has changed."""
        known = self._tasks.get(task["id"])
        # An older state must not replace a newer one.
        if known is not None and known["version"] > task["version"]:
            return False
        if self._gone.get(task["id"], -1) >= task["version"]:
            return False
        if self._is_behind(task):
            return self._tasks.pop(task["id"], None) is not None
        self._tasks[task["id"]] = task
        return bool(task != known)

    def _take(self, task: Any) -> bool:
        """Take over a task that is in the list now: it may have come back."""
        gone = self._gone.get(task["id"], -1)
        if gone == math.inf or gone <= task["version"]:
            self._gone.pop(task["id"], None)
        return self.put(task)

    def _remove(self, task: str, version: float) -> bool:
        self._gone[task] = version
        return self._tasks.pop(task, None) is not None

    def _is_behind(self, task: Any) -> bool:
        if self._order is None or self._last is None or not self.has_next_page:
            return False
        return bool(self._order(task) > self._order(self._last))
