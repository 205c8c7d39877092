"""Enums of the models as the schema shows them; described before any type names them."""

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
from events.kinds import KIND_DESCRIPTIONS, EventKind
from graph.core.node import described_enum

described_enum(EventKind, "What happened; kinds are only ever added.", KIND_DESCRIPTIONS)

described_enum(
    TaskStatus,
    "Where a task stands. Sorts in this order.",
    {
        TaskStatus.TODO: "Not begun.",
        TaskStatus.IN_PROGRESS: "Being worked on.",
        TaskStatus.COMPLETED: "Done.",
        TaskStatus.CANCELLED: "Given up.",
    },
)
described_enum(
    TaskPriority,
    "How much a task matters. Sorts from NONE up to URGENT.",
    {
        TaskPriority.NONE: "Not weighed.",
        TaskPriority.LOW: "When there is time.",
        TaskPriority.MEDIUM: "In its turn.",
        TaskPriority.HIGH: "Before others.",
        TaskPriority.URGENT: "Now.",
    },
)


described_enum(
    Role,
    "What a project member may do; each role may do all that the lower ones may.",
    {
        Role.VIEWER: "Sees the project and its tasks, and comments.",
        Role.EDITOR: "Makes and changes tasks.",
        Role.ADMIN: "Changes the project, its members, and deletes tasks.",
        Role.OWNER: "Deletes and transfers the project. Each project has one owner.",
    },
)

described_enum(
    Permission,
    "What a share allows.",
    {
        Permission.VIEW: "To see the task and its subtasks, and to comment.",
        Permission.EDIT: "To change them too.",
    },
)

described_enum(
    NotificationKind,
    "Why you are told.",
    {
        NotificationKind.TASK_SHARED_WITH_ME: "Somebody shared a task with you.",
        NotificationKind.TASK_ASSIGNED_TO_ME: "Somebody gave you a task to do.",
        NotificationKind.TASK_COMPLETED: (
            "Somebody completed a task that is yours, or that you were to do."
        ),
        NotificationKind.COMMENT_ON_MY_TASK: (
            "Somebody commented on a task that is yours, or that you are to do."
        ),
        NotificationKind.MENTIONED: "Somebody mentioned you in a comment.",
        NotificationKind.TASK_DUE_SOON: "A task that you are to do is due soon.",
        NotificationKind.REMINDER: "A reminder of yours.",
        NotificationKind.WEBHOOK_DISABLED: (
            "A webhook of yours was turned off, because its receiver does not answer."
        ),
        NotificationKind.INTEGRATION_FAILED: (
            "An integration of yours has stopped, and cannot go on until you change something."
        ),
    },
)

described_enum(
    JobState,
    "What has become of a job.",
    {
        JobState.WAITING: "It waits for its time, or for another attempt.",
        JobState.RUNNING: "A worker runs it.",
        JobState.DONE: "It was done, less than a day ago.",
        JobState.FAILED: "It was given up, and is held for you to look at; see `jobRetry`.",
    },
)

described_enum(
    Platform,
    "What a device runs.",
    {
        Platform.ANDROID: "Android.",
        Platform.IOS: "iOS or iPadOS.",
        Platform.WEB: "A web browser.",
    },
)

described_enum(
    WebhookStatus,
    "Whether a webhook is sent events.",
    {
        WebhookStatus.ACTIVE: "Events are sent.",
        WebhookStatus.DISABLED: "Nothing is sent; `disabledReason` says why.",
    },
)

described_enum(
    DeliveryState,
    "What has become of a delivery.",
    {
        DeliveryState.PENDING: "It waits for its first attempt, or for another one.",
        DeliveryState.DELIVERED: "The receiver answered with a status from 200 to 299.",
        DeliveryState.FAILED: "No attempt succeeded, and none follows.",
        DeliveryState.SKIPPED: "Nothing was sent; `error` says why.",
    },
    name="WebhookDeliveryState",
)

described_enum(
    RuleKind,
    "By what a reminder is set.",
    {
        RuleKind.DUE: "By when its task is due.",
        RuleKind.START: "By when work on its task may begin.",
        RuleKind.ONCE: "At one moment.",
        RuleKind.DAILY: "Each day.",
        RuleKind.WEEKLY: "On days of the week.",
        RuleKind.MONTHLY: "On a day of the month.",
    },
    name="ReminderRuleKind",
)

described_enum(
    ReminderChannel,
    "A way by which a reminder reaches you.",
    {
        ReminderChannel.IN_APP: "In the inbox, and live to the apps that are open.",
        ReminderChannel.EMAIL: "By mail, to a verified address, unless you want no mail at all.",
        ReminderChannel.PUSH: "By push messages to your registered devices.",
        ReminderChannel.WEBHOOK: "To your webhooks, as the event `REMINDER_DUE`.",
    },
)

described_enum(
    Connector,
    "A service that projects can be connected with.",
    {
        Connector.GITHUB: (
            "Issues of a repository on GitHub become tasks, with labels, assignees, comments and "
            "state; a task that is completed closes its issue."
        ),
        Connector.SLACK: (
            "A channel is told what happens in a project, by an incoming webhook of Slack, or of "
            "what takes the same messages."
        ),
    },
)

described_enum(
    IntegrationStatus,
    "Whether an integration is at work.",
    {
        IntegrationStatus.ACTIVE: "It is at work.",
        IntegrationStatus.PAUSED: "You have paused it.",
        IntegrationStatus.FAILED: (
            "It cannot go on until something is changed; `lastError` says what."
        ),
    },
)

__all__ = [
    "Connector",
    "DeliveryState",
    "EventKind",
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
