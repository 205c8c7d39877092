"""Global ids: the type's name, an underscore, and the UUID as 32 hexadecimal digits.

`task_018f3a1c5b7e7d3e8f00112233445566`. Opaque to clients, except that they may make one themselves
for a create: the prefix and a UUIDv7 without hyphens, in lower case.

Tasks, projects and users also have names that people use: `WEB-42`, `WEB` and `@ada`. Arguments and
inputs of mutations take these wherever they take an id (`decode`), once `graph.kit.references` has
looked them up. Filters and `node` take ids alone (`decode_only`, `split`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from uuid import NAMESPACE_OID, UUID, uuid5

from db import models
from db.base import Base
from errors import BadInput, check

# The worker needs ids from its start, and Strawberry perhaps never.
if TYPE_CHECKING:
    import strawberry

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

# What people call a thing: its model, and the name in the form in which equal names are equal.
Name = tuple[type[Base], str]
# Ids contain an underscore, which keys do not; usernames may contain one, so they have a sign.
_NAMES: dict[type[Base], tuple[re.Pattern[str], str]] = {
    models.Task: (
        re.compile(r"[A-Za-z][A-Za-z0-9]{1,9}-[1-9][0-9]{0,8}"),
        "an identifier such as WEB-42",
    ),
    models.Project: (re.compile(r"[A-Za-z][A-Za-z0-9]{1,9}"), "a key such as WEB"),
    models.User: (re.compile(r"@[A-Za-z0-9_.-]{3,50}"), "a username such as @ada"),
}
_NONE: Mapping[Name, UUID] = MappingProxyType({})
_found: ContextVar[Mapping[Name, UUID]] = ContextVar("names", default=_NONE)


def encode(model: type[Base], value: UUID) -> strawberry.ID:
    """The global id of a row."""
    return cast("strawberry.ID", f"{PREFIXES[model]}_{value.hex}")


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


def name_of(text: str) -> Name | None:
    """What a text names, if it has the form of a name; no text has the forms of two things."""
    if "_" in text and text[0] != "@":
        # An id.
        return None
    for model, (form, _) in _NAMES.items():
        if form.fullmatch(text):
            return model, text.lower() if model is models.User else text.upper()
    return None


@contextmanager
def named(found: Mapping[Name, UUID]) -> Iterator[None]:
    """In this block, `decode` takes these names for these ids."""
    token = _found.set(found)
    try:
        yield
    finally:
        _found.reset(token)


def split(text: str, path: Sequence[str | int]) -> tuple[type[Base], UUID]:
    """The model and UUID of any global id."""
    match = _ID.fullmatch(text) if len(text) <= _LONGEST else None
    model = MODELS.get(match[1]) if match else None
    if match is None or model is None:
        raise BadInput(f"Invalid ID. {_form(models.Task)}", path=path)
    return model, UUID(match[2])


@check(NO_ID)
def decode(model: type[Base], text: str, path: Sequence[str | int]) -> UUID:
    """The UUID of a global id or of a name that must be of this model.

    A name that leads to nothing that the viewer can see has the UUID of nothing, so that it is
    answered like the id of nothing.
    """
    name = name_of(text)
    if name is None or name[0] is not model:
        return _decoded(model, text, path, names=True)
    return _found.get().get(name) or uuid5(NAMESPACE_OID, text)


@check(NO_ID)
def decode_only(model: type[Base], text: str, path: Sequence[str | int]) -> UUID:
    """The UUID of a global id that must be of this model, where names are not taken."""
    return _decoded(model, text, path, names=False)


def _decoded(model: type[Base], text: str, path: Sequence[str | int], *, names: bool) -> UUID:
    match = _ID.fullmatch(text) if len(text) <= _LONGEST else None
    found = MODELS.get(match[1]) if match else None
    if match is None or found is None:
        form, more = _form(model), _NAMES.get(model)
        if more is not None and names:
            form += f" You can also send {more[1]}."
        elif more is not None:
            form += f" Only IDs are accepted here, not {more[1]}."
        raise BadInput(f"Invalid ID. {form}", path=path)
    if found is not model:
        raise BadInput(
            f"Expected the ID of a {PREFIXES[model]}; this is the ID of a {PREFIXES[found]}.",
            path=path,
        )
    return UUID(match[2])


def _form(model: type[Base]) -> str:
    return f"IDs look like {PREFIXES[model]}_018f3a1c5b7e7d3e8f00112233445566."


@check()
def decode_new(model: type[Base], text: str | Any | None, path: Sequence[str | int]) -> UUID | None:
    """The UUID of an id that a client made for a create; None if the text is null or unset."""
    if not isinstance(text, str):
        return None
    value = decode_only(model, text, path)
    if value.version != 7:
        raise BadInput("An ID made by a client must contain a UUIDv7 (RFC 9562).", path=path)
    return value
