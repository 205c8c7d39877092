"""The door to Redis.

Its library takes 17 MiB of memory, so it is loaded where Redis is used and nowhere else.
"""

from __future__ import annotations

import sys
from typing import Any


def connect(url: str, **options: Any) -> Any:
    """A client, `redis.asyncio.Redis`; it connects when it is first used."""
    from redis.asyncio import Redis

    return Redis.from_url(url, **options)


def failures() -> tuple[type[Exception], ...]:
    """What to expect of a client when Redis is away: for `except`."""
    library = sys.modules.get("redis.exceptions")
    return (OSError,) if library is None else (library.RedisError, OSError)
