"""The scopes of API keys.

A scope is a resource and a verb, such as `tasks:write`. `write` includes `read` of the same
resource. The broad scopes `read` and `write` include every resource except `admin`, which must be
named.

A key can read an event if it can read the event's subject: the log covers every resource, and its
kinds, texts and counts would reveal what the scopes hide.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from functools import lru_cache
from typing import Final

ADMIN: Final = "admin"
NOUNS: Final[dict[str, str]] = {
    "tasks": "tasks with their tags, shares and statistics",
    "projects": "projects and their members",
    "comments": "comments",
    "files": "attachments",
    "time": "time entries, timers and reports",
    "people": "searching for users, and the private fields of your own account",
    "events": "activity, changes and live events of the resources that the key can read",
    "notifications": "notifications and their preferences",
    "reminders": "reminders",
    "webhooks": "webhooks and their deliveries",
    "integrations": "connections to other services",
    ADMIN: "what only administrators can do; not included in `read` and `write`",
}


class ApiKeyScope(Enum):
    """The scopes by the names that the schema shows."""

    READ = "read"
    WRITE = "write"
    TASKS_READ = "tasks:read"
    TASKS_WRITE = "tasks:write"
    PROJECTS_READ = "projects:read"
    PROJECTS_WRITE = "projects:write"
    COMMENTS_READ = "comments:read"
    COMMENTS_WRITE = "comments:write"
    FILES_READ = "files:read"
    FILES_WRITE = "files:write"
    TIME_READ = "time:read"
    TIME_WRITE = "time:write"
    PEOPLE_READ = "people:read"
    PEOPLE_WRITE = "people:write"
    EVENTS_READ = "events:read"
    EVENTS_WRITE = "events:write"
    NOTIFICATIONS_READ = "notifications:read"
    NOTIFICATIONS_WRITE = "notifications:write"
    REMINDERS_READ = "reminders:read"
    REMINDERS_WRITE = "reminders:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    INTEGRATIONS_READ = "integrations:read"
    INTEGRATIONS_WRITE = "integrations:write"
    ADMIN_READ = "admin:read"
    ADMIN_WRITE = "admin:write"


SCOPES: Final = frozenset(scope.value for scope in ApiKeyScope)

# The scope that an event of each kind needs beside `events:read`.
_EVENTS: Final[Mapping[str, str]] = {
    "tasks:read": (
        "TASK_CREATED TASK_UPDATED TASK_COMPLETED TASK_REOPENED TASK_ASSIGNED TASK_MOVED "
        "TASK_DELETED TASK_RESTORED TASK_SHARE_CREATED TASK_SHARE_UPDATED TASK_SHARE_DELETED"
    ),
    "projects:read": (
        "PROJECT_CREATED PROJECT_UPDATED PROJECT_ARCHIVED PROJECT_UNARCHIVED PROJECT_DELETED "
        "PROJECT_RESTORED PROJECT_TRANSFERRED PROJECT_MEMBER_ADDED PROJECT_MEMBER_UPDATED "
        "PROJECT_MEMBER_REMOVED"
    ),
    "comments:read": "COMMENT_CREATED COMMENT_UPDATED COMMENT_DELETED",
    "files:read": "ATTACHMENT_CREATED ATTACHMENT_DELETED",
    "time:read": (
        "TIME_ENTRY_CREATED TIME_ENTRY_UPDATED TIME_ENTRY_DELETED TIMER_STARTED TIMER_STOPPED "
        "REPORT_EXPORT_UPDATED"
    ),
    "notifications:read": "NOTIFICATION_CREATED",
    "reminders:read": "REMINDER_CREATED REMINDER_UPDATED REMINDER_DELETED REMINDER_DUE",
    "webhooks:read": "WEBHOOK_CREATED WEBHOOK_UPDATED WEBHOOK_DELETED WEBHOOK_TESTED",
    "integrations:read": ("INTEGRATION_CREATED INTEGRATION_UPDATED INTEGRATION_DELETED"),
    "people:read": ("USER_CREATED USER_UPDATED USER_ACTIVATED USER_DEACTIVATED USER_DELETED"),
    # Keys cannot read events about credentials, except an administrator's key for audits.
    "admin:read": (
        "SESSION_CREATED SESSION_UPDATED SESSION_REVOKED API_KEY_CREATED API_KEY_REVOKED "
        "PASSWORD_CHANGED"
    ),
}
EVENT_SCOPES: Final[Mapping[str, str]] = {
    kind: scope for scope, kinds in _EVENTS.items() for kind in kinds.split()
}
# An `ACCESS_LOST` event needs the scope of the lost object, by its model.
LOSS: Final = "ACCESS_LOST"
LOSS_SCOPES: Final[Mapping[str, str]] = {"Task": "tasks:read", "Project": "projects:read"}


def holds(granted: Collection[str], needed: str) -> bool:
    """Whether these scopes include a required one (`tasks:read`, or `read` itself)."""
    if needed in granted:
        return True
    noun, colon, verb = needed.partition(":")
    if not colon:
        return needed == "read" and "write" in granted
    if verb == "read" and f"{noun}:write" in granted:
        return True
    return noun != ADMIN and ("write" in granted or (verb == "read" and "read" in granted))


def event_scope(kind: str, subject_type: str) -> str:
    """The scope that an event needs beside `events:read`."""
    return EVENT_SCOPES.get(kind) or LOSS_SCOPES.get(subject_type, "read")


@lru_cache(maxsize=1_000)
def readable_events(granted: frozenset[str]) -> tuple[str, ...]:
    """The kinds of events that these scopes can read, and the models whose losses they can read."""
    needed = {**EVENT_SCOPES, **LOSS_SCOPES}
    return tuple(name for name, scope in needed.items() if holds(granted, scope))
