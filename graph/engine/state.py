"""The engine's state of a running operation, as other layers see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graph.engine.explain import Explanation
from graph.engine.plan import PlanColumns


class EngineState:
    """One per operation; `Context.of` returns it."""

    def __init__(self, _: Any) -> None:
        # How many fields run concurrently now; 0 if the engine does not run the operation.
        self.branches = 0
        # What is read for an operation that is serialized.
        self.columns: PlanColumns | None = None
        # Notes what the run does, if the client asked for it.
        self.explanation: Explanation | None = None

    @contextmanager
    def branching(self, count: int) -> Iterator[None]:
        """While one field reads for many of its parents at once, each counts as a branch."""
        self.branches += count - 1
        try:
            yield
        finally:
            self.branches -= count - 1
