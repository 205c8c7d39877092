"""Points that all processes charge together, without asking Redis for each operation.

Each process keeps the last total that Redis gave it, adds what it has charged since then, and sends
that ten times a second, for all keys at once. It asks Redis at once for a key that it does not know
yet, and from a tenth of the budget on. So a total can lack what each other process charged in the
last tenth of a second, but no more than a tenth of the budget.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from cache import BoundedCache
from db import redis

_EVERY_SECONDS: Final = 0.1
_MOST_KEYS: Final = 50_000


class _Count:
    __slots__ = ("shared", "unsent")

    def __init__(self) -> None:
        self.shared = 0
        self.unsent = 0


class SharedBudget:
    """Totals in Redis, which end `seconds` after their last charge. `budget`: of each key."""

    def __init__(
        self,
        client: Any,
        availability: redis.Availability,
        prefix: str,
        *,
        budget: int,
        seconds: int,
    ) -> None:
        self._client = client
        self._availability = availability
        self._prefix = prefix
        self._exact_from = budget // 10
        self._seconds = seconds
        self._counts = BoundedCache[str, _Count](_MOST_KEYS)
        self._unsent: dict[str, _Count] = {}
        self._sending: asyncio.Task[None] | None = None

    async def add(self, key: str, points: int) -> int:
        """The new total. Raises what the client raises if Redis was asked and did not answer."""
        count = self._counts.get(key)
        if count is not None:
            total = count.shared + count.unsent + points
            if points >= 0 and total <= self._exact_from:
                if points:
                    count.unsent += points
                    self._send_soon(key, count)
                return total
        else:
            count = self._counts[key] = _Count()
        (total,) = await self._sent({key: count}, points)
        return total

    def _send_soon(self, key: str, count: _Count) -> None:
        self._unsent[key] = count
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send(), name="send charges")

    async def _send(self) -> None:
        while self._unsent:
            await asyncio.sleep(_EVERY_SECONDS)
            counts, self._unsent = self._unsent, {}
            try:
                await self._sent(counts)
            except redis.failures() as error:
                self._availability.failed(error)

    async def _sent(self, counts: dict[str, _Count], more: int = 0) -> list[int]:
        """Send what is not sent of these counts, and `more` for each; their totals."""
        pipeline = self._client.pipeline(transaction=False)
        for key, count in counts.items():
            pipeline.incrby(self._prefix + key, count.unsent + more)
            pipeline.expire(self._prefix + key, self._seconds)
            # Whatever becomes of it: sent twice would be charged twice.
            count.shared += count.unsent
            count.unsent = 0
        answers = await pipeline.execute()
        for count, shared in zip(counts.values(), answers[::2], strict=True):
            count.shared = shared
        return [count.shared + count.unsent for count in counts.values()]

    async def close(self) -> None:
        """Send nothing more."""
        if self._sending is not None:
            while not self._sending.done():
                # Repeatedly: redis-py swallows a cancellation that arrives while it connects.
                self._sending.cancel()
                await asyncio.wait([self._sending], timeout=0.1)
