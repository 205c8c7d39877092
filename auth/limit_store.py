"""Counters within one process, for the `limits` library.

The library has an in-memory store of its own. This one uses the clock that it is given, which tests
need, and expires keys itself: the library's store scans all its keys, with a thread switch for
each, whenever anything is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from limits.aio.storage import MovingWindowSupport, Storage

from cache import BoundedCache

# Further keys push out the least recently used; memory stays bounded even if every request comes
# from a different address.
_MOST_KEYS = 50_000


class ProcessStorage(Storage, MovingWindowSupport):
    """Counters that end with the process. `now` returns seconds since the epoch."""

    STORAGE_SCHEME = ["taskloom+process"]  # noqa: RUF012 - as the library declares it

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now
        # The count, and when it ends.
        self._counts = BoundedCache[str, tuple[int, float]](_MOST_KEYS)
        # The times of the counted events, newest on the left.
        self._moments = BoundedCache[str, deque[float]](_MOST_KEYS)

    @property
    def base_exceptions(self) -> type[Exception]:
        """A dictionary does not fail."""
        return ValueError

    # --- fixed windows ---------------------------------------------------------------------------

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a count, or start a new one if it has ended. Returns the new count."""
        return self.add(key, expiry, amount, self._now())

    def add(self, key: str, expiry: int, amount: int, now: float) -> int:
        """Synchronous `incr` for callers that know the time."""
        count, end = self._counts.get(key, (0, 0.0))
        if end <= now:
            count, end = 0, now + expiry
        self._counts[key] = (count + amount, end)
        return count + amount

    async def get(self, key: str) -> int:
        """The count; 0 if there is none."""
        count, end = self._counts.get(key, (0, 0.0))
        return count if end > self._now() else 0

    async def get_expiry(self, key: str) -> float:
        """When the count ends."""
        return self._counts.get(key, (0, self._now()))[1]

    # --- moving windows --------------------------------------------------------------------------

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` events if all of them fit into the last `expiry` seconds."""
        now = self._now()
        moments = self._within(key, now - expiry)
        if len(moments) + amount > limit:
            return False
        if not moments:
            self._moments[key] = moments
        moments.extendleft([now] * amount)
        return True

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """The time of the oldest event that counts, and how many count."""
        now = self._now()
        moments = self._within(key, now - expiry)
        return (moments[-1] if moments else now), len(moments)

    def _within(self, key: str, since: float) -> deque[float]:
        moments = self._moments.get(key)
        if moments is None:
            return deque()
        while moments and moments[-1] <= since:
            moments.pop()
        return moments

    # --- the rest of the interface ---------------------------------------------------------------

    async def check(self) -> bool:
        """Whether the store works."""
        return True

    async def reset(self) -> int | None:
        """Drop all keys. Returns how many there were."""
        known = len(self._counts) + len(self._moments)
        self._counts.clear()
        self._moments.clear()
        return known

    async def clear(self, key: str) -> None:
        """Drop one key."""
        self._counts.pop(key)
        self._moments.pop(key)
