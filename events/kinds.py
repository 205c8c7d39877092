"""What can happen. Kinds are part of the API: they are only ever added."""

from __future__ import annotations

from enum import Enum


class EventKind(Enum):
    """One kind of change; the first word is the subject's type."""

    PROJECT_CREATED = "PROJECT_CREATED"
    PROJECT_UPDATED = "PROJECT_UPDATED"
    PROJECT_ARCHIVED = "PROJECT_ARCHIVED"
    PROJECT_UNARCHIVED = "PROJECT_UNARCHIVED"
    PROJECT_DELETED = "PROJECT_DELETED"
    PROJECT_RESTORED = "PROJECT_RESTORED"
    PROJECT_TRANSFERRED = "PROJECT_TRANSFERRED"
    MEMBER_ADDED = "MEMBER_ADDED"
    MEMBER_UPDATED = "MEMBER_UPDATED"
    MEMBER_REMOVED = "MEMBER_REMOVED"
    TASK_CREATED = "TASK_CREATED"
    TASK_UPDATED = "TASK_UPDATED"
    TASK_COMPLETED = "TASK_COMPLETED"
    TASK_REOPENED = "TASK_REOPENED"
    TASK_ASSIGNED = "TASK_ASSIGNED"
    TASK_MOVED = "TASK_MOVED"
    TASK_DELETED = "TASK_DELETED"
    TASK_RESTORED = "TASK_RESTORED"
    SHARE_CREATED = "SHARE_CREATED"
    SHARE_UPDATED = "SHARE_UPDATED"
    SHARE_DELETED = "SHARE_DELETED"
    COMMENT_CREATED = "COMMENT_CREATED"
    COMMENT_UPDATED = "COMMENT_UPDATED"
    COMMENT_DELETED = "COMMENT_DELETED"
    ATTACHMENT_CREATED = "ATTACHMENT_CREATED"
    ATTACHMENT_DELETED = "ATTACHMENT_DELETED"
    TIME_ENTRY_CREATED = "TIME_ENTRY_CREATED"
    TIME_ENTRY_UPDATED = "TIME_ENTRY_UPDATED"
    TIME_ENTRY_DELETED = "TIME_ENTRY_DELETED"
    TIMER_STARTED = "TIMER_STARTED"
    TIMER_STOPPED = "TIMER_STOPPED"
    NOTIFICATION_CREATED = "NOTIFICATION_CREATED"
    REMINDER_CREATED = "REMINDER_CREATED"
    REMINDER_UPDATED = "REMINDER_UPDATED"
    REMINDER_DELETED = "REMINDER_DELETED"
    REMINDER_DUE = "REMINDER_DUE"
    WEBHOOK_CREATED = "WEBHOOK_CREATED"
    WEBHOOK_UPDATED = "WEBHOOK_UPDATED"
    WEBHOOK_DELETED = "WEBHOOK_DELETED"
    WEBHOOK_TESTED = "WEBHOOK_TESTED"
    REPORT_EXPORT_UPDATED = "REPORT_EXPORT_UPDATED"
    INTEGRATION_CONNECTED = "INTEGRATION_CONNECTED"
    INTEGRATION_UPDATED = "INTEGRATION_UPDATED"
    INTEGRATION_DISCONNECTED = "INTEGRATION_DISCONNECTED"
    ACCESS_LOST = "ACCESS_LOST"
    USER_REGISTERED = "USER_REGISTERED"
    USER_UPDATED = "USER_UPDATED"
    USER_ACTIVATED = "USER_ACTIVATED"
    USER_DEACTIVATED = "USER_DEACTIVATED"
    USER_DELETED = "USER_DELETED"
    SESSION_CREATED = "SESSION_CREATED"
    SESSION_UPDATED = "SESSION_UPDATED"
    SESSION_REVOKED = "SESSION_REVOKED"
    API_KEY_CREATED = "API_KEY_CREATED"
    API_KEY_REVOKED = "API_KEY_REVOKED"
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105 - a kind of event, not a password


# Descriptions for the schema, one for every member (`graph.types.events.event` reads them).
KIND_DESCRIPTIONS: dict[EventKind, str] = {
    EventKind.PROJECT_CREATED: "A project was made.",
    EventKind.PROJECT_UPDATED: (
        "Name, description, key, color or the settings of time of a project changed."
    ),
    EventKind.PROJECT_ARCHIVED: "A project became read-only.",
    EventKind.PROJECT_UNARCHIVED: "An archived project was opened again.",
    EventKind.PROJECT_DELETED: (
        "A project went into the trash, with its tasks. Whoever saw these gets ACCESS_LOST for "
        "each."
    ),
    EventKind.PROJECT_RESTORED: "A project came back from the trash, with its tasks.",
    EventKind.PROJECT_TRANSFERRED: "A project has another owner.",
    EventKind.MEMBER_ADDED: "Somebody became a member of a project.",
    EventKind.MEMBER_UPDATED: "A member of a project has another role.",
    EventKind.MEMBER_REMOVED: (
        "Somebody left a project or was removed from it. Their assignments in it end."
    ),
    EventKind.TASK_CREATED: "A task was made.",
    EventKind.TASK_UPDATED: "Fields of a task changed.",
    EventKind.TASK_COMPLETED: "A task was completed.",
    EventKind.TASK_REOPENED: "A completed or cancelled task was opened again.",
    EventKind.TASK_ASSIGNED: "A task has another assignee, or none any more.",
    EventKind.TASK_MOVED: (
        "A task has another place in its list, or another project. The project that it left gets "
        "an event of its own."
    ),
    EventKind.TASK_DELETED: (
        "A task went into the trash. Whoever saw its subtasks, which go with it, gets ACCESS_LOST "
        "for each."
    ),
    EventKind.TASK_RESTORED: (
        "A task came back from the trash: by itself, or with the task above it or its project."
    ),
    EventKind.SHARE_CREATED: "A task was shared with somebody.",
    EventKind.SHARE_UPDATED: "What a share of a task allows, or for how long, changed.",
    EventKind.SHARE_DELETED: "A task is not shared with somebody any more.",
    EventKind.COMMENT_CREATED: "A comment was written.",
    EventKind.COMMENT_UPDATED: "A comment was edited.",
    EventKind.COMMENT_DELETED: "A comment was deleted.",
    EventKind.ATTACHMENT_CREATED: "A file was attached to a task.",
    EventKind.ATTACHMENT_DELETED: "A file was taken off a task.",
    EventKind.TIME_ENTRY_CREATED: (
        "Time was entered. Events about time are for its user, and for owner and admins of its "
        "project."
    ),
    EventKind.TIME_ENTRY_UPDATED: "A time entry was changed.",
    EventKind.TIME_ENTRY_DELETED: "A time entry was deleted.",
    EventKind.TIMER_STARTED: "Somebody started a timer: a time entry without an end.",
    EventKind.TIMER_STOPPED: "A timer was stopped; its time entry has an end.",
    EventKind.NOTIFICATION_CREATED: (
        "You were told of something; for you alone, by `notificationReceived`."
    ),
    EventKind.WEBHOOK_CREATED: "You made a webhook.",
    EventKind.WEBHOOK_UPDATED: "A webhook of yours was changed, rotated, disabled or enabled.",
    EventKind.WEBHOOK_DELETED: "You deleted a webhook.",
    EventKind.WEBHOOK_TESTED: "You asked for a test of a webhook; it is sent to that one alone.",
    EventKind.REMINDER_CREATED: "You made a reminder. Events about reminders are for their owner.",
    EventKind.REMINDER_UPDATED: (
        "A reminder was changed, or turned off because what it is about is gone."
    ),
    EventKind.REMINDER_DELETED: "A reminder was deleted.",
    EventKind.REMINDER_DUE: "The time of a reminder has come that has WEBHOOK among its channels.",
    EventKind.REPORT_EXPORT_UPDATED: "An export of a report of yours went on, or ended.",
    EventKind.INTEGRATION_CONNECTED: "You connected a project with another service.",
    EventKind.INTEGRATION_UPDATED: "An integration of yours was changed, failed, or works again.",
    EventKind.INTEGRATION_DISCONNECTED: "You ended an integration.",
    EventKind.ACCESS_LOST: (
        "You cannot see the subject any more: by what others did, by what you did yourself (your "
        "other devices hear it), or because a share expired. Sent to those who lost it, whatever "
        "the filter's kinds and actors; drop what you show of it. When you lose a project, you get "
        "one for each task that you cannot see any more, too."
    ),
    EventKind.USER_REGISTERED: "An account was made.",
    EventKind.USER_UPDATED: "A profile or an account changed.",
    EventKind.USER_ACTIVATED: "An account was activated again.",
    EventKind.USER_DEACTIVATED: "An account was deactivated.",
    EventKind.USER_DELETED: "An account was deleted.",
    EventKind.SESSION_CREATED: "Somebody signed in.",
    EventKind.SESSION_UPDATED: "A session has another name.",
    EventKind.SESSION_REVOKED: "A session was ended.",
    EventKind.API_KEY_CREATED: "An API key was made.",
    EventKind.API_KEY_REVOKED: "An API key was revoked.",
    EventKind.PASSWORD_CHANGED: "A password was changed.",
}
