"""Connects to Redis.

The library takes 17 MiB of memory, so it is loaded only if Redis is used.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any, Final

log = logging.getLogger("taskloom.redis")

_AGAIN_SECONDS: Final = 0.5
# While it answers but refuses, such as a Redis that is full.
_LONGEST_SECONDS: Final = 30.0


def connect(url: str, **options: Any) -> Any:
    """A client, `redis.asyncio.Redis`; it connects on first use."""
    from redis.asyncio import Redis

    return Redis.from_url(url, **options)


def failures() -> tuple[type[Exception], ...]:
    """The exceptions that a client raises if Redis is unavailable: for `except`."""
    library = sys.modules.get("redis.exceptions")
    return (OSError,) if library is None else (library.RedisError, OSError)


def refuses(error: Exception) -> bool:
    """Whether Redis has answered that it does not do this: it is full (`maxmemory`), a replica, or
    its user lacks the right.
    """
    library = sys.modules.get("redis.exceptions")
    return library is not None and isinstance(error, library.ResponseError)


class Availability:
    """Whether Redis answers, as far as is known.

    A Redis that is frozen lets everyone who asks it wait for the timeout. So after a failure nobody
    asks it, except a task of this class, until it answers again. One that refuses would answer that
    task, so the pause grows each time.
    """

    def __init__(self, client: Any, without: str) -> None:
        """`without`: what is done without Redis, for the log."""
        self.away = False
        self._pause = _AGAIN_SECONDS
        self._client = client
        self._without = without
        self._asking: asyncio.Task[None] | None = None

    def failed(self, error: Exception) -> None:
        """Ask it no longer."""
        if self.away:
            return
        log.warning("%s because Redis is not available: %s", self._without, error)
        self._pause = min(2 * self._pause, _LONGEST_SECONDS) if refuses(error) else _AGAIN_SECONDS
        self.away = True
        self._asking = asyncio.create_task(self._ask(), name="ask Redis")

    async def _ask(self) -> None:
        while self.away:
            await asyncio.sleep(self._pause)
            try:
                await self._client.ping()
            except failures():
                self._pause = _AGAIN_SECONDS
                continue
            self.away = False

    async def close(self) -> None:
        """Ask it no longer at all."""
        if self._asking is not None:
            self.away = False
            while not self._asking.done():
                # Repeatedly: redis-py swallows a cancellation that arrives while it connects.
                self._asking.cancel()
                await asyncio.wait([self._asking], timeout=0.1)
