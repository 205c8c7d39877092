"""What the engine lets others know of the operation that it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graph.engine.plan import FieldPlan, PlanColumns

# Told of each plan field, once for all objects of its place: the field, how many objects there
# were, and the seconds that having their values took, those of fields below not among them.
Observer = Callable[[FieldPlan, int, float], None]


class EngineState:
    """One an operation, by `Context.of`."""

    def __init__(self, _: Any) -> None:
        # How many fields run beside each other now; 0 if the engine does not run the operation.
        self.branches = 0
        # What is read for an operation that is serialized.
        self.columns: PlanColumns | None = None
        self.observe: Observer | None = None
