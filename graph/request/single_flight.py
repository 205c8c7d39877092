"""One run for all who ask the same while it lasts.

An event reaches its subscribers in one turn of the event loop, and many of them may be one viewer
who asks for the same: tabs of a browser, connections of an integrator's gateway. The first of them
executes the operation, those who come while it runs wait for its result, and whoever comes later
runs it afresh, so that nothing is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs under way, by what was asked. `worth` says which results may be given to others."""

    def __init__(self, worth: Callable[[T], bool]) -> None:
        self._worth = worth
        # Who waits for each of them.
        self._running: dict[Hashable, list[asyncio.Future[T | None]]] = {}

    async def join(self, key: Hashable) -> T | None:
        """The result of a run that is under way; None where there is none, or it is of no use."""
        waiting = self._running.get(key)
        if waiting is None:
            return None
        mine: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        waiting.append(mine)
        return await mine

    async def lead(self, key: Hashable, run: Callable[[], Awaitable[T]]) -> T:
        """Run it, for whoever else comes meanwhile too. Where somebody does already, by oneself."""
        if key in self._running:
            return await run()
        waiting = self._running[key] = []
        found: T | None = None
        try:
            result = await run()
            if self._worth(result):
                found = result
            return result
        finally:
            # Whatever became of it, those who wait go on.
            del self._running[key]
            for future in waiting:
                if not future.done():
                    future.set_result(found)
