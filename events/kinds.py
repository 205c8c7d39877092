"""The kinds of events. They are part of the API: kinds are only ever added."""

from __future__ import annotations

from enum import Enum


class EventKind(Enum):
    """One kind of change; the first word is the type of the subject."""

    PROJECT_CREATED = "PROJECT_CREATED"
    PROJECT_UPDATED = "PROJECT_UPDATED"
    PROJECT_ARCHIVED = "PROJECT_ARCHIVED"
    PROJECT_UNARCHIVED = "PROJECT_UNARCHIVED"
    PROJECT_DELETED = "PROJECT_DELETED"
    PROJECT_RESTORED = "PROJECT_RESTORED"
    PROJECT_TRANSFERRED = "PROJECT_TRANSFERRED"
    PROJECT_MEMBER_ADDED = "PROJECT_MEMBER_ADDED"
    PROJECT_MEMBER_UPDATED = "PROJECT_MEMBER_UPDATED"
    PROJECT_MEMBER_REMOVED = "PROJECT_MEMBER_REMOVED"
    TASK_CREATED = "TASK_CREATED"
    TASK_UPDATED = "TASK_UPDATED"
    TASK_COMPLETED = "TASK_COMPLETED"
    TASK_REOPENED = "TASK_REOPENED"
    TASK_ASSIGNED = "TASK_ASSIGNED"
    TASK_MOVED = "TASK_MOVED"
    TASK_DELETED = "TASK_DELETED"
    TASK_RESTORED = "TASK_RESTORED"
    TASK_SHARE_CREATED = "TASK_SHARE_CREATED"
    TASK_SHARE_UPDATED = "TASK_SHARE_UPDATED"
    TASK_SHARE_DELETED = "TASK_SHARE_DELETED"
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
    INTEGRATION_CREATED = "INTEGRATION_CREATED"
    INTEGRATION_UPDATED = "INTEGRATION_UPDATED"
    INTEGRATION_DELETED = "INTEGRATION_DELETED"
    ACCESS_LOST = "ACCESS_LOST"
    USER_CREATED = "USER_CREATED"
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


class EventSubjectType(Enum):
    """The types of subjects; their values are the models' names, which the log keeps."""

    TASK = "Task"
    PROJECT = "Project"
    PROJECT_MEMBER = "ProjectMember"
    USER = "User"
    TASK_SHARE = "TaskShare"
    COMMENT = "Comment"
    TIME_ENTRY = "TimeEntry"
    ATTACHMENT = "Attachment"
    REMINDER = "Reminder"
    WEBHOOK = "Webhook"
    INTEGRATION = "Integration"
    REPORT_EXPORT = "ReportExport"
    SESSION = "Session"
    API_KEY = "ApiKey"
    NOTIFICATION = "Notification"


SUBJECT_DESCRIPTIONS: dict[EventSubjectType, str] = {
    EventSubjectType.TASK: "A task.",
    EventSubjectType.PROJECT: "A project.",
    EventSubjectType.PROJECT_MEMBER: "A membership of a project.",
    EventSubjectType.USER: "A user: their profile, account or password.",
    EventSubjectType.TASK_SHARE: "A share of a task.",
    EventSubjectType.COMMENT: "A comment.",
    EventSubjectType.TIME_ENTRY: "A time entry, running or ended.",
    EventSubjectType.ATTACHMENT: "An attachment.",
    EventSubjectType.REMINDER: "A reminder.",
    EventSubjectType.WEBHOOK: "A webhook.",
    EventSubjectType.INTEGRATION: "An integration.",
    EventSubjectType.REPORT_EXPORT: "A report export.",
    EventSubjectType.SESSION: "A session.",
    EventSubjectType.API_KEY: "An API key.",
    EventSubjectType.NOTIFICATION: "A notification.",
}


class EventSource(Enum):
    """What an event was caused with."""

    SESSION = "SESSION"
    API_KEY = "API_KEY"
    INTEGRATION = "INTEGRATION"
    APPLICATION = "APPLICATION"
    SYSTEM = "SYSTEM"


# The descriptions in the schema, one per member (`graph.core.enums` reads them).
KIND_DESCRIPTIONS: dict[EventKind, str] = {
    EventKind.PROJECT_CREATED: "A project was created.",
    EventKind.PROJECT_UPDATED: (
        "The name, description, key, color or time settings of a project changed."
    ),
    EventKind.PROJECT_ARCHIVED: "A project was archived and is read-only.",
    EventKind.PROJECT_UNARCHIVED: "A project was unarchived.",
    EventKind.PROJECT_DELETED: (
        "A project was moved to the trash with its tasks; each task has a `TASK_DELETED` of its "
        "own."
    ),
    EventKind.PROJECT_RESTORED: "A project was restored from the trash with its tasks.",
    EventKind.PROJECT_TRANSFERRED: "A project was transferred to a new owner.",
    EventKind.PROJECT_MEMBER_ADDED: "A user became a member of a project.",
    EventKind.PROJECT_MEMBER_UPDATED: "The role of a project member changed.",
    EventKind.PROJECT_MEMBER_REMOVED: (
        "A user left a project or was removed from it. Their assignments in it end."
    ),
    EventKind.TASK_CREATED: "A task was created.",
    EventKind.TASK_UPDATED: "Fields of a task changed.",
    EventKind.TASK_COMPLETED: "A task was completed.",
    EventKind.TASK_REOPENED: "A completed or cancelled task was reopened.",
    EventKind.TASK_ASSIGNED: "A task was assigned, reassigned or unassigned.",
    EventKind.TASK_MOVED: (
        "A task was moved within its list or to another project, perhaps with another parent, "
        "status or assignee at once. The previous project gets an event of its own. A move that "
        "completes or reopens the task is `TASK_COMPLETED` or `TASK_REOPENED`."
    ),
    EventKind.TASK_DELETED: (
        "A task was moved to the trash, on its own or with its parent or project. Delivered to "
        "everyone who could see it."
    ),
    EventKind.TASK_RESTORED: (
        "A task was restored from the trash, on its own or with its parent or project."
    ),
    EventKind.TASK_SHARE_CREATED: "A task was shared with a user.",
    EventKind.TASK_SHARE_UPDATED: "The permission or expiry of a share changed.",
    EventKind.TASK_SHARE_DELETED: "A share of a task ended.",
    EventKind.COMMENT_CREATED: "A comment was created.",
    EventKind.COMMENT_UPDATED: "A comment was edited.",
    EventKind.COMMENT_DELETED: "A comment was deleted.",
    EventKind.ATTACHMENT_CREATED: "A file was attached to a task.",
    EventKind.ATTACHMENT_DELETED: "An attachment was deleted from a task.",
    EventKind.TIME_ENTRY_CREATED: (
        "A time entry was created. Events about time are visible to its user and to the owner "
        "and admins of its project."
    ),
    EventKind.TIME_ENTRY_UPDATED: "A time entry was changed.",
    EventKind.TIME_ENTRY_DELETED: "A time entry was deleted.",
    EventKind.TIMER_STARTED: "A timer was started: a time entry without an end.",
    EventKind.TIMER_STOPPED: "A timer was stopped; its time entry has an end.",
    EventKind.NOTIFICATION_CREATED: (
        "You received a notification. Delivered to you alone; see `notificationReceived`."
    ),
    EventKind.WEBHOOK_CREATED: "You created a webhook.",
    EventKind.WEBHOOK_UPDATED: (
        "One of your webhooks was changed, disabled or enabled, or its secret was rotated."
    ),
    EventKind.WEBHOOK_DELETED: "You deleted a webhook.",
    EventKind.WEBHOOK_TESTED: (
        "You requested a test of a webhook; the event is sent to that webhook only."
    ),
    EventKind.REMINDER_CREATED: (
        "You created a reminder. Events about reminders are visible to their owner only."
    ),
    EventKind.REMINDER_UPDATED: (
        "A reminder was changed, or disabled because its task or project is gone."
    ),
    EventKind.REMINDER_DELETED: "A reminder was deleted.",
    EventKind.REMINDER_DUE: "A reminder with WEBHOOK among its channels is due.",
    EventKind.REPORT_EXPORT_UPDATED: "One of your report exports made progress or ended.",
    EventKind.INTEGRATION_CREATED: "You connected a project to another service.",
    EventKind.INTEGRATION_UPDATED: "One of your integrations was changed, failed or recovered.",
    EventKind.INTEGRATION_DELETED: "You disconnected an integration.",
    EventKind.ACCESS_LOST: (
        "You can no longer see the subject: because of a change by others or by yourself (for "
        "your other devices), or because a share expired. Delivered to those who lost access, "
        "regardless of the filter's kinds and actors; remove the subject from the screen. When "
        "you lose a project, you also get one event for each task that you can no longer see."
    ),
    EventKind.USER_CREATED: "An account was created.",
    EventKind.USER_UPDATED: "A profile or an account changed.",
    EventKind.USER_ACTIVATED: "An account was activated.",
    EventKind.USER_DEACTIVATED: "An account was deactivated.",
    EventKind.USER_DELETED: "An account was deleted.",
    EventKind.SESSION_CREATED: "A user signed in.",
    EventKind.SESSION_UPDATED: "A session was renamed.",
    EventKind.SESSION_REVOKED: "A session was revoked.",
    EventKind.API_KEY_CREATED: "An API key was created.",
    EventKind.API_KEY_REVOKED: "An API key was revoked.",
    EventKind.PASSWORD_CHANGED: "A password was changed.",
}
