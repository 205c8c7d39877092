"""A concurrency limit for large operations.

A process computes with one thread, so large answers that are made concurrently are not finished
sooner: they only use more memory and evict each other's rows from the processor's cache. Two at
once keep the processor busy while the database works; the others wait. Small operations never wait.

A slot is held for a short time only. An operation that takes longer continues without it, and does
not hold up the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

# An operation is large from this number of points: five hundred objects.
LARGE_POINTS: Final = 10
_AT_ONCE: Final = 2
_SECONDS: Final = 0.5


class ConcurrencyLimit:
    """One per process."""

    def __init__(self, at_once: int = _AT_ONCE, seconds: float = _SECONDS) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._seconds = seconds

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for a slot, and hold it until the end of the block or of the time limit."""
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
