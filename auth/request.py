"""Where a request came from; written into sessions, events and logs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """One HTTP request, or one operation on a socket."""

    id: str
    ip: str | None = None
    user_agent: str | None = None
