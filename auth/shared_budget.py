"""Points that all processes charge together, without asking Redis for each operation.

Each process keeps the last total that Redis gave it, adds what it has charged since then, and sends
that ten times a second, for all keys at once. It asks Redis at once for a key that it does not know
yet, and from a tenth of the budget on. So a total can lack what each other process charged in the
last tenth of a second, but no more than a tenth of the budget.

A Redis that is away, or came back empty, gives nobody a new budget from this process: a total is
never less than what the process has charged itself.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from cache import BoundedCache
from db import redis

_EVERY_SECONDS: Final = 0.1
_MOST_KEYS: Final = 50_000


class _Count:
    """`shared`: the total in Redis, as far as is known. `own`: what this process has charged."""

    __slots__ = ("own", "shared", "unsent")

    def __init__(self) -> None:
        self.own = 0
        self.shared = 0
        self.unsent = 0

    @property
    def total(self) -> int:
        """At least that much was charged."""
        return max(self.shared + self.unsent, self.own)


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
        """The new total."""
        count = self._counts.get(key)
        known = count is not None
        if count is None:
            count = self._counts[key] = _Count()
        count.own += points
        count.unsent += points
        # While Redis is away nothing is sent: later, with what is charged then.
        if not self._availability.away:
            if not known or points < 0 or count.total > self._exact_from:
                await self._try_to_send({key: count})
            elif points:
                self._send_soon(key, count)
        return count.total

    def _send_soon(self, key: str, count: _Count) -> None:
        self._unsent[key] = count
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send(), name="send charges")

    async def _send(self) -> None:
        while self._unsent:
            await asyncio.sleep(_EVERY_SECONDS)
            counts, self._unsent = self._unsent, {}
            await self._try_to_send(counts)

    async def _try_to_send(self, counts: dict[str, _Count]) -> None:
        try:
            await self._sent(counts)
        except redis.failures() as error:
            self._availability.failed(error)

    async def _sent(self, counts: dict[str, _Count]) -> None:
        """Send what is not sent of these counts, and note their totals."""
        pipeline = self._client.pipeline(transaction=False)
        for key, count in counts.items():
            pipeline.incrby(self._prefix + key, count.unsent)
            pipeline.expire(self._prefix + key, self._seconds)
            # Whatever becomes of it: sent twice would be charged twice.
            count.shared += count.unsent
            count.unsent = 0
        answers = await pipeline.execute()
        for count, shared in zip(counts.values(), answers[::2], strict=True):
            count.shared = shared

    async def close(self) -> None:
        """Send nothing more."""
        if self._sending is not None:
            while not self._sending.done():
                # Repeatedly: redis-py swallows a cancellation that arrives while it connects.
                self._sending.cancel()
                await asyncio.wait([self._sending], timeout=0.1)
