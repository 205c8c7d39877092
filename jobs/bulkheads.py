"""Keep slow receivers from occupying the whole worker, and from being asked again and again.

A receiver that hangs would hold a slot of the worker for as long as it may take to answer; a few
events at once would hold all slots, while mails wait. So there are bulkheads: limits on the
requests at one time to one destination and to all destinations of one kind; and all kinds together
leave two slots of the worker free. A request that is not admitted gets an appointment. Appointments
are as far apart as requests have lately taken, so that a thousand waiting deliveries ask about once
each, and not a thousand times a second.

A destination that hangs several times in a row is left alone for a while (its *circuit* is open).
Then one request tries it, and the others follow if it answers in time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

EACH = 4
"""Requests at once to one destination."""
HANGS_AFTER = 5.0
"""Seconds from which an answer counts as late."""
OPENS_AFTER = 3
"""So many late answers running open a circuit."""

_LEAST_WAIT = 0.2
_LONGEST_WAIT = 300.0
_FIRST_BREAK = 30.0
_LONGEST_BREAK = 600.0
_FORGET_AFTER = 600.0

Key = tuple[str, str]
"""A kind of work, and a destination of this kind."""


@dataclass(slots=True)
class _Destination:
    apart: bool = False
    # When each running request began.
    running: list[float] = field(default_factory=list)
    # How long recent requests took, in seconds.
    duration: float = 0.1
    # The latest appointment given.
    booked: float = 0.0
    late: int = 0
    open_until: float = 0.0
    pause: float = _FIRST_BREAK

    @property
    def is_broken(self) -> bool:
        return self.late >= OPENS_AFTER


class Bulkheads:
    """One per worker. `places`: the worker's slots; `hangs_after`: see the constant."""

    def __init__(
        self,
        places: int,
        *,
        each: int = EACH,
        hangs_after: float = HANGS_AFTER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._altogether = max(1, places - 2)
        self._each_kind = max(1, places // 2)
        self._each = each
        self._hangs_after = hangs_after
        self._clock = clock
        self._known: dict[Key, _Destination] = {}

    def enter(self, key: Key, *, apart: bool = False, by_kind: bool = False) -> float | None:
        """Admit a request (None; `leave` must follow), or return the seconds to wait before asking
        again.

        `apart`: its kind has slots of its own, beside those that all others share. `by_kind`: its
        kind has only this destination, so the bulkhead of the kind is enough.
        """
        found = self._known.setdefault(key, _Destination())
        now = self._clock()
        if now < found.open_until:
            return self._appointment(found, found.open_until, now)
        each = 1 if found.is_broken else self._each_kind if by_kind else self._each
        if len(found.running) < each and (apart or self._has_room(key[0])):
            found.apart = apart
            found.running.append(now)
            return None
        return self._appointment(found, now + _LEAST_WAIT, now)

    def _has_room(self, kind: str) -> bool:
        running = {key: len(one.running) for key, one in self._known.items() if not one.apart}
        of_kind = sum(count for key, count in running.items() if key[0] == kind)
        return of_kind < self._each_kind and sum(running.values()) < self._altogether

    def _appointment(self, found: _Destination, earliest: float, now: float) -> float:
        start = max(found.booked, earliest)
        # One that hangs is known to be slow before its first answer arrives.
        taken = max(found.duration, now - min(found.running, default=now))
        found.booked = start + taken / self._each
        return min(start - now, _LONGEST_WAIT)

    def leave(self, key: Key, seconds: float, *, late: bool | None = None) -> None:
        """Note the end of an admitted request, after this many seconds.

        `late`: whether the destination hung; derived from the time unless given.
        """
        found = self._known[key]
        now = self._clock()
        found.running.pop(0)
        found.duration = 0.7 * found.duration + 0.3 * seconds
        if late or (late is None and seconds >= self._hangs_after):
            found.late += 1
            if found.is_broken:
                found.open_until = now + found.pause
                found.pause = min(2 * found.pause, _LONGEST_BREAK)
        else:
            if found.is_broken:
                # It answers again: requests that wait need not keep their appointments.
                found.booked, found.duration = now, seconds
            found.late, found.pause = 0, _FIRST_BREAK
        if len(self._known) > 1_000:
            self._known = {
                known: one
                for known, one in self._known.items()
                if one.running or max(one.booked, one.open_until) > now - _FORGET_AFTER
            }

    def open_circuits(self) -> dict[str, int]:
        """The number of open circuits, by kind."""
        now = self._clock()
        return dict(Counter(kind for (kind, _), one in self._known.items() if one.open_until > now))
