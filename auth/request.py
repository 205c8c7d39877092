"""Where a request came from; written into sessions, events and logs."""

from __future__ import annotations

from typing import NamedTuple


class RequestInfo(NamedTuple):
    """One HTTP request, or one operation on a socket."""

    id: str
    ip: str | None = None
    user_agent: str | None = None
