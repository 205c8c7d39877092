"""Single flight: one run for all who request the same while it lasts.

Loaders use `SharedRun` to read for all fields that ask within one turn of the event loop.

`SingleFlight` is for operations. An event reaches its subscribers in one turn of the event loop,
and many of them may be one viewer with the same operation: tabs of a browser, connections of an
integrator's gateway. The first one executes the operation, those who come while it runs wait for
its result, and later ones run it again, so nothing is cached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedRun(Generic[T]):
    """A run and the future of its result, which others wait for and must not cancel."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    async def lead(self, run: Callable[[], Awaitable[T]]) -> T:
        """Run it. Waiting callers get the result or the error; if it is cancelled, so are they."""
        try:
            result = await run()
        except Exception as error:
            self.future.set_exception(error)
            # Without other callers, nobody else retrieves the exception.
            self.future.exception()
            raise
        else:
            self.future.set_result(result)
            return result
        finally:
            self.future.cancel()

    async def result(self) -> T:
        """The result of the leader."""
        return await asyncio.shield(self.future)


async def others_join() -> None:
    """Wait until the fields that start within this turn of the event loop have joined."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class SingleFlight(Generic[T]):
    """Running calls, by key. `worth` says which results may be given to others."""

    def __init__(self, worth: Callable[[T], bool]) -> None:
        self._worth = worth
        self._running: dict[Hashable, SharedRun[T]] = {}

    async def join(self, key: Hashable) -> T | None:
        """The result of a running call; None if there is none, or its result is not shared."""
        shared = self._running.get(key)
        if shared is None:
            return None
        # Unlike `result`, this ends with None if the leader is cancelled.
        await asyncio.wait((shared.future,))
        if shared.future.cancelled() or shared.future.exception() is not None:
            return None
        result = shared.future.result()
        return result if self._worth(result) else None

    async def lead(self, key: Hashable, run: Callable[[], Awaitable[T]]) -> T:
        """Run it for everyone who joins meanwhile. If the key is already running, run
        separately.
        """
        if key in self._running:
            return await run()
        shared = self._running[key] = SharedRun[T]()
        try:
            return await shared.lead(run)
        finally:
            del self._running[key]
