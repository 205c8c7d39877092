"""One run for several who ask for the same: whoever comes first leads it, the others wait.

Loaders use `SharedRun` to read for all fields that ask within one turn of the event loop.

`SingleFlight` is for operations. An event reaches its subscribers in one turn of the loop, and many
of them may be one viewer who asks for the same: tabs of a browser, connections of an integrator's
gateway. The first of them executes the operation, those who come while it runs wait for its result,
and whoever comes later runs it afresh, so that nothing is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedRun(Generic[T]):
    """A run, and the future of its result: for others to wait for, and never to cancel."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    async def lead(self, run: Callable[[], Awaitable[T]]) -> T:
        """Run it. Those who wait get the result or the error; if it is cancelled, so are they."""
        try:
            result = await run()
        except Exception as error:
            self.future.set_exception(error)
            # There may be no others; then nobody else looks at it.
            self.future.exception()
            raise
        else:
            self.future.set_result(result)
            return result
        finally:
            self.future.cancel()

    async def result(self) -> T:
        """What the leader gets."""
        return await asyncio.shield(self.future)


async def others_join() -> None:
    """Wait until the fields that start within this turn of the event loop have asked."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class SingleFlight(Generic[T]):
    """Runs under way, by what was asked. `worth` says which results may be given to others."""

    def __init__(self, worth: Callable[[T], bool]) -> None:
        self._worth = worth
        self._running: dict[Hashable, SharedRun[T]] = {}

    async def join(self, key: Hashable) -> T | None:
        """The result of a run that is under way; None if there is none, or it is of no use."""
        shared = self._running.get(key)
        if shared is None:
            return None
        # Unlike `result`, this is cancelled with whoever waits, and not with the leader.
        await asyncio.wait((shared.future,))
        if shared.future.cancelled() or shared.future.exception() is not None:
            return None
        result = shared.future.result()
        return result if self._worth(result) else None

    async def lead(self, key: Hashable, run: Callable[[], Awaitable[T]]) -> T:
        """Run it, and share it with those who join meanwhile. If somebody leads already, run it
        alone.
        """
        if key in self._running:
            return await run()
        shared = self._running[key] = SharedRun[T]()
        try:
            return await shared.lead(run)
        finally:
            del self._running[key]
