"""The tables, one file per noun. Importing this package completes the metadata."""

from db.models.account_code import AccountCode, CodePurpose, EmailUndo
from db.models.api_key import ApiKey
from db.models.attachment import Attachment, StoredFile
from db.models.comment import Comment, CommentMention, CommentRevision
from db.models.counters import (
    ListCount,
    ListCountChange,
    TagCount,
    TagCountChange,
    TaskCounters,
)
from db.models.device import Device, Platform
from db.models.document import RegisteredDocument
from db.models.event import Event, EventMonth, LogEpoch
from db.models.external_reference import TaskExternalReference
from db.models.idempotency import IdempotencyKey
from db.models.integration import Connector, ExternalLink, Integration, IntegrationStatus
from db.models.job import Job, JobState, LogConsumer, Worker
from db.models.notification import (
    Channel,
    Notification,
    NotificationKind,
    NotificationPreferences,
)
from db.models.project import Project, ProjectMember, Role
from db.models.reminder import DueNotice, Reminder, ReminderChannel, RuleKind
from db.models.report_export import ExportFormat, ExportState, ReportExport
from db.models.session import RefreshToken, Session, UsedStreamToken
from db.models.share import Permission, TaskShare
from db.models.task import Task, TaskPriority, TaskStatus
from db.models.time_entry import TimeEntry
from db.models.user import User, WeekDay
from db.models.webhook import (
    DeliveryState,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookStatus,
)

__all__ = [
    "AccountCode",
    "ApiKey",
    "Attachment",
    "Channel",
    "CodePurpose",
    "Comment",
    "CommentMention",
    "CommentRevision",
    "Connector",
    "DeliveryState",
    "Device",
    "DueNotice",
    "EmailUndo",
    "Event",
    "EventMonth",
    "ExportFormat",
    "ExportState",
    "ExternalLink",
    "IdempotencyKey",
    "Integration",
    "IntegrationStatus",
    "Job",
    "JobState",
    "ListCount",
    "ListCountChange",
    "LogConsumer",
    "LogEpoch",
    "Notification",
    "NotificationKind",
    "NotificationPreferences",
    "Permission",
    "Platform",
    "Project",
    "ProjectMember",
    "RefreshToken",
    "RegisteredDocument",
    "Reminder",
    "ReminderChannel",
    "ReportExport",
    "Role",
    "RuleKind",
    "Session",
    "StoredFile",
    "TagCount",
    "TagCountChange",
    "Task",
    "TaskCounters",
    "TaskExternalReference",
    "TaskPriority",
    "TaskShare",
    "TaskStatus",
    "TimeEntry",
    "UsedStreamToken",
    "User",
    "Webhook",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookStatus",
    "WeekDay",
    "Worker",
]
