"""Counters within one process; memory is bounded even if every request comes from a different
address.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from cache import BoundedCache

# Further keys push out the least recently used.
_MOST_KEYS: Final = 50_000


class Window(NamedTuple):
    """What is counted: at most `most` events of one key within any `seconds`."""

    name: str
    key: str
    most: int
    seconds: int


class ProcessCounts:
    """Counters that end with the process. All times are seconds since the epoch."""

    def __init__(self) -> None:
        # The count, and when it ends.
        self._counts = BoundedCache[str, tuple[int, float]](_MOST_KEYS)
        # The times of the counted events, newest on the left.
        self._moments = BoundedCache[Window, deque[float]](_MOST_KEYS)

    def add(self, key: str, expiry: int, amount: int, now: float) -> int:
        """Add to a count, or start a new one if it has ended. Returns the new count."""
        count, end = self._counts.get(key, (0, 0.0))
        if end <= now:
            count, end = 0, now + expiry
        self._counts[key] = (count + amount, end)
        return count + amount

    def full_until(self, window: Window, amount: int, now: float) -> float | None:
        """When the first of the events that fill a window leaves it; None if there is room."""
        moments = self._within(window, now)
        if len(moments) + amount <= window.most:
            return None
        return (moments[-1] if moments else now) + window.seconds

    def take(self, window: Window, amount: int, now: float) -> float | None:
        """Count events if all of them fit; the same answer."""
        full_until = self.full_until(window, amount, now)
        if full_until is None:
            moments = self._moments.get(window)
            if moments is None:
                moments = self._moments[window] = deque()
            moments.extendleft([now] * amount)
        return full_until

    def _within(self, window: Window, now: float) -> deque[float]:
        moments = self._moments.get(window)
        if moments is None:
            return deque()
        while moments and moments[-1] <= now - window.seconds:
            moments.pop()
        return moments
