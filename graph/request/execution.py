"""From the text of a request to the answer: what all transports share.

An operation passes three steps. `prepare` finds the document, checks it against the limits, and
selects the operation (`graph.request.preparation`). `admit` checks the viewer's scopes, and charges
the cost (`graph.request.admission`). An error in these two *refuses* the request, and nothing has
run. `execute` and `subscribe` then run it, and always answer with data and errors. Operations that
the server runs for itself, such as the payload of a webhook, are not admitted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

import orjson
from graphql import GraphQLSchema, OperationType
from graphql.error import located_error
from strawberry import Schema

from auth.viewer import Viewer
from db.row_security import viewing
from errors import ErrorCode, Failure
from graph.core.context import Context
from graph.core.executed import Executed, Interrupted
from graph.request.admission import admit
from graph.request.answer import Answer, own_extensions
from graph.request.concurrency import LARGE_POINTS, ConcurrencyLimit
from graph.request.deadlines import Deadlines
from graph.request.document_limits import DocumentLimits
from graph.request.documents import Documents, Operation
from graph.request.error_format import format_errors
from graph.request.event_cursor import take_event_cursor
from graph.request.persisted import PersistedDocuments
from graph.request.preparation import GraphQLRequest, Preparation, Prepared
from graph.request.schema_visibility import SchemaVisibility
from graph.request.subscriptions import Subscriptions
from settings import Introspection

log = logging.getLogger("taskloom.graphql")

# Like `graph.engine.execute`: the batch engine replaces graphql-core's executor.
Engine = Callable[..., Awaitable[Executed]]


class Executor:
    """One per process. Holds the schema and what is remembered about documents."""

    def __init__(
        self,
        schema: Schema,
        *,
        engine: Engine,
        operation_seconds: float = 10.0,
        limits: DocumentLimits | None = None,
        suggestions: bool = False,
        introspection: Introspection = "public",
        introspection_docs: str = "",
        registered_only: bool = False,
        persisted: PersistedDocuments | None = None,
        explain: bool = False,
    ) -> None:
        """`engine` executes operations; `suggestions` are "Did you mean …" in messages, which
        reveal names of the schema. Others: see `SchemaVisibility` and `Preparation`.
        """
        self.schema: GraphQLSchema = schema._schema  # noqa: SLF001 - Strawberry's way to it
        self.documents = Documents(
            self.schema,
            limits or DocumentLimits(),
            suggestions=suggestions,
        )
        self.visibility = SchemaVisibility(introspection, introspection_docs)
        self.preparation = Preparation(
            self.documents,
            self.visibility,
            persisted=persisted,
            registered_only=registered_only,
            explain=explain,
        )
        self._subscriptions = Subscriptions(self.schema, self._run_all)
        self._concurrency = ConcurrencyLimit()
        self._introspecting = asyncio.Lock()
        self._engine = engine
        self._operation_seconds = operation_seconds
        self._deadlines = Deadlines(operation_seconds)

    async def prepare(self, request: GraphQLRequest, *, request_id: str) -> Prepared:
        """The requested operation. Raises `Refused`."""
        return await self.preparation.prepare(request, request_id=request_id)

    async def admit(self, prepared: Prepared, context: Context) -> None:
        """Check what the viewer may do, and charge the cost. Raises `Refused`."""
        await admit(prepared, context, self.visibility)

    async def execute(self, prepared: Prepared, context: Context) -> Answer:
        """Run a query or a mutation to its end; never raises, except when it is cancelled."""
        operation = prepared.operation
        if prepared.cost_only:
            return Answer(extensions=own_extensions(context))
        if prepared.explain:
            # For a cached answer nothing would run.
            return await self._run(prepared, context, root_value=None)
        if operation.answer is not None:
            return Answer(raw_data=operation.answer, extensions=own_extensions(context))
        if operation.introspection:
            return await self._introspect(prepared, context)
        if operation.points(prepared.variables) < LARGE_POINTS:
            return await self._run(prepared, context, root_value=None)
        async with self._concurrency.taken():
            return await self._run(prepared, context, root_value=None)

    async def _introspect(self, prepared: Prepared, context: Context) -> Answer:
        """An answer that is the same for everyone and large, so concurrent requests wait for one
        run.
        """
        operation = prepared.operation
        async with self._introspecting:
            if operation.answer is not None:
                return Answer(raw_data=operation.answer, extensions=own_extensions(context))
            answer = await self._run(prepared, context, root_value=None)
            if not answer.errors:
                answer.raw_data = orjson.dumps(answer.data)
                self.documents.keep_answer(operation, answer.raw_data)
            return answer

    async def deliver(self, prepared: Prepared, context: Context, event: Any) -> Answer:
        """One delivery of a subscription, for an event that was read elsewhere (for a webhook)."""
        return await self._run(prepared, context, root_value=event, serialized=False)

    async def subscribe(
        self, prepared: Prepared, context: Context, current: Callable[[], Awaitable[Viewer]]
    ) -> AsyncGenerator[Answer, None]:
        """Open a subscription; see `Subscriptions.open`."""
        return await self._subscriptions.open(prepared, context, current)

    async def _run_all(
        self, prepared: Prepared, context: Context, events: Sequence[Any], *, serialized: bool
    ) -> list[Answer]:
        """Several events are executed at once, and what they read by key is read together."""
        if len(events) == 1:
            run = self._run(prepared, context, root_value=events[0], serialized=serialized)
            return [await run]
        contexts = [context.beside() for _ in events]
        try:
            return await asyncio.gather(
                *(
                    self._run(prepared, each, root_value=event, serialized=False)
                    for each, event in zip(contexts, events, strict=True)
                )
            )
        finally:
            context.release()

    async def _run(
        self, prepared: Prepared, context: Context, *, root_value: Any, serialized: bool = True
    ) -> Answer:
        """`serialized`: whether the answer is only for `Answer.body`, so that parts may be text."""
        operation = prepared.operation
        context.selection_index = operation.selection_index
        request_id = context.request.id
        try:
            with (
                self._deadlines.running() as deadline,
                viewing(lambda: context.viewer.row_viewer),
            ):
                await take_event_cursor(context)
                result = await self._engine(
                    self.schema,
                    operation.document,
                    root_value=root_value,
                    context_value=context,
                    raw_variable_values=prepared.variables,
                    operation_name=operation.name,
                    operation=operation.node,
                    literals=operation.literals,
                    serialized=serialized,
                    explain=prepared.explain,
                    on_error=prepared.on_error,
                )
        except Exception as error:  # noqa: BLE001 - every fault becomes an answer
            if isinstance(error, TimeoutError) and deadline.expired:
                return self._stopped(operation, context)
            errors = format_errors([error], request_id)
            return Answer(errors=errors, extensions=own_extensions(context))
        finally:
            context.release()
        if not result.errors:
            return Answer(
                data=result.data, extensions=own_extensions(context), engine=result.engine
            )
        return Answer(
            data=result.data,
            errors=_located(operation, result.errors, request_id),
            extensions=own_extensions(context),
            # Invalid variables end the operation before it begins; errors of fields have a path.
            executed=result.data is not None or any(error.path for error in result.errors),
            engine=result.engine,
        )

    def _stopped(self, operation: Operation, context: Context) -> Answer:
        """The answer of an operation that was stopped: of mutations, with what the first ones
        answered.
        """
        failure = self._cut(operation.kind)
        done = context.of(Interrupted)
        errors: list[Exception] = [failure]
        if done.data is not None:
            errors = [
                *done.errors,
                *(located_error(failure, nodes, [key]) for key, nodes in done.unfinished.items()),
            ]
        return Answer(
            data=done.data,
            errors=_located(operation, errors, context.request.id),
            extensions=own_extensions(context),
        )

    def _cut(self, kind: OperationType) -> Failure:
        seconds = self._operation_seconds
        log.warning("an operation was stopped after %s s", seconds)
        message = f"The operation took longer than {seconds:g} seconds and was stopped."
        if kind is OperationType.MUTATION:
            message += " The change may have been made. Repeat it with the same idempotencyKey."
        return Failure(
            message,
            code=ErrorCode.TIMEOUT,
            extra={"limit": "seconds", "maximum": seconds},
        )


def _located(
    operation: Operation, errors: Sequence[Exception], request_id: str
) -> list[dict[str, Any]]:
    """The errors of an operation, with their places in the text that was sent."""
    if operation.literals is not None:
        operation.literals.locate(errors)
    return format_errors(errors, request_id)
