"""GraphQL for the worker: executes a selection as some user."""

from __future__ import annotations

import datetime as dt
from uuid import UUID, uuid4

import strawberry

from auth.authenticator import Authenticator
from auth.request import RequestInfo
from auth.viewer import Viewer
from db import models
from db.row_security import viewing
from errors import ErrorCode
from events.live import LiveEvents
from events.presence import Presence
from files.service import Files
from graph.core.context import Context, Services
from graph.core.node import TYPE_NAMES
from graph.engine.sql_json import Columns
from graph.executor import make_executor
from graph.kit.loading import read_by_keys
from graph.request import scopes
from graph.request.answer import Answer
from graph.request.preparation import GraphQLRequest, Prepared
from graph.schema import schema as schema_of_taskloom
from jobs.outcomes import Later
from jobs.worker_context import WorkerContext

# The wait after the database could not be read.
_AGAIN = dt.timedelta(seconds=10)


class Graph:
    """One per worker. Its executions are not charged to any budget."""

    def __init__(self, context: WorkerContext) -> None:
        self.schema: strawberry.Schema = schema_of_taskloom
        self._executor = make_executor(self.schema, context.settings)
        self._authenticator = Authenticator(context.settings, context.database, clock=context.clock)
        self._services = Services(
            settings=context.settings,
            database=context.database,
            authenticator=self._authenticator,
            bus=context.bus,
            # Not started: the worker follows the log through its consumers.
            live=LiveEvents(context.log, context.bus, context.clock),
            presence=Presence(context.log, context.bus, context.settings.redis, context.clock),
            files=Files(context.settings),
            clock=context.clock,
        )

    def close(self) -> None:
        """Stop the threads."""
        self._services.files.close()
        self._authenticator.close()

    def context(self, viewer: Viewer) -> Context:
        """The context of one execution as this viewer."""
        return self._services.context(viewer, RequestInfo(id=f"worker-{uuid4().hex}"))

    async def scopes_of(self, document: str) -> tuple[str, ...]:
        """The scopes that an API key needs to read what a document returns, besides the one for its
        event.
        """
        prepared = await self._prepare(document, "worker")
        return scopes.scopes_of_delivery(prepared.operation.selection_index)

    async def deliver(self, viewer: Viewer, document: str, event_id: UUID) -> Answer | None:
        """One delivery of a subscription to events; None if this viewer cannot see the event, or it
        is no longer in the log. Raises `graph.request.answer.Refused` for the document,
        `Forbidden` if an API key's scopes do not suffice, and `Later` if the database cannot be
        read: that says nothing about the receiver.
        """
        context = self.context(viewer)
        prepared = await self._prepare(document, context.request.id)
        scopes.demand(viewer, prepared.operation.scopes)
        labels = prepared.operation.selection_index.labels.get(
            TYPE_NAMES[models.Event], frozenset()
        )
        with viewing(viewer.row_viewer):
            rows = await read_by_keys(context, models.Event, Columns(labels), [event_id])
        if event_id not in rows:
            return None
        answer = await self._executor.deliver(prepared, context, rows[event_id])
        for error in answer.errors:
            if error["extensions"]["code"] == ErrorCode.UNAVAILABLE.value:
                raise Later(_AGAIN, error["message"])
        return answer

    async def _prepare(self, document: str, request_id: str) -> Prepared:
        return await self._executor.prepare(GraphQLRequest(query=document), request_id=request_id)
