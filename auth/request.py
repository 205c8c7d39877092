"""The origin of a request; stored in sessions, events and logs."""

from __future__ import annotations

from typing import NamedTuple


class RequestInfo(NamedTuple):
    """One HTTP request, or one operation on a WebSocket."""

    id: str
    ip: str | None = None
    user_agent: str | None = None
