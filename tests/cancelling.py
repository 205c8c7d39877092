"""Cancels a task at its n-th suspension: deterministically, by stepping its coroutine.

A coroutine runs from one suspension to the next and yields the future that it waits for. An object
between the coroutine and its task counts the yielded futures, and strikes at the n-th.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum
from typing import Any


class Strike(Enum):
    """At which of the two moments of a wait the task is cancelled."""

    # While it waits: the awaited operation is cancelled.
    WAITING = "waiting"
    # When the operation is done but the task has not resumed yet: the answer is lost.
    ANSWERED = "answered"


Blow = Callable[["asyncio.Task[Any]", "asyncio.Future[Any] | None"], None]


def cancel(strike: Strike, *, times: int = 1) -> Blow:
    """A blow that cancels the task; with `times=2`, once more at the next suspension."""

    def blow(task: asyncio.Task[Any], future: asyncio.Future[Any] | None) -> None:
        if strike is Strike.ANSWERED and future is not None:
            future.add_done_callback(lambda _: task.cancel())
        else:
            asyncio.get_running_loop().call_soon(task.cancel)

    blow.times = times  # type: ignore[attr-defined]
    return blow


class Stepped(Coroutine[Any, Any, Any]):
    """A coroutine that is struck at its n-th suspension, counting from 1."""

    def __init__(self, inner: Coroutine[Any, Any, Any], at: int, blow: Blow) -> None:
        self._inner = inner
        self._at = at
        self._blow = blow
        self._more = int(getattr(blow, "times", 1))
        self.suspensions = 0

    @property
    def struck(self) -> bool:
        """Whether it reached the n-th suspension."""
        return self.suspensions >= self._at

    def send(self, value: Any) -> Any:
        """Like a coroutine's method."""
        return self._yielded(self._inner.send(value))

    def throw(self, *error: Any) -> Any:
        """Like a coroutine's method."""
        return self._yielded(self._inner.throw(*error))

    def close(self) -> None:
        """Like a coroutine's method."""
        self._inner.close()

    def __await__(self) -> Any:
        raise NotImplementedError("made for a task")

    def _yielded(self, future: Any) -> Any:
        self.suspensions += 1
        if self.suspensions >= self._at and self._more:
            self._more -= 1
            task = asyncio.current_task()
            assert task is not None
            self._blow(task, future)
        return future


async def struck(
    make: Callable[[], Coroutine[Any, Any, Any]], at: int, blow: Blow
) -> tuple[Stepped, Any]:
    """Run it in a separate task; returns the result or the exception, and how far it came."""
    stepped = Stepped(make(), at, blow)
    task = asyncio.get_running_loop().create_task(stepped)
    await asyncio.wait([task])
    if task.cancelled():
        return stepped, asyncio.CancelledError()
    return stepped, task.exception() or task.result()


async def at_every_step(
    make: Callable[[], Coroutine[Any, Any, Any]],
    blow: Blow,
    after: Callable[[int, Any], Awaitable[None]],
    *,
    most: int = 200,
) -> int:
    """Run it repeatedly, struck one suspension later each time, until it ends without a blow; call
    `after` each time. Returns the number of blows.
    """
    for at in range(1, most + 1):
        stepped, result = await struck(make, at, blow)
        await after(at, result)
        if not stepped.struck:
            return at - 1
    raise AssertionError(f"no end after {most} suspensions")
