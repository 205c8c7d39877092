"""From a request to its operation: which document it names, and what it wants beside the answer.

Nothing has run yet, and nothing is known of the viewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from graphql import OperationType

from errors import ErrorCode, Failure, Forbidden
from graph.core.executed import ErrorBehavior
from graph.request.answer import Refused, refusal
from graph.request.documents import Documents, Operation
from graph.request.persisted import (
    PersistedDocuments,
    RegisteredDocuments,
    digest_of,
    digest_of_id,
    sha256_of,
)
from graph.request.schema_visibility import SchemaVisibility

# Some clients (urql) match this exact message instead of the code.
_UNKNOWN_HASH = "PersistedQueryNotFound"
_UNKNOWN_ID = "No registered or persisted document has this `documentId`. Send its text as `query`."


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


class Preparation:
    """One per process. `registered` is set when the database is connected."""

    def __init__(
        self,
        documents: Documents,
        visibility: SchemaVisibility,
        *,
        persisted: PersistedDocuments | None,
        registered_only: bool,
        explain: bool,
    ) -> None:
        """`registered_only`: run only documents in `registered`. `explain`: whether clients can ask
        how their operation was run.
        """
        self.persisted = persisted or PersistedDocuments()
        self.registered: RegisteredDocuments | None = None
        self._documents = documents
        self._visibility = visibility
        self._registered_only = registered_only
        self._explain = explain

    async def prepare(self, request: GraphQLRequest, *, request_id: str) -> Prepared:
        """The requested operation. Raises `Refused`."""
        try:
            on_error = _error_behavior(request.on_error)
            text, digest, trusted = await self._text(request)
            document = await self._documents.get(text, trusted=trusted)
            if digest is not None:
                await self.persisted.keep(digest, text)
            operation = document.select(request.operation_name)
            self._visibility.check(operation)
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
