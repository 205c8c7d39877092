"""Small words for declaring inputs, and what all mutation inputs share."""

from __future__ import annotations

from typing import Any

import strawberry

TAKE_OVER = (
    "True: it is yours, and no longer an API key's: it acts with your rights and does not end with "
    "the key. For sessions only."
)


def required(description: str, **options: Any) -> Any:
    """An input field that must be given."""
    return strawberry.field(description=description, **options)


def optional(description: str, **options: Any) -> Any:
    """An input field that may be left out; the schema shows no default."""
    return strawberry.field(description=description, default=strawberry.UNSET, **options)


def change(description: str, **options: Any) -> Any:
    """A field of an update, typed `Maybe[T | None]`: left out it stays, null clears it."""
    return strawberry.field(description=description, default=None, **options)


def is_given(value: Any) -> bool:
    """Whether an optional input field was sent; null is a value, too."""
    return value is not strawberry.UNSET


def given(value: Any) -> Any:
    """None for what was left out, else the value."""
    return None if value is strawberry.UNSET else value


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
