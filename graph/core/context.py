"""What every resolver receives: the viewer, the time and the services of the process.

A `Context` lives for one operation (for a subscription: one delivery), and so do the loaders and
the viewer in it. A longer-lived connection keeps `Credentials`, and resolves them to a viewer for
each operation (`Services.current_context`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from uuid import UUID

from auth.limits import Budget, Limits
from auth.request import RequestInfo
from auth.viewer import Credentials, Viewer
from cache import BoundedCache
from db.base import Base
from db.engine import Database
from domain.work import Act, Transactions
from graph.core.access_paths import AccessPaths
from graph.core.selection import SelectionIndex
from settings import Settings

if TYPE_CHECKING:
    from auth.authenticator import Authenticator
    from events.bus import Bus
    from events.live import LiveEvents
    from events.presence import Presence
    from files.service import Files

T = TypeVar("T")
_MOST_FILTERS = 5_000


def utc_now() -> dt.datetime:
    """The clock of a running server."""
    return dt.datetime.now(dt.UTC)


@dataclass(slots=True)
class Services:
    """The services that a process has once."""

    settings: Settings
    database: Database
    authenticator: Authenticator
    bus: Bus
    live: LiveEvents
    presence: Presence
    files: Files
    clock: Callable[[], dt.datetime] = utc_now
    limits: Limits = field(init=False)
    access_paths: AccessPaths = field(default_factory=AccessPaths)
    # Filters of events that many subscribers have, by shape and values.
    filters: BoundedCache[Hashable, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.limits = Limits(self.settings, self.clock)
        self.filters = BoundedCache(_MOST_FILTERS)

    @property
    def transactions(self) -> Transactions:
        """Where changes begin."""
        return Transactions(self.database, self.bus)

    def context(self, viewer: Viewer, request: RequestInfo) -> Context:
        """A new context for one operation."""
        return Context(services=self, viewer=viewer, request=request, now=self.clock())

    async def current_context(self, credentials: Credentials, request: RequestInfo) -> Context:
        """A new context for one operation of an open connection, with the current rights.

        Raises `Unauthenticated` if the credentials are no longer valid.
        """
        return self.context(await self.authenticator.current(credentials), request)


class InTrash(NamedTuple):
    """Rows of a model, whether they are in the trash or not."""

    model: type[Base]
    trashed: None = None


Seen = dict["type[Base] | InTrash", Mapping[UUID, Any]]


@dataclass(slots=True)
class Context:
    """See the module."""

    services: Services
    viewer: Viewer
    request: RequestInfo
    now: dt.datetime
    # aiodataloader's loaders of the standard executor, by plan field and arguments.
    loaders: dict[Any, Any] = field(default_factory=dict)
    # The operation's selection index, if the executor keeps one with the document.
    selection_index: SelectionIndex | None = None
    # Taken before anything else is read, if the operation selects it; see
    # `graph.request.event_cursor`.
    event_cursor: str | None = None
    # The context whose object loaders are used, if several deliveries are executed together.
    common: Context | None = None
    # If set, filled with the objects that the operation reads by key: of each model, the row for
    # each ID, or None if the viewer cannot see it.
    seen: Seen | None = None
    # The remaining budget that this operation is charged to; None if it is not charged.
    budget: Budget | None = None
    # The response's `extensions`.
    extensions: dict[str, Any] = field(default_factory=dict)
    # Set by a mutation that returns credentials (`sessionRefresh`): the WebSocket of the same user
    # that sent it continues with them.
    renewed: Credentials | None = None

    # Objects of other layers, by their class; see `of`.
    _parts: dict[Any, Any] = field(default_factory=dict)

    def of(self, kind: Callable[[Context], T]) -> T:
        """The operation's single object of this class, made on first use."""
        part = self._parts.get(kind)
        if part is None:
            part = self._parts[kind] = kind(self)
        return cast("T", part)

    def beside(self) -> Context:
        """A context for one of several executions of the same viewer, which read objects together,
        with the loaders of this context.
        """
        made = self.services.context(self.viewer, self.request)
        made.now, made.common = self.now, self
        return made

    async def transact(self, act: Act[T]) -> T:
        """What `act` returns, committed in a transaction of this operation's viewer."""
        transactions = self.services.transactions
        return await transactions.run(act, self.viewer, now=self.now, request=self.request)

    def release(self) -> None:
        """Drop what was read. The loaders and the context refer to each other, and would otherwise
        stay in memory, with their rows, until the garbage collector runs.
        """
        self._parts.clear()
        self.loaders.clear()
