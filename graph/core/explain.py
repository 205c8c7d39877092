"""What happened below the field that runs now, for `graph.engine.explain`.

The field is found by a context variable, which tasks inherit; so nobody hands anything on, and
outside of an operation that is explained every call is one look at that variable.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class FieldRun:
    """All runs of one field of an operation's plan."""

    # How many objects each run was for.
    batches: list[int] = field(default_factory=list)
    seconds: float = 0.0
    # The texts of the statements, in order.
    statements: list[str] = field(default_factory=list)
    # Which rows were looked at for a list, and why; see `graph.core.access_paths`.
    access_path: dict[str, Any] | None = None
    # Whether PostgreSQL wrote the field as JSON, with the object that it belongs to.
    serialized: bool = False


RUNNING: ContextVar[FieldRun | None] = ContextVar("explained field", default=None)


def note_access_path(path: str, why: str) -> None:
    """Say by which access path the running field reads a list."""
    running = RUNNING.get()
    if running is not None:
        running.access_path = {"path": path, "why": why}
