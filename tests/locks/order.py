"""Finds the pairs of transactions that could wait for each other, from the locks that they take.

Two transactions deadlock if one holds A and asks for B while the other holds B and asks for A, in
modes that conflict. So it is enough to know each transaction's own order: no two have to run at the
same time. What counts is not which rows they were but of which tables, and within a table whether
the keys ascend, since other data bring other rows together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement

from tests.locks.recorder import (
    ADVISORY,
    KEY_SHARE,
    NO_KEY_UPDATE,
    SHARE,
    UPDATE,
    Taken,
    Trace,
)

_CONFLICTS = {
    KEY_SHARE: {UPDATE},
    SHARE: {NO_KEY_UPDATE, UPDATE},
    NO_KEY_UPDATE: {SHARE, NO_KEY_UPDATE, UPDATE},
    UPDATE: {KEY_SHARE, SHARE, NO_KEY_UPDATE, UPDATE},
}
_NAMES = {KEY_SHARE: "key share", SHARE: "share", NO_KEY_UPDATE: "change", UPDATE: "update"}


@dataclass(frozen=True, slots=True)
class Step:
    """A transaction that holds one row and asks for another. `held`: the first one, and what it
    took before that.
    """

    operation: str
    first: Taken
    second: Taken
    before: frozenset[Taken]

    def __str__(self) -> str:
        return f"{self.operation}: {_said(self.first)}, then {_said(self.second)}"


def inversions(traces: Iterable[Trace]) -> Mapping[str, str]:
    """The pairs that could deadlock, one example of each: by the tables and modes."""
    steps: dict[tuple[object, ...], Step] = {}
    for trace in traces:
        for transaction in trace.transactions:
            for step in _steps(trace.name, transaction):
                steps.setdefault((_kind(step), step.before), step)
    found: dict[str, str] = {}
    for one, other in combinations_with_replacement(steps.values(), 2):
        if _can_deadlock(one, other):
            name = " / ".join(sorted((_kind(one), _kind(other))))
            found.setdefault(name, f"{one}\n    {other}")
    return found


def _steps(operation: str, transaction: list[Taken]) -> Iterator[Step]:
    for index, second in enumerate(transaction):
        for place, first in enumerate(transaction[:index]):
            yield Step(operation, first, second, frozenset(transaction[:place]))


def _kind(step: Step) -> str:
    first, second = step.first, step.second
    order = ""
    if first.row.table == second.row.table:
        same = first.row.key == second.row.key
        order = " (the same)" if same else " up" if first.row.key < second.row.key else " down"
    return (
        f"{first.row.table} {_NAMES[first.mode]} > {second.row.table} {_NAMES[second.mode]}{order}"
    )


def _can_deadlock(one: Step, other: Step) -> bool:
    """Whether each may hold what the other one asks for."""
    a, b, c, d = one.first, one.second, other.first, other.second
    if (_class(a), _class(b)) != (_class(d), _class(c)):
        return False
    if not (_conflict(a, d) and _conflict(b, c)):
        return False
    if _class(a) == _class(b):
        if (a.row == b.row) != (c.row == d.row):
            return False
        # Of one row both hold something, and both ask for more. Two rows are met in two orders.
        if a.row == b.row:
            return not _conflict(a, c)
        if (a.row.key < b.row.key) == (c.row.key < d.row.key):
            return False
    # Each holds nothing that keeps the other one from getting so far.
    return not (
        any(x.row == y.row and _conflict(x, y) for x in one.before for y in other.before)
        or _keeps_away(one, other)
        or _keeps_away(other, one)
    )


def _class(taken: Taken) -> object:
    """What stands for all rows of a table; advisory locks have names of their own."""
    return taken.row if taken.row.table == ADVISORY else taken.row.table


def _keeps_away(one: Step, other: Step) -> bool:
    """Whether `one` already holds, in another mode, the row that it asks for and `other` holds."""
    return any(
        mine.row == one.second.row and _conflict(mine, other.first)
        for mine in {*one.before, one.first}
    )


def _conflict(one: Taken, other: Taken) -> bool:
    return other.mode in _CONFLICTS[one.mode]


def _said(taken: Taken) -> str:
    return f"{taken.row.table} {taken.row.key[:13]} ({_NAMES[taken.mode]})"
