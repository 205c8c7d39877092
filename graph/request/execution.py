"""From the text of a request to the answer: what all transports share.

An operation passes three steps. `prepare` finds the document, checks it against the limits, and
selects the operation. `admit` checks the viewer's scopes, and charges the cost. An error in these
two *refuses* the request, and nothing has run. `execute` and `subscribe` then run it, and always
answer with data and errors. Operations that the server runs for itself, such as the payload of a
webhook, are not admitted. HTTP statuses, messages of sockets and frames of event streams are made
from an `Answer` elsewhere (`web`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import isawaitable
from typing import Any, NamedTuple

import orjson
from graphql import (
    ExecutionResult,
    GraphQLSchema,
    OperationType,
)
from graphql.error import located_error
from graphql.execution import Executor as CoreExecutor
from graphql.execution import create_source_event_stream
from strawberry import Schema

from auth.limits import Budget, payer
from auth.viewer import Viewer
from db.row_security import viewing
from errors import ErrorCode, Failure, Forbidden, RateLimited
from graph.core.context import Context
from graph.core.executed import Data, Deliveries, ErrorBehavior, Executed, Interrupted
from graph.core.sharing import ORDINARY, compared_labels
from graph.core.single_flight import SingleFlight
from graph.request import scopes
from graph.request.concurrency import LARGE_POINTS, ConcurrencyLimit
from graph.request.deadlines import Deadlines
from graph.request.document_limits import DocumentLimits, TooLarge
from graph.request.documents import Documents, InvalidDocument, Operation
from graph.request.error_format import first_code, format_errors
from graph.request.event_cursor import take_event_cursor
from graph.request.persisted import (
    PersistedDocuments,
    RegisteredDocuments,
    digest_of,
    digest_of_id,
    sha256_of,
)
from graph.request.shared_deliveries import SharedDeliveries
from settings import Introspection

log = logging.getLogger("taskloom.graphql")

# After this time what was read for a delivery is not sent any longer.
_FRESH_SECONDS = 1.0

# Some clients (urql) match this exact message instead of the code.
_UNKNOWN_HASH = "PersistedQueryNotFound"
_UNKNOWN_ID = "No registered or persisted document has this `documentId`. Send its text as `query`."

# Like `graph.engine.execute`: the batch engine replaces graphql-core's executor.
Engine = Callable[..., Awaitable[Executed]]


class GraphQLRequest(NamedTuple):
    """What every transport provides; the types of its parts are already checked."""

    query: str | None = None
    variables: Mapping[str, Any] | None = None
    operation_name: str | None = None
    extensions: Mapping[str, Any] | None = None
    document_id: str | None = None
    on_error: str | None = None


class Prepared(NamedTuple):
    """An operation of a valid document, with its variables."""

    operation: Operation
    variables: Mapping[str, Any]
    # The client asks only for the cost; nothing is run.
    cost_only: bool = False
    # The client asks how it was run; see `graph.engine.explain`.
    explain: bool = False
    # What an error of a field does to the answer.
    on_error: ErrorBehavior = ErrorBehavior.PROPAGATE

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.operation.kind

    @property
    def subscribes(self) -> bool:
        """Whether it has many answers: a subscription that will be run."""
        return self.kind is OperationType.SUBSCRIPTION and not self.cost_only


@dataclass(slots=True)
class Answer:
    """A response. `executed` distinguishes a request that ran, whatever its result, from a refused
    one.

    A refused request has no `data` at all; an executed one has it even if it is null.
    """

    data: Data | None = None
    errors: Sequence[dict[str, Any]] = ()
    extensions: dict[str, Any] = field(default_factory=dict)
    executed: bool = True
    # `data` as JSON, if it is already known.
    raw_data: bytes | None = None
    # The remaining budget, for headers.
    budget: Budget | None = None
    # The engine that executed it, to find operations that fall back to the standard one.
    engine: str | None = None

    @property
    def values(self) -> dict[str, Any] | None:
        """`data` of an operation that was not serialized (`Executor.deliver`)."""
        assert not isinstance(self.data, orjson.Fragment)
        return self.data

    @property
    def code(self) -> str | None:
        """The code of the first error."""
        return first_code(self.errors)

    def payload(self) -> dict[str, Any]:
        """The response object, for orjson to write."""
        made: dict[str, Any] = {}
        if self.errors:
            made["errors"] = self.errors
        if self.executed:
            made["data"] = self.data if self.raw_data is None else orjson.Fragment(self.raw_data)
        if self.extensions:
            made["extensions"] = self.extensions
        return made

    def body(self) -> bytes:
        """The response object as JSON."""
        return orjson.dumps(self.payload())


class Refused(Exception):  # noqa: N818 - what became of the request
    """The request was not executed; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


def refusal(error: Exception, request_id: str) -> Answer:
    """The answer for a request that failed before execution, for whatever reason."""
    if isinstance(error, Refused):
        return error.answer
    if isinstance(error, InvalidDocument):
        errors = format_errors(error.errors, request_id, code=error.code)
    else:
        errors = format_errors([error], request_id)
    return Answer(errors=errors, extensions={"requestId": request_id}, executed=False)


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
        reveal names of the schema. `introspection`: who can read the schema;
        `introspection_docs`: the address where that is documented. `registered_only`: run only
        documents in `registered`, which is set when the database is connected. `explain`: whether
        clients can ask how their operation was run.
        """
        self.schema: GraphQLSchema = schema._schema  # noqa: SLF001 - Strawberry's way to it
        self.documents = Documents(
            self.schema,
            limits or DocumentLimits(),
            suggestions=suggestions,
        )
        self.persisted = persisted or PersistedDocuments()
        self.registered: RegisteredDocuments | None = None
        self._introspection = introspection
        self._introspection_docs = introspection_docs
        self._registered_only = registered_only
        self._explain = explain
        self._concurrency = ConcurrencyLimit()
        self._introspecting = asyncio.Lock()
        # Faults carry the id of the own request, so they are not shared.
        self._delivering = SingleFlight[list[Answer]](_has_no_errors)
        self._shared = SharedDeliveries[list[Answer]](_has_no_errors)
        self._engine = engine
        self._operation_seconds = operation_seconds
        self._deadlines = Deadlines(operation_seconds)

    async def prepare(self, request: GraphQLRequest, *, request_id: str) -> Prepared:
        """The requested operation. Raises `Refused`."""
        try:
            on_error = _error_behavior(request.on_error)
            text, digest, trusted = await self._text(request)
            document = await self.documents.get(text, trusted=trusted)
            if digest is not None:
                await self.persisted.keep(digest, text)
            operation = document.select(request.operation_name)
            self._check_introspection(operation)
            operation.inputs.check(request.variables or {})
            cost_only = _flag(request.extensions, "costOnly")
            explain = self._explained(operation, request.extensions)
        except Exception as error:
            raise Refused(refusal(error, request_id)) from error
        return Prepared(operation, request.variables or {}, cost_only, explain, on_error)

    def _explained(self, operation: Operation, extensions: Mapping[str, Any] | None) -> bool:
        wanted = _flag(extensions, "explain")
        if wanted and not self._explain:
            raise Failure(
                "`extensions.explain` works in development only (TASKLOOM_ENV=development).",
                code=ErrorCode.BAD_REQUEST,
            )
        if wanted and operation.kind is OperationType.SUBSCRIPTION:
            raise Failure(
                "`extensions.explain` is for queries and mutations.", code=ErrorCode.BAD_REQUEST
            )
        return wanted

    async def admit(self, prepared: Prepared, context: Context) -> None:
        """Check the scopes of an API key, and charge the cost to the viewer.

        Raises `Refused` if the viewer cannot read the schema, if the key lacks a scope, if the
        operation exceeds the cost limit, or if it exceeds the remaining budget; then nothing is
        charged.
        """
        services = context.services
        if prepared.operation.reads_schema and not self.shows_schema(context.viewer):
            raise self._refused(context, self.hidden_schema())
        if context.viewer.scopes is not None:
            try:
                operation = prepared.operation
                scopes.demand(context.viewer, operation.scopes)
                given = scopes.scopes_of_variables(operation.selection_index, prepared.variables)
                scopes.demand(context.viewer, given)
            except Forbidden as failure:
                raise self._refused(context, failure) from None
        points = prepared.operation.points(prepared.variables)
        most = services.settings.limits.cost_operation
        charged = 0 if prepared.cost_only or points > most else points
        who = payer(context.viewer, context.request)
        budget = await services.limits.spend(who, charged, context.now)
        context.budget = budget
        context.extensions["cost"] = {
            "requested": points,
            "charged": budget.charged,
            "remaining": budget.remaining,
            "resetAt": budget.reset_text,
        }
        if prepared.cost_only:
            return
        if points > most:
            raise self._refused(context, TooLarge("points", points, most))
        if budget.exceeded:
            message = f"The operation costs {points:,} points; {budget.remaining:,} are left."
            raise self._refused(context, RateLimited(message, retry_after=budget.reset_seconds))

    def _check_introspection(self, operation: Operation) -> None:
        """Nobody may read the schema, not even an operation that the server runs for itself."""
        if operation.reads_schema and self._introspection == "off":
            raise self.hidden_schema()

    def shows_schema(self, viewer: Viewer) -> bool:
        """Whether this viewer can read the schema."""
        if self._introspection == "signed-in":
            return viewer.signed_in
        return self._introspection == "public"

    def hidden_schema(self) -> Failure:
        """The error for those who cannot."""
        extra = {"docsUrl": self._introspection_docs}
        if self._introspection == "off":
            message = "This server does not allow introspection (TASKLOOM_INTROSPECTION=off)."
            return Failure(message, code=ErrorCode.FORBIDDEN, extra=extra)
        message = (
            "Only signed-in users can read the schema (TASKLOOM_INTROSPECTION=signed-in). Send an "
            "access token or an API key."
        )
        return Failure(message, code=ErrorCode.UNAUTHENTICATED, extra=extra)

    @staticmethod
    def _refused(context: Context, failure: Failure) -> Refused:
        errors = format_errors([failure], context.request.id)
        answer = Answer(errors=errors, extensions=_own(context), executed=False)
        answer.budget = context.budget
        return Refused(answer)

    async def _text(self, request: GraphQLRequest) -> tuple[str, str | None, bool]:
        """The document's text, the hash under which to store it once it proved valid, and whether
        the operator registered it.
        """
        text, digest = request.query, None
        persisted = (request.extensions or {}).get("persistedQuery")
        if request.document_id is not None:
            if text is not None or persisted is not None:
                raise Failure(
                    "A request with `documentId` must have neither `query` nor "
                    "`extensions.persistedQuery`.",
                    code=ErrorCode.BAD_REQUEST,
                )
            text, trusted = await self._by_hash(digest_of_id(request.document_id), _UNKNOWN_ID)
            return text, None, trusted
        if text is None and persisted is not None:
            text, trusted = await self._by_hash(digest_of(persisted), _UNKNOWN_HASH)
            return text, None, trusted
        if text is None or not text.strip():
            raise Failure(
                "The request must have a `query` that is not empty, or a `documentId`.",
                code=ErrorCode.BAD_REQUEST,
            )
        if persisted is not None:
            digest = self.persisted.verify(persisted, text)
        if not self._registered_only:
            return text, digest, False
        if await self._registered(sha256_of(text)) is None:
            raise Forbidden("This server runs only the documents that its operator registered.")
        return text, None, True

    async def _by_hash(self, digest: str, unknown: str) -> tuple[str, bool]:
        """A document's text, and whether the operator registered it; `unknown` is the message of
        the failure.
        """
        text = None if self._registered_only else await self.persisted.find(digest)
        if text is not None:
            return text, False
        text = await self._registered(digest)
        if text is not None:
            return text, True
        raise Failure(unknown, code=ErrorCode.PERSISTED_QUERY_NOT_FOUND)

    async def _registered(self, digest: str) -> str | None:
        return None if self.registered is None else await self.registered.find(digest)

    async def execute(self, prepared: Prepared, context: Context) -> Answer:
        """Run a query or a mutation to its end; never raises, except when it is cancelled."""
        operation = prepared.operation
        if prepared.cost_only:
            return Answer(extensions=_own(context))
        if prepared.explain:
            # For a cached answer nothing would run.
            return await self._run(prepared, context, root_value=None)
        if operation.answer is not None:
            return Answer(raw_data=operation.answer, extensions=_own(context))
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
                return Answer(raw_data=operation.answer, extensions=_own(context))
            answer = await self._run(prepared, context, root_value=None)
            if not answer.errors:
                answer.raw_data = orjson.dumps(answer.data)
                self.documents.keep_answer(operation, answer.raw_data)
            return answer

    async def deliver(self, prepared: Prepared, context: Context, event: Any) -> Answer:
        """One delivery of a subscription, for an event that was read elsewhere (for a webhook)."""
        return await self._run(prepared, context, root_value=event, serialized=False)

    async def subscribe(
        self, prepared: Prepared, context: Context, fresh: Callable[[], Awaitable[Context]]
    ) -> AsyncGenerator[Answer, None]:
        """Open a subscription: one answer per event. Raises `Refused` if it cannot begin.

        `context` is the one that was admitted. `fresh` makes one for each delivery, with the rights
        of that moment, so that nothing read for one event is reused for the next. An answer that is
        not `executed` is the last: the stream has failed.
        """
        request_id = context.request.id
        built = CoreExecutor.build(
            self.schema,
            prepared.operation.document,
            context_value=context,
            raw_variable_values=dict(prepared.variables),
            operation_name=prepared.operation.name,
            hide_suggestions=True,
        )
        if isinstance(built, list):
            errors = format_errors(built, request_id)
            raise Refused(Answer(errors=errors, extensions=_own(context), executed=False))
        with viewing(context.viewer.row_viewer):
            source = create_source_event_stream(built)
            if isawaitable(source):
                source = await source
        if isinstance(source, ExecutionResult):
            errors = format_errors(source.errors or [], request_id)
            raise Refused(Answer(errors=errors, extensions=_own(context), executed=False))
        return self._deliveries(prepared, fresh, aiter(source), context)

    async def _deliveries(
        self,
        prepared: Prepared,
        fresh: Callable[[], Awaitable[Context]],
        source: AsyncIterator[Any],
        opened: Context,
    ) -> AsyncGenerator[Answer, None]:
        request_id, rights = opened.request.id, opened.viewer.rights
        checked, viewer = opened.viewer, opened.viewer.row_viewer
        requested = (prepared.operation, prepared.on_error, _comparable(prepared.variables))
        try:
            while True:
                try:
                    with viewing(viewer):
                        found = await anext(source)
                    events = found.events if isinstance(found, Deliveries) else [found]
                    while events:
                        context = await fresh()
                        if context.viewer is not checked:
                            _demand_unchanged(rights, context.viewer)
                            checked = context.viewer
                        with viewing(viewer):
                            answers = await self._delivered(prepared, context, events, requested)
                        read, sent = time.monotonic(), 0
                        for answer in answers:
                            yield answer
                            sent += 1
                            if time.monotonic() - read > _FRESH_SECONDS:
                                break
                        events = events[sent:]
                        if events:
                            # The client was slow, and the rest may be out of date.
                            with viewing(viewer):
                                events = await found.still_visible(events)
                except StopAsyncIteration:
                    return
                except Exception as error:  # noqa: BLE001 - every fault becomes an answer
                    yield refusal(error, request_id)
                    return
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    async def _delivered(
        self,
        prepared: Prepared,
        context: Context,
        events: Sequence[Any],
        requested: tuple[Operation, ErrorBehavior, bytes],
    ) -> list[Answer]:
        """An answer to each event, one for all subscriptions with the same operation on the same
        events: of one viewer, or of all who see the same, if that makes no other difference.
        """
        # The events live as long as they are the key of a run, so no others have their identity.
        key = (*map(id, events), *requested)
        viewer = context.viewer
        labels = compared_labels(prepared.operation.selection_index)
        if viewer.shape == ORDINARY and labels is not None:
            run = partial(self._run_all, prepared, context, events, serialized=False)
            shared = await self._shared.answer(key, context, run, labels)
        else:
            run = partial(self._run_all, prepared, context, events, serialized=True)
            found = await self._delivering.join((*key, viewer))
            shared = found or await self._delivering.lead((*key, viewer), run)
        return [answer if answer.errors else _as_own(answer, context) for answer in shared]

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
            return Answer(errors=errors, extensions=_own(context))
        finally:
            context.release()
        if not result.errors:
            return Answer(data=result.data, extensions=_own(context), engine=result.engine)
        return Answer(
            data=result.data,
            errors=_located(operation, result.errors, request_id),
            extensions=_own(context),
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
            extensions=_own(context),
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


def _located(
    operation: Operation, errors: Sequence[Exception], request_id: str
) -> list[dict[str, Any]]:
    """The errors of an operation, with their places in the text that was sent."""
    if operation.literals is not None:
        operation.literals.locate(errors)
    return format_errors(errors, request_id)


def _error_behavior(wanted: str | None) -> ErrorBehavior:
    if wanted is None:
        return ErrorBehavior.PROPAGATE
    try:
        return ErrorBehavior(wanted)
    except ValueError:
        raise Failure(
            "`onError` must be NULL, PROPAGATE or HALT.", code=ErrorCode.BAD_REQUEST
        ) from None


def _flag(extensions: Mapping[str, Any] | None, name: str) -> bool:
    wanted = (extensions or {}).get(name, False)
    if not isinstance(wanted, bool):
        raise Failure(f"`extensions.{name}` must be a boolean.", code=ErrorCode.BAD_REQUEST)
    return wanted


def _own(context: Context) -> dict[str, Any]:
    """The response's `extensions`: the request's id, and what resolvers put into the context."""
    return {"requestId": context.request.id, **context.extensions}


def _has_no_errors(answers: Sequence[Answer]) -> bool:
    return not any(answer.errors for answer in answers)


def _as_own(shared: Answer, context: Context) -> Answer:
    """The same answer for the request of this context."""
    if shared.raw_data is None:
        shared.raw_data = orjson.dumps(shared.data)
    return Answer(shared.data, (), _own(context), raw_data=shared.raw_data)


def _comparable(variables: Mapping[str, Any]) -> bytes:
    try:
        # A copy: orjson's own keeps a buffer of four kilobytes.
        return bytes(memoryview(orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)))
    except orjson.JSONEncodeError:
        # Such as a file, which equals nothing else.
        return secrets.token_bytes(16)
