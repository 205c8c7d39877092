"""Global ids: the type's name, an underscore, and the UUID as 32 hexadecimal digits.

`task_018f3a1c5b7e7d3e8f00112233445566`. Opaque to clients, except that they may make one themselves
for a create: the prefix and a UUIDv7 without hyphens, in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import strawberry

from db import models
from db.base import Base
from errors import BadInput, check

PREFIXES: dict[type[Base], str] = {
    models.User: "user",
    models.Session: "session",
    models.ApiKey: "api_key",
    models.Project: "project",
    models.ProjectMember: "member",
    models.Task: "task",
    models.TaskShare: "share",
    models.Comment: "comment",
    models.CommentRevision: "comment_revision",
    models.Attachment: "attachment",
    models.StoredFile: "upload",
    models.TimeEntry: "time_entry",
    models.ReportExport: "report_export",
    models.Event: "event",
    models.Notification: "notification",
    models.Device: "device",
    models.Reminder: "reminder",
    models.Webhook: "webhook",
    models.WebhookDelivery: "webhook_delivery",
    models.WebhookAttempt: "webhook_attempt",
    models.Integration: "integration",
    models.ExternalLink: "integration_problem",
    models.Job: "job",
}
MODELS = {prefix: model for model, prefix in PREFIXES.items()}

_LONGEST = 100
# Replaces an invalid id until its failure is raised.
NO_ID = UUID(int=0)

_ID = re.compile(r"([a-z]+(?:_[a-z]+)*)_([0-9a-f]{32})")


def encode(model: type[Base], value: UUID) -> strawberry.ID:
    """The global id of a row."""
    return strawberry.ID(f"{PREFIXES[model]}_{value.hex}")


class Encoder:
    """`encode` for one model."""

    __slots__ = ("head",)

    def __init__(self, model: type[Base]) -> None:
        if model not in PREFIXES:
            raise TypeError(f"{model.__name__} has no prefix in graph/core/ids.py.")
        self.head = PREFIXES[model] + "_"

    def __call__(self, value: UUID) -> str:
        """One id."""
        return self.head + value.hex


def split(text: str, path: Sequence[str | int]) -> tuple[type[Base], UUID]:
    """The model and UUID of any global id."""
    match = _ID.fullmatch(text) if len(text) <= _LONGEST else None
    model = MODELS.get(match[1]) if match else None
    if match is None or model is None:
        raise BadInput(
            "Invalid ID. IDs look like task_018f3a1c5b7e7d3e8f00112233445566.", path=path
        )
    return model, UUID(match[2])


@check(NO_ID)
def decode(model: type[Base], text: str, path: Sequence[str | int]) -> UUID:
    """The UUID of a global id that must be of this model."""
    found, value = split(text, path)
    if found is not model:
        raise BadInput(
            f"Expected the ID of a {PREFIXES[model]}; this is the ID of a {PREFIXES[found]}.",
            path=path,
        )
    return value


@check()
def decode_new(model: type[Base], text: str | Any | None, path: Sequence[str | int]) -> UUID | None:
    """The UUID of an id that a client made for a create, or None if it made none."""
    if text is None or text is strawberry.UNSET:
        return None
    value = decode(model, text, path)
    if value.version != 7:
        raise BadInput("An ID made by a client must contain a UUIDv7 (RFC 9562).", path=path)
    return value
