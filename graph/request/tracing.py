"""Spans of operations, as OpenTelemetry's semantic conventions for GraphQL name them.

A span has the operation's type and name. It has no `graphql.document`, which may contain literals:
the line in the log has the document's hash, beside the trace's ID.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

from auth.viewer import Viewer
from errors import SERVER_FAULTS
from graph.core.context import Context
from graph.request.answer import Answer
from graph.request.execution import Executor
from graph.request.preparation import Prepared
from telemetry import spans

# A name has no limit of its own.
_MOST_CHARACTERS: Final = 100


class TracedExecutor(Executor):
    """An `Executor` that makes a span for each operation and for each delivery. `trace_fields` is
    called before an operation that is recorded.
    """

    def __init__(self, *args: Any, trace_fields: Callable[[Context], None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._trace_fields = trace_fields

    async def subscribe(
        self, prepared: Prepared, context: Context, current: Callable[[], Awaitable[Viewer]]
    ) -> AsyncGenerator[Answer, None]:
        """The span of a subscription ends when it is open; each delivery has its own."""
        with spans.span(*_described(prepared)):
            deliveries = await super().subscribe(prepared, context, current)
        spans.finish()
        return deliveries

    async def _run_all(
        self, prepared: Prepared, context: Context, events: Sequence[Any], *, serialized: bool
    ) -> list[Answer]:
        """Deliver: in the trace of the request that made the first event."""
        traces = [trace for event in events if (trace := getattr(event, "trace", None))]
        with spans.continued(
            "delivery",
            "consumer",
            traces[0] if traces else None,
            {"messaging.batch.message_count": len(events)},
            traces[1:],
        ):
            return await super()._run_all(prepared, context, events, serialized=serialized)

    def _run(
        self, prepared: Prepared, context: Context, *, root_value: Any, serialized: bool = True
    ) -> Coroutine[Any, Any, Answer]:
        run = partial(super()._run, prepared, context, root_value=root_value, serialized=serialized)
        # What is not recorded runs without another coroutine around it.
        return run() if spans.current() is None else self._recorded(prepared, context, run)

    async def _recorded(
        self, prepared: Prepared, context: Context, run: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        with spans.span(*_described(prepared)) as span:
            self._trace_fields(context)
            answer = await run()
            if span is not None:
                if answer.engine is not None:
                    span.set_attribute("taskloom.engine", answer.engine)
                if answer.code is not None:
                    span.set_attribute("taskloom.code", answer.code)
                if answer.code in SERVER_FAULTS:
                    spans.fail(str(answer.code))
            return answer


def _described(prepared: Prepared) -> tuple[str, spans.Kind, dict[str, str]]:
    """Name, kind and attributes of an operation's span."""
    kind = prepared.kind.value
    attributes = {"graphql.operation.type": kind}
    name = (prepared.operation.name or "")[:_MOST_CHARACTERS]
    if name:
        attributes["graphql.operation.name"] = name
    return f"{kind} {name}".rstrip(), "internal", attributes
