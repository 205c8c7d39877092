"""What a connector is, and what it works with.

A connector knows the other service and nothing of queues. It fetches what is new there (`sync`),
and sends there what happened here (`send`). Both can be interrupted anywhere and are then begun
anew, so a connector records its progress in the transaction of what it fetched.

It reports problems by four exceptions. Their messages are shown to the integration's owner, so they
must not contain secrets.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from uuid import UUID

from auth.viewer import Viewer
from db.models import Connector as Kind
from db.models import Integration
from domain.integrations.addresses import Refused
from domain.work import Work
from jobs.outgoing import Answer, Outgoing, Unreachable
from jobs.worker_context import WorkerContext
from settings import version

T = TypeVar("T")

_LONGEST_WAIT = dt.timedelta(hours=2)

USER_AGENT = f"Taskloom/{version()} (integrations)"


class Trouble(Exception):  # noqa: N818 - like the others, a message for the owner
    """It failed this time."""


class Wait(Trouble):
    """The other service asks to wait."""

    def __init__(self, after: dt.timedelta, reason: str) -> None:
        super().__init__(reason)
        # Whatever the other service asks, it is tried again on the same day.
        self.after = min(max(after, dt.timedelta(seconds=1)), _LONGEST_WAIT)


class Rejected(Trouble):
    """The other service will never accept this message."""


class Denied(Trouble):
    """It cannot work until the owner changes something."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An active integration. `owner`: whose rights it uses."""

    id: UUID
    kind: Kind
    project_id: UUID
    owner: Viewer
    external_id: str | None
    settings: dict[str, Any]
    progress: dict[str, Any]
    credentials: str = field(repr=False)
    context: WorkerContext
    outgoing: Outgoing

    async def do(self, act: Callable[[Work, Integration], Awaitable[T]]) -> T:
        """A transaction as the owner, with the integration locked. Raises `Gone`."""

        async def locked(work: Work) -> T:
            row = await work.session.get(
                Integration, self.id, with_for_update=True, populate_existing=True
            )
            if row is None:
                raise Gone
            return await act(work, row)

        return await self.context.do("integration", locked, self.owner)

    async def request(
        self, method: str, url: str, headers: dict[str, str], body: bytes = b"", **options: Any
    ) -> Answer:
        """A request to a checked address. Raises `Denied` or `Trouble`."""
        try:
            return await self.outgoing.request(
                method, url, {"User-Agent": USER_AGENT, **headers}, body, **options
            )
        except Refused as refused:
            raise Denied(str(refused)) from None
        except Unreachable as reason:
            raise Trouble(str(reason)) from None


class Gone(Exception):  # noqa: N818 - a state
    """The integration was disconnected meanwhile."""


class Connector(Protocol):
    """See the module. `every`: how often to `sync`; None for never."""

    every: dt.timedelta | None

    def wants(self, settings: dict[str, Any], event: Any) -> str | None:
        """Whether to `send` an event (a row of the log): None, or a key. While something with the
        same key waits to be sent, nothing is added to it.
        """
        ...

    async def sync(self, connection: Connection) -> bool:
        """Fetch a chunk of what is new, and record the progress; returns whether there is more."""
        ...

    async def send(
        self, connection: Connection, event_id: UUID | None, task_id: UUID | None
    ) -> None:
        """Send what happened. There is no event if the connector itself found that something is
        still to be sent, and queued it (`domain.integrations.integration.enqueue_send`).
        """
        ...
