"""Keeps one slow receiver from taking up the whole worker.

A receiver that hangs would hold a place of the worker for as long as it may take to answer, and
with some events at once all places, while mails wait. So only a few requests go to one receiver at
a time, and to all of them together no more than half of what the worker does. Whoever is not let in
is told when to come again. These appointments lie as far apart as requests have lately taken, so
that a thousand waiting deliveries ask about once each, and not a thousand times a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

EACH = 4
_LEAST_WAIT = 0.2
_FORGET_AFTER = 600.0


@dataclass(slots=True)
class _Receiver:
    running: int = 0
    # What a request took lately, in seconds.
    duration: float = 0.1
    # The latest appointment that was given.
    booked: float = 0.0


class Gate:
    """One a worker. `altogether`: requests at once to all receivers."""

    def __init__(
        self, altogether: int, *, each: int = EACH, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._altogether = altogether
        self._each = each
        self._clock = clock
        self._running = 0
        self._receivers: dict[Hashable, _Receiver] = {}

    def enter(self, key: Hashable) -> float | None:
        """Let a request in (None, and `leave` must follow), or the seconds after which to ask."""
        receiver = self._receivers.setdefault(key, _Receiver())
        if receiver.running < self._each and self._running < self._altogether:
            receiver.running += 1
            self._running += 1
            return None
        now = self._clock()
        start = max(receiver.booked, now + _LEAST_WAIT)
        receiver.booked = start + receiver.duration / self._each
        return start - now

    def leave(self, key: Hashable, seconds: float) -> None:
        """A request that was let in is over, after so many seconds."""
        receiver = self._receivers[key]
        receiver.running -= 1
        self._running -= 1
        receiver.duration = 0.7 * receiver.duration + 0.3 * seconds
        if len(self._receivers) > 1_000:
            now = self._clock()
            self._receivers = {
                known: one
                for known, one in self._receivers.items()
                if one.running or one.booked > now - _FORGET_AFTER
            }
