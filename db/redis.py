"""Connects to Redis.

The library takes 17 MiB of memory, so it is loaded only if Redis is used.
"""

from __future__ import annotations

import sys
from typing import Any


def connect(url: str, **options: Any) -> Any:
    """A client, `redis.asyncio.Redis`; it connects on first use."""
    from redis.asyncio import Redis

    return Redis.from_url(url, **options)


def failures() -> tuple[type[Exception], ...]:
    """The exceptions that a client raises if Redis is unavailable: for `except`."""
    library = sys.modules.get("redis.exceptions")
    return (OSError,) if library is None else (library.RedisError, OSError)
