"""What the engine lets others know of the operation that it runs."""

from __future__ import annotations

from typing import Any

from graph.engine.explain import Explanation
from graph.engine.plan import PlanColumns


class EngineState:
    """One an operation, by `Context.of`."""

    def __init__(self, _: Any) -> None:
        # How many fields run beside each other now; 0 if the engine does not run the operation.
        self.branches = 0
        # What is read for an operation that is serialized.
        self.columns: PlanColumns | None = None
        # Notes what the run does, if the client asked for it.
        self.explanation: Explanation | None = None
