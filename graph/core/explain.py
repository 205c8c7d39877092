"""What the running field did, for `graph.engine.explain`.

The field is in a context variable, which tasks inherit, so no function has to pass it on. If the
operation is not explained, a note costs one look at that variable.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class FieldRun:
    """All runs of one field of an operation's plan."""

    # The number of objects of each run.
    batches: list[int] = field(default_factory=list)
    seconds: float = 0.0
    # The texts of the statements, in order.
    statements: list[str] = field(default_factory=list)
    # How a list at the root found its rows, and why; see `graph.core.access_paths`.
    access_path: dict[str, Any] | None = None
    # Whether PostgreSQL serialized the field, together with its object.
    serialized: bool = False


RUNNING: ContextVar[FieldRun | None] = ContextVar("explained field", default=None)


def note_access_path(path: str, why: str) -> None:
    """Note the access path by which the running field reads a list."""
    running = RUNNING.get()
    if running is not None:
        running.access_path = {"path": path, "why": why}
