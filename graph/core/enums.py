"""Enums of the models as the schema shows them; described here before a type uses them."""

from __future__ import annotations

from db.models import (
    Connector,
    DeliveryState,
    IntegrationStatus,
    JobState,
    NotificationKind,
    Permission,
    Platform,
    ReminderChannel,
    Role,
    RuleKind,
    TaskPriority,
    TaskStatus,
    WebhookStatus,
)
from events.kinds import (
    KIND_DESCRIPTIONS,
    SUBJECT_DESCRIPTIONS,
    EventKind,
    EventSource,
    EventSubjectType,
)
from graph.core.node import described_enum

described_enum(
    EventKind, "The kind of an event. Kinds may be added, but are never removed.", KIND_DESCRIPTIONS
)
described_enum(
    EventSubjectType,
    "The type of what an event is about. Types may be added, but are never removed.",
    SUBJECT_DESCRIPTIONS,
)
described_enum(
    EventSource,
    "What an event was caused with. Sources may be added, but are never removed.",
    {
        EventSource.SESSION: "A signed-in session of the actor.",
        EventSource.API_KEY: "An API key of the actor.",
        EventSource.INTEGRATION: "An integration of the actor, by itself.",
        EventSource.APPLICATION: "An application that acts for the actor.",
        EventSource.SYSTEM: "The server itself.",
    },
)

described_enum(
    TaskStatus,
    "The status of a task. Sorts in this order.",
    {
        TaskStatus.TODO: "Not started.",
        TaskStatus.IN_PROGRESS: "In progress.",
        TaskStatus.COMPLETED: "Completed.",
        TaskStatus.CANCELLED: "Cancelled; the task will not be done.",
    },
)
described_enum(
    TaskPriority,
    "The priority of a task. Sorts from NONE up to URGENT.",
    {
        TaskPriority.NONE: "No priority.",
        TaskPriority.LOW: "Low priority.",
        TaskPriority.MEDIUM: "Normal priority.",
        TaskPriority.HIGH: "High priority.",
        TaskPriority.URGENT: "Needs immediate attention.",
    },
)


described_enum(
    Role,
    "The role of a project member. Each role includes the permissions of the lower ones.",
    {
        Role.VIEWER: "Can see the project and its tasks, and comment.",
        Role.EDITOR: "Can create and edit tasks.",
        Role.ADMIN: "Can edit the project, manage its members and delete tasks.",
        Role.OWNER: "Can delete and transfer the project. Each project has one owner.",
    },
    name="ProjectRole",
)

described_enum(
    Permission,
    "What a share allows.",
    {
        Permission.VIEW: "Can see the task and its subtasks, and comment.",
        Permission.EDIT: "Can also edit the task and its subtasks.",
    },
    name="TaskSharePermission",
)

described_enum(
    NotificationKind,
    "The reason for a notification.",
    {
        NotificationKind.TASK_SHARED_WITH_ME: "Someone shared a task with you.",
        NotificationKind.TASK_ASSIGNED_TO_ME: "Someone assigned a task to you.",
        NotificationKind.TASK_COMPLETED: (
            "Someone completed a task that you own or are assigned to."
        ),
        NotificationKind.COMMENT_ON_MY_TASK: (
            "Someone commented on a task that you own or are assigned to."
        ),
        NotificationKind.MENTIONED: "Someone mentioned you in a comment.",
        NotificationKind.TASK_DUE_SOON: "A task that you are assigned to is due soon.",
        NotificationKind.REMINDER: "One of your reminders was due.",
        NotificationKind.WEBHOOK_DISABLED: (
            "One of your webhooks was disabled because its receiver does not respond."
        ),
        NotificationKind.INTEGRATION_FAILED: (
            "One of your integrations has stopped and needs a change from you to continue."
        ),
    },
)

described_enum(
    JobState,
    "The status of a background job.",
    {
        JobState.WAITING: "The job waits for its scheduled time, or for another attempt.",
        JobState.RUNNING: "A worker is running the job.",
        JobState.DONE: "The job completed less than a day ago.",
        JobState.FAILED: (
            "The job failed permanently and is kept for inspection; see `adminJobRetry`."
        ),
    },
    name="JobStatus",
)

described_enum(
    Platform,
    "The platform of a device.",
    {
        Platform.ANDROID: "Android.",
        Platform.IOS: "iOS or iPadOS.",
        Platform.WEB: "A web browser.",
    },
    name="DevicePlatform",
)

described_enum(
    WebhookStatus,
    "The status of a webhook.",
    {
        WebhookStatus.ACTIVE: "Events are delivered.",
        WebhookStatus.DISABLED: "Nothing is delivered; `disabledReason` says why.",
    },
)

described_enum(
    DeliveryState,
    "The status of a webhook delivery.",
    {
        DeliveryState.PENDING: "The delivery waits for its first attempt, or for another one.",
        DeliveryState.DELIVERED: "The receiver responded with a status from 200 to 299.",
        DeliveryState.FAILED: "All attempts failed, and none follows.",
        DeliveryState.SKIPPED: "Nothing was sent; `failureReason` says why.",
    },
    name="WebhookDeliveryStatus",
)

described_enum(
    RuleKind,
    "The kind of a reminder's rule.",
    {
        RuleKind.DUE: "Relative to the task's due time.",
        RuleKind.START: "Relative to the task's `startAt`.",
        RuleKind.ONCE: "Once, at a given time.",
        RuleKind.DAILY: "Every day.",
        RuleKind.WEEKLY: "On certain days of the week.",
        RuleKind.MONTHLY: "On one day of every month.",
    },
    name="ReminderRuleKind",
)

described_enum(
    ReminderChannel,
    "A channel through which a reminder notifies its owner.",
    {
        ReminderChannel.IN_APP: "In the in-app inbox, and live in open apps.",
        ReminderChannel.EMAIL: "By email, to a verified address, unless you turned off all email.",
        ReminderChannel.PUSH: "By push message to your registered devices.",
        ReminderChannel.WEBHOOK: "To your webhooks, as the event `REMINDER_DUE`.",
    },
)

described_enum(
    Connector,
    "A service that a project can be connected to.",
    {
        Connector.GITHUB: (
            "GitHub Issues. Issues of a repository become tasks, with labels, assignees, "
            "comments and state; completing such a task closes its issue."
        ),
        Connector.SLACK: (
            "Slack. A channel is notified of what happens in a project, through an incoming "
            "webhook of Slack or of a service that accepts the same messages."
        ),
    },
    name="IntegrationKind",
)

described_enum(
    IntegrationStatus,
    "The status of an integration.",
    {
        IntegrationStatus.ACTIVE: "The integration is running.",
        IntegrationStatus.PAUSED: "You paused the integration.",
        IntegrationStatus.FAILED: (
            "The integration needs a change to continue; `failureReason` says which."
        ),
    },
)

__all__ = [
    "Connector",
    "DeliveryState",
    "EventKind",
    "EventSource",
    "EventSubjectType",
    "IntegrationStatus",
    "JobState",
    "NotificationKind",
    "Permission",
    "Platform",
    "ReminderChannel",
    "Role",
    "RuleKind",
    "TaskPriority",
    "TaskStatus",
    "WebhookStatus",
]
