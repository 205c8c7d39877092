"""Counters of one process, for the `limits` library.

The library brings a store of its own for this. Ours looks at the clock that it is given, which
tests need, and forgets by itself: the library's begins a walk over everything that it holds, with
a change of threads for each key, whenever anything is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from limits.aio.storage import MovingWindowSupport, Storage

from cache import BoundedCache

# Keys beyond this number push out those that were not used for the longest; memory stays bounded
# even if every request comes from another address.
_MOST_KEYS = 50_000


class ProcessStorage(Storage, MovingWindowSupport):
    """Counts that end with the process. `now` gives seconds since the epoch."""

    STORAGE_SCHEME = ["taskloom+process"]  # noqa: RUF012 - as the library declares it

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now
        # The count, and when it ends.
        self._counts = BoundedCache[str, tuple[int, float]](_MOST_KEYS)
        # The moments of what was counted, the newest at the left.
        self._moments = BoundedCache[str, deque[float]](_MOST_KEYS)

    @property
    def base_exceptions(self) -> type[Exception]:
        """A dictionary does not fail."""
        return ValueError

    # --- fixed windows ---------------------------------------------------------------------------

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a count, which begins anew where it has ended; what it is then."""
        return self.add(key, expiry, amount, self._now())

    def add(self, key: str, expiry: int, amount: int, now: float) -> int:
        """`incr`, for those who know what time it is and that there is nothing to wait for."""
        count, end = self._counts.get(key, (0, 0.0))
        if end <= now:
            count, end = 0, now + expiry
        self._counts[key] = (count + amount, end)
        return count + amount

    async def get(self, key: str) -> int:
        """The count, 0 where there is none."""
        count, end = self._counts.get(key, (0, 0.0))
        return count if end > self._now() else 0

    async def get_expiry(self, key: str) -> float:
        """When the count ends."""
        return self._counts.get(key, (0, self._now()))[1]

    # --- moving windows --------------------------------------------------------------------------

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count so many more, if there is room for all of them within the last `expiry` seconds."""
        now = self._now()
        moments = self._within(key, now - expiry)
        if len(moments) + amount > limit:
            return False
        if not moments:
            self._moments[key] = moments
        moments.extendleft([now] * amount)
        return True

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest that still counts was counted, and how many there are."""
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
        """Whether it works."""
        return True

    async def reset(self) -> int | None:
        """Forget everything; how many keys there were."""
        known = len(self._counts) + len(self._moments)
        self._counts.clear()
        self._moments.clear()
        return known

    async def clear(self, key: str) -> None:
        """Forget one key."""
        self._counts.pop(key)
        self._moments.pop(key)
