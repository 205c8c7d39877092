"""What an API key may be used for: its scopes.

A scope is a noun and a verb, `tasks:write`. `write` includes `read` of the same noun. The broad
scopes `read` and `write` are those of every noun but `admin`, which has to be named.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

ADMIN: Final = "admin"
NOUNS: Final[dict[str, str]] = {
    "tasks": "tasks with their tags, shares and statistics",
    "projects": "projects and their members",
    "comments": "comments",
    "files": "attachments",
    "time": "time entries, timers and reports",
    "people": "other people's public profiles, found by name",
    "events": "activity, changes and live events",
    "notifications": "the inbox and its preferences",
    "reminders": "reminders",
    "webhooks": "webhooks and their deliveries",
    "integrations": "connections to other systems",
    ADMIN: "what only administrators may do; not among `read` and `write`",
}
SCOPES: Final = frozenset({"read", "write"}) | {
    f"{noun}:{verb}" for noun in NOUNS for verb in ("read", "write")
}


def holds(granted: Collection[str], needed: str) -> bool:
    """Whether these scopes include one that is needed (`tasks:read`, or `read` itself)."""
    if needed in granted:
        return True
    noun, colon, verb = needed.partition(":")
    if not colon:
        return needed == "read" and "write" in granted
    if verb == "read" and f"{noun}:write" in granted:
        return True
    return noun != ADMIN and ("write" in granted or (verb == "read" and "read" in granted))
