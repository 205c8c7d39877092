"""Single flight: one run for all who request the same while it lasts.

An event reaches its subscribers in one turn of the event loop, and many of them may be one viewer
with the same operation: tabs of a browser, connections of an integrator's gateway. The first one
executes the operation, those who come while it runs wait for its result, and later ones run it
again, so nothing is cached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Running calls, by key. `worth` says which results may be given to others."""

    def __init__(self, worth: Callable[[T], bool]) -> None:
        self._worth = worth
        # The futures that wait for each of them.
        self._running: dict[Hashable, list[asyncio.Future[T | None]]] = {}

    async def join(self, key: Hashable) -> T | None:
        """The result of a running call; None if there is none, or its result is not shared."""
        waiting = self._running.get(key)
        if waiting is None:
            return None
        mine: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        waiting.append(mine)
        return await mine

    async def lead(self, key: Hashable, run: Callable[[], Awaitable[T]]) -> T:
        """Run it for everyone who joins meanwhile. If the key is already running, run
        separately.
        """
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
            # Whatever the result, the waiting callers continue.
            del self._running[key]
            for future in waiting:
                if not future.done():
                    future.set_result(found)
