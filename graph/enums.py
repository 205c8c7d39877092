"""Enums of the models as the schema shows them; described before any type names them."""

from __future__ import annotations

from db.models import Permission, Role, TaskPriority, TaskStatus
from events.kinds import KIND_DESCRIPTIONS, EventKind
from graph.node import described_enum

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

__all__ = ["EventKind", "Permission", "Role", "TaskPriority", "TaskStatus"]
