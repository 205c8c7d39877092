"""The kernel's figures for a process: processor time and memory. Linux only."""

from __future__ import annotations

import os
import time
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """Processor time of a process in user and kernel mode, with all threads, ended ones included.

    The same as `utime + stime` of /proc/PID/stat, but from the process's clock, which counts
    nanoseconds instead of hundredths of a second (see clock_getcpuclockid(3)).
    """
    return time.clock_gettime((~pid << 3) | 2)


def children(pid: int) -> list[int]:
    """The running child processes of a process."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in found.split()]


def cpu_seconds_of_all(parent: int) -> dict[int, float]:
    """Processor time of a process and its children, by process."""
    times = {}
    for pid in [parent, *children(parent)]:
        try:
            times[pid] = cpu_seconds(pid)
        except OSError:
            continue  # It has ended in the meantime.
    return times


def tree_seconds(parent: int, *, without: int | None = None) -> float:
    """Processor time of a process and its children, those included that have ended. Children that
    it waited for are counted in hundredths of a second. `without`: a child that is left out.
    """
    seconds = sum(cpu_seconds_of_all(parent).values())
    fields = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()
    ended = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    return seconds + ended - (0.0 if without is None else cpu_seconds(without))


def spent(before: dict[int, float], after: dict[int, float]) -> float:
    """The time spent between two readings, by processes alive at both or started in between."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def resident_mib(pid: int) -> float:
    """The resident memory of a process (VmRSS)."""
    return _memory(pid)["VmRSS"]


def tree_mib(parent: int) -> float:
    """The memory that a process and its children take together, as a container counts it: each
    one's own, and files that they have mapped (the interpreter and its libraries) once.
    """
    each = [_memory(pid) for pid in [parent, *children(parent)]]
    return sum(memory["RssAnon"] for memory in each) + max(memory["RssFile"] for memory in each)


def _memory(pid: int) -> dict[str, float]:
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {words[0][:-1]: int(words[1]) / 1024 for words in lines if words[-1] == "kB"}
