"""The scopes that the schema requires, field by field.

API keys cannot read anything that is not declared here: a type is in `TYPES` with the scope that
all of its fields need, and a field that shows something of another noun is in `FIELDS` with what it
needs beside that. `Task.commentCount` is a number of comments, and so needs both `tasks:read` and
`comments:read`. Filters and orderings reveal the values that they compare: `TaskFilter.tracked`
needs what `Task.tracked` needs, without an entry of its own. `graph.request.scopes.complete` runs
when the schema is built, and rejects a field without a declaration.

A new field on a type inherits the type's scope. Ask of each: what does it show, and which noun does
that belong to?
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from graphql import OperationType

Scopes = tuple[str, ...]

# For everyone, whatever the scopes of their key.
FREE: Final[Scopes] = ()
# Requires a session: everything about the account and its credentials.
SESSION: Final = "session"

# --- root fields ---------------------------------------------------------------------------------
# By the beginning of their names, which is their noun; the longest match applies. `task` covers
# `task`, `tasks` and `taskStats`.

_SEARCHED: Final[Scopes] = ("tasks:read", "comments:read", "projects:read")

_TRASHED: Final[Scopes] = ("tasks:read", "projects:read")

_QUERIES: Final[Mapping[str, Scopes]] = {
    "serverInfo": FREE,
    "rateLimit": FREE,
    "viewer": FREE,
    # Each object needs the scope of its type; see `graph.schema`.
    "node": FREE,
    "search": _SEARCHED,
    "trash": _TRASHED,
    "task": ("tasks:read",),
    "tag": ("tasks:read",),
    "project": ("projects:read",),
    "comment": ("comments:read",),
    "attachment": ("files:read",),
    "time": ("time:read",),
    "report": ("time:read",),
    "user": ("people:read",),
    "event": ("events:read",),
    "reminder": ("reminders:read",),
    "webhook": ("webhooks:read",),
    "integration": ("integrations:read",),
    "admin": ("admin:read",),
    "adminAudit": ("admin:read", "events:read"),
}
_MUTATIONS: Final[Mapping[str, Scopes]] = {
    "task": ("tasks:write",),
    "project": ("projects:write",),
    # What others then see of you in the project.
    "presence": ("projects:write",),
    "comment": ("comments:write",),
    "attachment": ("files:write",),
    "time": ("time:write",),
    "timer": ("time:write",),
    # The file names projects and tasks.
    "reportExportCreate": ("time:write", "projects:read", "tasks:read"),
    "report": ("time:write",),
    "notification": ("notifications:write",),
    "reminder": ("reminders:write",),
    # What webhooks and integrations send needs more scopes, depending on their settings: see
    # `graph.types.integrations.webhook` and `graph.types.integrations.integration`.
    "webhook": ("webhooks:write",),
    "integration": ("integrations:write",),
    "admin": ("admin:write",),
    "userRegister": (SESSION,),
    "account": (SESSION,),
    "session": (SESSION,),
    "streamToken": (SESSION,),
    "password": (SESSION,),
    "email": (SESSION,),
    "avatar": (SESSION,),
    "apiKey": (SESSION,),
    "device": (SESSION,),
    "notificationPreferences": ("notifications:write",),
}
_SUBSCRIPTIONS: Final[Mapping[str, Scopes]] = {
    "task": ("events:read",),
    "project": ("projects:read",),
    "notification": ("notifications:read",),
    "timer": ("time:read",),
    "report": ("time:read",),
}
ROOTS: Final[Mapping[OperationType, Mapping[str, Scopes]]] = {
    OperationType.QUERY: _QUERIES,
    OperationType.MUTATION: _MUTATIONS,
    OperationType.SUBSCRIPTION: _SUBSCRIPTIONS,
}

# --- types ---------------------------------------------------------------------------------------
# `XConnection`, `XEdge`, `XFilter`, `XListFilter` and `XOrder` are declared by `X`, unless they
# are listed here themselves. Payloads and the inputs of mutations inherit from their mutation.

_TYPES: Final[Mapping[str, str]] = {
    "tasks:read": (
        "Task TaskShare Tag SubtaskProgress ExternalReference TaskStats TaskStatusCount "
        "TaskPriorityCount TaskStatsGroup TaskBulkResult"
    ),
    "projects:read": "Project ProjectMember ProjectPresence Presence",
    "comments:read": "Comment CommentRevision",
    "files:read": "Attachment AttachmentUploadTarget",
    "time:read": (
        "TimeEntry TimerEvent TimeReport TimeReportGroup ReportExport ReportExportEvent "
        "TimeEntryBulkResult TimeEntryImportResult TimeEntryImportNotice"
    ),
    "people:read": "User",
    "events:read": (
        "Event FieldChange TextChange NumberChange BooleanChange DateChange DateTimeChange "
        "NodeChange ListChange JSONChange EventStats EventKindCount EventSubjectTypeCount"
    ),
    "notifications:read": (
        "Notification NotificationEvent NotificationPreferences NotificationChannels"
    ),
    "reminders:read": (
        "Reminder ReminderRule ReminderDue ReminderStart ReminderOnce ReminderDaily ReminderWeekly "
        "ReminderMonthly"
    ),
    "webhooks:read": "Webhook WebhookDelivery WebhookAttempt",
    "integrations:read": (
        "Integration IntegrationProblem IntegrationSettings GitHubSettings GitHubAssignee "
        "SlackSettings"
    ),
    "admin:read": "Job JobQueue AdminUser",
    SESSION: "Session ApiKey Device",
}
# Their fields belong to many nouns; each of them is declared in `FIELDS`.
BY_FIELD: Final = frozenset({"Viewer"})
# Declared by the field that they appear at.
_NEUTRAL: Final = (
    "Node MutationPayload UserError PageInfo RateLimit ServerInfo Credentials UserConnection "
    "UserEdge "
    # Their subjects are declared by their own types.
    "EventSubject SearchSubject TrashItem "
    # Filters and orderings by what everyone sees of a user.
    "UserFilter UserOrder "
    # Comparators are declared by the field that they appear at.
    "DateFilter DateTimeFilter DevicePlatformFilter EventKindFilter IDFilter IntFilter "
    "IntegrationKindFilter IntegrationStatusFilter JobStatusFilter NotificationKindFilter "
    "ProjectRoleFilter ReminderRuleKindFilter ReportExportFormatFilter ReportExportStatusFilter "
    "SecondsFilter StringFilter TagListFilter "
    "TaskPriorityFilter TaskSharePermissionFilter TaskStatusFilter WebhookDeliveryStatusFilter "
    "WebhookStatusFilter"
)
TYPES: Final[Mapping[str, Scopes]] = {
    **{name: (scope,) for scope, names in _TYPES.items() for name in names.split()},
    **dict.fromkeys(["SearchConnection", "SearchEdge", "SearchFilter", "SearchResult"], _SEARCHED),
    "SearchFragment": _SEARCHED,
    **dict.fromkeys(BY_FIELD, FREE),
    **dict.fromkeys(["TrashConnection", "TrashEdge"], _TRASHED),
    **dict.fromkeys(_NEUTRAL.split(), FREE),
}

# --- fields --------------------------------------------------------------------------------------

FIELDS: Final[Mapping[str, Scopes]] = {
    "Viewer.id": FREE,
    "Viewer.user": FREE,
    "Viewer.credentials": FREE,
    "Viewer.email": ("people:read",),
    "Viewer.emailVerifiedAt": ("people:read",),
    "Viewer.timezone": ("people:read",),
    "Viewer.weekStart": ("people:read",),
    "Viewer.locale": ("people:read",),
    "Viewer.isAdmin": ("people:read",),
    "Viewer.sessions": (SESSION,),
    "Viewer.apiKeys": (SESSION,),
    "Viewer.devices": (SESSION,),
    "Viewer.notifications": ("notifications:read",),
    "Viewer.unreadNotificationCount": ("notifications:read",),
    "Viewer.notificationPreferences": ("notifications:read",),
    "Viewer.reminders": ("reminders:read",),
    "Viewer.webhooks": ("webhooks:read",),
    "Viewer.integrations": ("integrations:read",),
    "Viewer.activity": ("events:read",),
    "Viewer.activityStats": ("events:read",),
    "Viewer.assignedTasks": ("tasks:read",),
    "Viewer.ownedTasks": ("tasks:read",),
    "Viewer.receivedShares": ("tasks:read",),
    "Viewer.runningTimer": ("time:read",),
    "Viewer.reportExports": ("time:read",),
    # Fields that need more than their type.
    "Task.identifier": ("projects:read",),
    "Task.commentCount": ("comments:read",),
    "Task.attachmentCount": ("files:read",),
    "Task.tracked": ("time:read",),
    "Task.syncProblem": ("integrations:read",),
    # It contains the task's ID.
    "Comment.url": ("tasks:read",),
    "Project.tracked": ("time:read",),
    "TaskStats.commentsPosted": ("comments:read",),
    # A file that names projects and tasks.
    "ReportExport.downloadUrl": ("projects:read", "tasks:read"),
    # By a task's dates these are the task's dates.
    "Reminder.nextRunAt": ("tasks:read",),
    "Reminder.nextRuns": ("tasks:read",),
    "Reminder.lastRunAt": ("tasks:read",),
    # The session that acted.
    "Event.ip": ("admin:read",),
    "Event.session": ("admin:read",),
    "Event.apiKey": ("admin:read",),
    "Event.integration": ("admin:read",),
    "UserOrder.createdAt": ("people:read",),
    # What everyone sees of a user who appears at tasks, comments and events.
    "User.__typename": FREE,
    "User.id": FREE,
    "User.username": FREE,
    "User.fullName": FREE,
    "User.displayName": FREE,
    "User.avatarUrl": FREE,
    # Declared by its own type.
    "User.assignedTasks": FREE,
    "User.ownedTasks": FREE,
    "User.ownedProjects": FREE,
}
# Objects of which a key can read these fields at this position, whatever its scopes: its own
# credentials. None: all fields.
OWN: Final[Mapping[str, frozenset[str] | None]] = {
    "Credentials.session": None,
    "Credentials.apiKey": None,
    "Credentials.projects": frozenset({"__typename", "id"}),
}
# Arguments that need a scope of another noun.
ARGUMENTS: Final[Mapping[str, Scopes]] = {
    # With a rule of the task's dates the answer has these dates.
    "Query.reminderPreview(taskId:)": ("tasks:read",),
}
