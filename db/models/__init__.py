"""The tables, one file a noun. Importing this package makes the metadata complete."""

from db.models.comment import Comment, CommentMention, CommentRevision
from db.models.event import Event, LogEpoch
from db.models.idempotency import IdempotencyKey
from db.models.job import Job, JobState, LogConsumer, Worker
from db.models.project import Project, ProjectMember, Role
from db.models.session import RefreshToken, Session
from db.models.share import Permission, TaskShare
from db.models.task import Task, TaskPriority, TaskStatus
from db.models.user import User, WeekDay

__all__ = [
    "Comment",
    "CommentMention",
    "CommentRevision",
    "Event",
    "IdempotencyKey",
    "Job",
    "JobState",
    "LogConsumer",
    "LogEpoch",
    "Permission",
    "Project",
    "ProjectMember",
    "RefreshToken",
    "Role",
    "Session",
    "Task",
    "TaskPriority",
    "TaskShare",
    "TaskStatus",
    "User",
    "WeekDay",
    "Worker",
]
