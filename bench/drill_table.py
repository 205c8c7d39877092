"""The table of the failure drill (`bench.drill`): what was acknowledged, beside what is stored."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import asyncpg

# The longest recovery that is not a failure.
MOST_SECONDS: Final = 15.0


@dataclass(slots=True)
class Ledger:
    """What clients received, with the time of each answer."""

    # Titles of created tasks, and the latest acknowledged title of each renamed task.
    created: dict[str, float] = field(default_factory=dict)
    renamed: dict[str, tuple[int, float]] = field(default_factory=dict)
    failures: list[tuple[float, str]] = field(default_factory=list)
    # For each acknowledged change: when it was sent, and when it was answered.
    times: list[tuple[float, float]] = field(default_factory=list)

    def failed(self, code: str) -> None:
        """Note an answer with an error, or none."""
        self.failures.append((time.time(), code))


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done, from when, and when it was over."""

    name: str
    begin: float
    end: float


@dataclass(slots=True)
class Stored:
    """What the database has in the end; `stuck`: connections left in a transaction."""

    titles: Counter[str]
    renamed: dict[str, int]
    # When each event was written.
    events: dict[str, float]
    stuck: int


async def stored_in(dsn: str) -> Stored:
    """Read it."""
    database = await asyncpg.connect(dsn)
    try:
        return Stored(
            Counter({row["title"]: row["n"] for row in await database.fetch(_TITLES, "client %")}),
            {f"task_{row['id'].hex}": int(row["title"]) for row in await database.fetch(_RENAMED)},
            {
                f"event_{row['id'].hex}": row["at"].timestamp()
                for row in await database.fetch(_EVENTS)
            },
            await database.fetchval(_STUCK),
        )
    finally:
        await database.close()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row of the table."""

    name: str
    acknowledged: int
    lost: int
    doubled: int
    events: int
    missed: int
    twice: int
    gap: float
    recovery: float
    errors: Counter[str]

    @property
    def bad(self) -> bool:
        """Whether a promise was broken."""
        return bool(
            self.lost or self.doubled or self.missed or self.twice or self.recovery > MOST_SECONDS
        )

    def cells(self) -> list[str]:
        """As the table shows it."""
        once = "all" if not self.missed + self.twice else f"{self.missed} lost, {self.twice} twice"
        errors = ", ".join(f"{count} {code}" for code, count in sorted(self.errors.items()))
        return [
            self.name,
            f"{self.acknowledged:,}",
            str(self.lost),
            str(self.doubled),
            f"{once} of {self.events:,}",
            f"{self.gap:.1f} s",
            "-" if self.name == "none" else f"{self.recovery:.1f} s",
            errors or "none",
        ]


def outcome_of(
    ledger: Ledger, heard_ids: list[list[str]], stored: Stored, fault: Fault, until: float
) -> Outcome:
    """What came of a fault, up to the next one. `heard_ids`: what each subscriber received."""

    def here(at: float) -> bool:
        return fault.begin <= at < until

    answered = sorted(at for _, at in ledger.times if here(at))
    later = [at for sent, at in ledger.times if sent >= fault.end]
    edges = [fault.begin, *answered, until]
    created = [title for title, at in ledger.created.items() if here(at)]
    events = {id_ for id_, at in stored.events.items() if here(at)}
    heard = [Counter(ids) for ids in heard_ids]
    return Outcome(
        fault.name,
        len(answered),
        sum(not stored.titles[title] for title in created)
        + sum(
            stored.renamed.get(task, -1) < number
            for task, (number, at) in ledger.renamed.items()
            if here(at)
        ),
        sum(stored.titles[title] > 1 for title in created),
        len(events),
        sum(not ids[event] for ids in heard for event in events),
        sum(ids[event] > 1 for ids in heard for event in events),
        max(after - before for before, after in itertools.pairwise(edges)),
        min(later) - fault.end if later else float("inf"),
        Counter(code for at, code in ledger.failures if here(at)),
    )


TEXT: Final = """# Failure drills

Written by `python -m bench.drill` on {day}: four web processes, two workers, {flight} requests in
flight for {seconds:.0f} s, {subscribers} subscribers, on {processors} processors; the load of the
machine was {load:.1f}. The columns are explained in `bench/drill.py`; *events* says which of them
each subscriber received exactly once.

| fault | acknowledged | lost | doubled | events | longest gap | recovery | errors |
|---|---:|---:|---:|---|---:|---:|---|
{rows}

Connections left in a transaction: {stuck}.
"""
_TITLES: Final = "SELECT title, count(*) AS n FROM tasks WHERE title LIKE $1 GROUP BY title"
_RENAMED: Final = "SELECT id, title FROM tasks WHERE title ~ '^[0-9]+$'"
_EVENTS: Final = "SELECT id, at FROM events WHERE subject_type = 'Task'"
_STUCK: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    " AND now() - state_change > interval '1 second'"
)
