"""Small words for declaring inputs, and what all mutation inputs share."""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from strawberry.types.maybe import Some

TAKE_OVER = (
    "True: it is yours, and no longer an API key's: it acts with your rights and does not end with "
    "the key. For sessions only."
)


class Names(Enum):
    """What a field of an input names; see `graph.kit.references`."""

    # Something that the viewer sees, if the field's type is `ID`; else nothing.
    VISIBLE = "VISIBLE"
    # Something that is about to be made.
    NEW = "NEW"
    # A user, by username.
    USERNAME = "USERNAME"
    # Something in the trash.
    TRASHED = "TRASHED"


# The key of a field's metadata under which a member of `Names` stands.
NAMES = "names"


def required(description: str, **options: Any) -> Any:
    """An input field that must be given."""
    return strawberry.field(description=description, **options)


def optional(description: str, **options: Any) -> Any:
    """An input field that may be left out; the schema shows no default."""
    return strawberry.field(description=description, default=strawberry.UNSET, **options)


def new_id(prefix: str) -> Any:
    """The field for the id of something new, which clients may make."""
    return optional(
        f"An id of your making: `{prefix}_` and a UUIDv7 in 32 hexadecimal digits.",
        metadata={NAMES: Names.NEW},
    )


def change(description: str, **options: Any) -> Any:
    """A field of an update, typed `Maybe[T | None]`: left out it stays, null clears it."""
    return strawberry.field(description=description, default=None, **options)


def is_given(value: Any) -> bool:
    """Whether an optional input field was sent; null is a value, too."""
    return value is not strawberry.UNSET


def given(value: Any) -> Any:
    """None for what was left out, else the value."""
    return None if value is strawberry.UNSET else value


def changes_of(data: Any, *names: str) -> dict[str, Any]:
    """The fields of an update that were given (`Maybe` fields that are `Some`), by name."""
    found = {}
    for name in names:
        value = getattr(data, name)
        if isinstance(value, Some):
            found[name] = value.value
    return found


@strawberry.input
class MutationInput:
    """What every mutation takes."""

    idempotency_key: str | None = optional(
        "Up to 255 characters of your choice. A repeat within 24 hours with the same key and the "
        "same input does nothing, and answers with the object of the first time and "
        "`replayed: true`."
    )


@strawberry.input
class UpdateInput(MutationInput):
    """What every update takes."""

    if_version: int | None = optional(
        "Change only if the object is still at this `version`; otherwise `CONFLICT`, with the "
        "current object in the payload."
    )
