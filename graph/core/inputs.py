"""Helpers to declare inputs, and the fields that all mutation inputs share."""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry

from graph.core.node import described_enum

TAKE_OVER = (
    "If true, you take over the object from the API key that created it: it acts with your "
    "permissions and does not end with the key. Requires a signed-in session."
)


class Names(Enum):
    """What a field of an input names; see `graph.kit.references`."""

    # Something that the viewer sees, if the field's type is `ID`; else nothing.
    VISIBLE = "VISIBLE"
    # Something that is about to be made.
    NEW = "NEW"
    # Something in the trash.
    TRASHED = "TRASHED"


# The key of a field's metadata under which a member of `Names` stands.
NAMES = "names"


def required(description: str, **options: Any) -> Any:
    """An input field that must be given."""
    return strawberry.field(description=description, **options)


def optional(description: str, **options: Any) -> Any:
    """An input field that may be omitted; the schema shows no default."""
    return strawberry.field(description=description, default=strawberry.UNSET, **options)


def defaulted(default: Any, description: str) -> Any:
    """An input field that has this value if it is omitted; the schema shows it."""
    if isinstance(default, list):
        return strawberry.field(description=description, default_factory=default.copy)
    return strawberry.field(description=description, default=default)


def new_id(prefix: str) -> Any:
    """The field for the id of something new, which clients may make."""
    return optional(
        f"An ID that you generate: `{prefix}_` followed by a UUIDv7 in 32 hexadecimal digits.",
        metadata={NAMES: Names.NEW},
    )


def change(description: str, **options: Any) -> Any:
    """A field of an update, typed `Maybe[T | None]`: omitted it stays unchanged, null clears it."""
    return strawberry.field(description=description, default=None, **options)


def is_given(value: Any) -> bool:
    """Whether an optional input field was sent; null is a value too."""
    return value is not strawberry.UNSET


def given(value: Any) -> Any:
    """The value, or None if it was omitted."""
    return None if value is strawberry.UNSET else value


@strawberry.input
class MutationInput:
    """The fields of every mutation's input."""

    idempotency_key: str | None = optional(
        "A unique key of your choice, up to 255 characters. If you repeat the mutation with the "
        "same key and input within 24 hours, nothing is done again; the payload has the object "
        "of the first call and `replayed: true`."
    )


@strawberry.input
class UpdateInput(MutationInput):
    """The fields of every update's input."""

    if_version: int | None = optional(
        "Applies the change only if the object's `version` is still this one. Otherwise the "
        "mutation fails with `CONFLICT` and the payload has the current object."
    )


class BulkOnError(Enum):
    """What a bulk mutation does if an item fails."""

    ROLLBACK = "ROLLBACK"
    CONTINUE = "CONTINUE"


described_enum(
    BulkOnError,
    "What a bulk mutation does if an item fails.",
    {
        BulkOnError.ROLLBACK: "No item is changed.",
        BulkOnError.CONTINUE: "The other items are changed.",
    },
)
