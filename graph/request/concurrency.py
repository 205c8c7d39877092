"""Large operations, a few at a time.

A process computes with one thread, so large answers that are made beside each other are not made
sooner: they only take more memory and push each other's rows out of the processor's cache. Two at
once keep the processor busy while the database works; the others wait for their turn. Small
operations never wait.

A turn is short. Whoever has not finished by its end goes on, and does not hold up the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

# From so many points on an operation is large: five hundred objects.
LARGE_POINTS: Final = 10
_AT_ONCE: Final = 2
_SECONDS: Final = 0.5


class ConcurrencyLimit:
    """One for each process."""

    def __init__(self, at_once: int = _AT_ONCE, seconds: float = _SECONDS) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._seconds = seconds

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the end of the block or of the turn."""
        await self._free.acquire()
        over = False

        def end() -> None:
            nonlocal over
            if not over:
                over = True
                self._free.release()

        timer = asyncio.get_running_loop().call_later(self._seconds, end)
        try:
            yield
        finally:
            timer.cancel()
            end()
