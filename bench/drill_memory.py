"""The memory of the servers over time, for the soak of the failure drill."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Final

from bench.measure import resident_mib

MOST_PERCENT: Final = 10.0
"""A process grows by at most so much from the second fifth of the run to the last."""

_EVERY_SECONDS: Final = 10.0


class Memory:
    """Resident memory by process; `processes` are those that run now."""

    def __init__(self, processes: Callable[[], Iterable[int]]) -> None:
        self._processes = processes
        self._begun = time.monotonic()
        # By process: the seconds since the begin, and MiB.
        self._seen: dict[int, list[tuple[float, float]]] = {}

    async def watch(self) -> None:
        """Look every ten seconds, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_EVERY_SECONDS)

    def look(self) -> None:
        """Note what each process has now."""
        at = time.monotonic() - self._begun
        for pid in self._processes():
            # It may have been killed in the meantime.
            with contextlib.suppress(OSError, KeyError):
                self._seen.setdefault(pid, []).append((at, resident_mib(pid)))

    def report(self) -> bool:
        """Print it by process and fifth of the time; returns whether those that ran throughout
        stayed flat.
        """
        end = time.monotonic() - self._begun
        flat, whole = True, 0
        print(f"Memory in MiB, in fifths of {end / 60:.1f} minutes")
        for pid, seen in self._seen.items():
            fifths: list[list[float]] = [[] for _ in range(5)]
            for at, mib in seen:
                fifths[min(int(5 * at / end), 4)].append(mib)
            cells = [f"{statistics.mean(one):8.1f}" if one else f"{'-':>8}" for one in fifths]
            line = f"  process {pid:<8}{''.join(cells)}"
            if all(fifths):
                whole += 1
                more = 100 * (statistics.mean(fifths[4]) / statistics.mean(fifths[1]) - 1)
                met = more <= MOST_PERCENT
                flat &= met
                line += f" {more:+6.1f} % (at most {MOST_PERCENT:g}: {'met' if met else 'missed'})"
            print(line)
        return flat and whole > 0
