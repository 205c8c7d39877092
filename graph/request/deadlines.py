"""A time limit for work that is done all the time, with one timer for all.

`asyncio.timeout` sets and removes a timer for each use. For an operation that costs as much as
checking its token and its price together, and for a message to a subscriber a sixth of all its
work. All blocks have the same limit here, so the one that began first ends first: one timer, for
the oldest, is enough.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self


class Deadlines:
    """One per process. `with deadlines.running() as deadline:` around what may take `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        # In the order of their ends.
        self._running: dict[Deadline, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def running(self) -> Deadline:
        """A deadline for the current task, which is cancelled when the time is over; the block then
        raises `TimeoutError`.
        """
        return Deadline(self)

    def add(self, deadline: Deadline) -> None:
        """The block begins."""
        loop = asyncio.get_running_loop()
        deadline.ends = loop.time() + self.seconds
        self._running[deadline] = None
        # A timer of another loop will never fire.
        if self._timer is None or self._loop is not loop:
            self._loop = loop
            self._timer = loop.call_at(deadline.ends, self._ring)

    def remove(self, deadline: Deadline) -> None:
        """The block ends. The timer still fires, and finds the next deadline to wait for."""
        self._running.pop(deadline, None)

    def _ring(self) -> None:
        assert self._loop is not None
        now = self._loop.time()
        self._timer = None
        while self._running:
            deadline = next(iter(self._running))
            if deadline.ends > now:
                self._timer = self._loop.call_at(deadline.ends, self._ring)
                break
            del self._running[deadline]
            deadline.cut()


class Deadline:
    """Like `asyncio.timeout`: a cancellation from elsewhere stays one."""

    __slots__ = ("_all", "_before", "_task", "ends", "expired")

    def __init__(self, all_: Deadlines) -> None:
        self._all = all_
        self.ends = 0.0
        self.expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a running task")
        self._task: asyncio.Task[Any] = task
        self._before = task.cancelling()
        self._all.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._all.remove(self)
        if (
            self.expired
            and self._task.uncancel() <= self._before
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error

    def cut(self) -> None:
        """The time is over."""
        self.expired = True
        self._task.cancel()
