"""The executor of a process, as its settings say."""

from __future__ import annotations

from functools import partial
from typing import Any

from strawberry import Schema

import graph.engine
from graph.engine.tracing import trace_fields
from graph.request.execution import Executor
from graph.request.tracing import TracedExecutor
from settings import Settings


def make_executor(schema: Schema, settings: Settings, **options: Any) -> Executor:
    """With the engine of the settings, and with spans if traces are exported. `options`: others of
    `Executor`.
    """
    kind = (
        partial(TracedExecutor, trace_fields=trace_fields)
        if settings.telemetry.traces
        else Executor
    )
    return kind(
        schema,
        engine=partial(graph.engine.execute, standard=settings.graphql.engine == "standard"),
        operation_seconds=settings.graphql.operation_seconds,
        **options,
    )
