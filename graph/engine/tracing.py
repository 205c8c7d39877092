"""A span for each field that the batch engine fetches, and level of the plan.

One for all objects of the level: `Project.tasks` of 20 projects is one span. Fields that only read
a column have none, and neither have those that PostgreSQL serializes with their objects. The
statements of a field are below its span.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graph.core.context import Context
from graph.engine.explain import Explanation
from graph.engine.plan import FieldPlan
from graph.engine.state import EngineState
from telemetry import spans


class FieldSpans(Explanation):
    """Makes spans where an `Explanation` takes notes."""

    @contextmanager
    def field(self, field: FieldPlan, objects: int) -> Iterator[None]:
        """One run of a field."""
        if not field.source.waits:
            yield
            return
        attributes: dict[str, Any] = {
            "graphql.field.name": field.name,
            "graphql.field.parent_type": field.parent_type.name,
            "taskloom.objects": objects,
        }
        with spans.span(field.place, "internal", attributes):
            yield

    def covered(self, field: FieldPlan, objects: int) -> None:
        """A field that came as JSON with its objects."""


def trace_fields(context: Context) -> None:
    """Make spans for the fields of this operation, which is recorded."""
    context.of(EngineState).explanation = FieldSpans()
