"""Subscriptions: one answer for each event, with the rights of that moment.

What several subscribers ask about the same event is executed once if it answers all of them alike.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from inspect import isawaitable
from typing import Any, Protocol

import orjson
from graphql import ExecutionResult, GraphQLSchema
from graphql.execution import Executor as CoreExecutor
from graphql.execution import create_source_event_stream

from auth.viewer import Viewer
from db.row_security import viewing
from errors import Forbidden
from graph.core.context import Context, Seen
from graph.core.executed import Deliveries
from graph.core.sharing import ORDINARY, compared_labels
from graph.core.single_flight import SingleFlight
from graph.request.answer import Answer, Refused, own_extensions, refusal
from graph.request.error_format import format_errors
from graph.request.preparation import Prepared
from graph.request.shared_deliveries import SharedDeliveries

# After this time what was read for a delivery is not sent any longer.
_FRESH_SECONDS = 1.0


class Run(Protocol):
    """Executes an operation for some events; see `graph.request.execution.Executor`."""

    async def __call__(
        self, prepared: Prepared, context: Context, events: Sequence[Any], *, serialized: bool
    ) -> list[Answer]:
        """An answer to each event. `serialized`: whether they are only for `Answer.body`."""


class _Opened:
    """What all deliveries of a subscription have in common."""

    __slots__ = ("labels", "prepared", "request", "requested", "services", "viewer")

    def __init__(self, prepared: Prepared, admitted: Context) -> None:
        self.prepared = prepared
        self.services, self.request = admitted.services, admitted.request
        self.viewer = admitted.viewer
        # The part of a delivery's key that is not the events.
        variables = _comparable(prepared.variables)
        self.requested = (prepared.operation, prepared.on_error, variables)
        labels = compared_labels(prepared.operation.selection_index)
        # What has to be the same for other viewers; None if the answers are shared with none.
        self.labels = labels if admitted.viewer.shape == ORDINARY else None


class Subscriptions:
    """One per process. `run` executes the deliveries."""

    def __init__(self, schema: GraphQLSchema, run: Run) -> None:
        self._schema = schema
        self._run = run
        # Faults carry the id of the own request, so they are not shared.
        self._delivering = SingleFlight[list[Answer]](_has_no_errors)
        self._shared = SharedDeliveries[list[Answer]](_has_no_errors)

    async def open(
        self, prepared: Prepared, context: Context, current: Callable[[], Awaitable[Viewer]]
    ) -> AsyncGenerator[Answer, None]:
        """Open a subscription: one answer per event. Raises `Refused` if it cannot begin.

        `context` is the one that was admitted. `current` is asked at each delivery for the viewer,
        with the rights of that moment; each execution has a context of its own, so that nothing
        read for one event is reused for the next. An answer that is not `executed` is the last: the
        stream has failed.
        """
        request_id = context.request.id
        built = CoreExecutor.build(
            self._schema,
            prepared.operation.document,
            context_value=context,
            raw_variable_values=dict(prepared.variables),
            operation_name=prepared.operation.name,
            hide_suggestions=True,
        )
        if isinstance(built, list):
            errors = format_errors(built, request_id)
            raise Refused(Answer(errors=errors, extensions=own_extensions(context), executed=False))
        with viewing(context.viewer.row_viewer):
            source = create_source_event_stream(built)
            if isawaitable(source):
                source = await source
        if isinstance(source, ExecutionResult):
            errors = format_errors(source.errors or [], request_id)
            raise Refused(Answer(errors=errors, extensions=own_extensions(context), executed=False))
        return self._deliveries(_Opened(prepared, context), current, aiter(source))

    async def _deliveries(
        self,
        opened: _Opened,
        current: Callable[[], Awaitable[Viewer]],
        source: AsyncIterator[Any],
    ) -> AsyncGenerator[Answer, None]:
        viewer = opened.viewer
        rights, own = viewer.rights, viewing(viewer.row_viewer)
        try:
            while True:
                try:
                    with own:
                        found = await anext(source)
                    events = found.events if isinstance(found, Deliveries) else [found]
                    while events:
                        now = await current()
                        if now is not viewer:
                            _demand_unchanged(rights, now)
                            viewer = now
                        answers = await self._delivered(opened, viewer, events)
                        read, sent = time.monotonic(), 0
                        for answer in answers:
                            yield answer
                            sent += 1
                            if time.monotonic() - read > _FRESH_SECONDS:
                                break
                        events = events[sent:]
                        if events:
                            # The client was slow, and the rest may be out of date.
                            with own:
                                events = await found.still_visible(events)
                except StopAsyncIteration:
                    return
                except Exception as error:  # noqa: BLE001 - every fault becomes an answer
                    yield refusal(error, opened.request.id)
                    return
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    async def _delivered(
        self, opened: _Opened, viewer: Viewer, events: Sequence[Any]
    ) -> list[Answer]:
        """An answer to each event, one for all subscriptions with the same operation on the same
        events: of one viewer, or of all who see the same, if that makes no other difference.
        """

        def run(seen: Seen | None = None, *, serialized: bool = False) -> Awaitable[list[Answer]]:
            context = opened.services.context(viewer, opened.request)
            context.seen = seen
            return self._run(opened.prepared, context, events, serialized=serialized)

        # The events live as long as they are the key of a run, so no others have their identity.
        key = (*map(id, events), *opened.requested)
        if opened.labels is not None:
            reader = opened.services.database.all_rows
            shared = await self._shared.answer(key, viewer.require(), reader, run, opened.labels)
        else:
            shared = await self._delivering.join((*key, viewer)) or await self._delivering.lead(
                (*key, viewer), partial(run, serialized=True)
            )
        request_id = opened.request.id
        return [answer if answer.errors else _as_own(answer, request_id) for answer in shared]


def _demand_unchanged(rights: object, viewer: Viewer) -> None:
    """Raise `Forbidden` if the subscriber's rights have changed since the subscription began.

    They decided what the subscription delivers: the filter, and whether its fields may be selected
    at all.
    """
    if viewer.rights != rights:
        raise Forbidden(
            "Your permissions have changed since this subscription began. Subscribe again, with "
            "your last cursor as `after`."
        )


def _has_no_errors(answers: Sequence[Answer]) -> bool:
    return not any(answer.errors for answer in answers)


def _as_own(shared: Answer, request_id: str) -> Answer:
    """The same answer for the subscription of this ID."""
    if shared.raw_data is None:
        shared.raw_data = orjson.dumps(shared.data)
    return Answer(shared.data, (), {"requestId": request_id}, raw_data=shared.raw_data)


def _comparable(variables: Mapping[str, Any]) -> bytes:
    try:
        # A copy: orjson's own keeps a buffer of four kilobytes.
        return bytes(memoryview(orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)))
    except orjson.JSONEncodeError:
        # Such as a file, which equals nothing else.
        return secrets.token_bytes(16)
