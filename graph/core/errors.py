"""Failures as clients read them."""

from __future__ import annotations

from collections.abc import Iterable

import strawberry

from errors import ERROR_DESCRIPTIONS, ErrorCode, Failure
from graph.core.fields import attribute
from graph.core.node import described_enum

described_enum(
    ErrorCode,
    "What went wrong, for programs. The same codes stand in `extensions.code` of top-level errors.",
    ERROR_DESCRIPTIONS,
)


@strawberry.type(description="An expected failure of a mutation.")
class UserError:
    """See `errors.Failure`."""

    code: ErrorCode = attribute("What went wrong, for programs.")
    path: list[str] = attribute(
        'The place of the value within the arguments, such as `["input", "title"]`; empty where '
        "no single value is at fault."
    )
    message: str = attribute("What went wrong and what to do, for people.")
    fields: list[str] | None = attribute(
        "For `CONFLICT`: the fields whose current value differs from the one you sent."
    )
    docs_url: str | None = attribute("Where this code is explained.")


def camel(part: str) -> str:
    """A Python name as the schema writes it; other text as it is."""
    head, *rest = part.strip("_").split("_")
    return head + "".join(word.title() for word in rest)


def public_path(failure: Failure) -> list[str]:
    """The failure's path in the schema's names."""
    return [camel(part) for part in failure.path]


def user_errors(failures: Iterable[Failure], docs_url: str) -> list[UserError]:
    """Failures as a payload carries them. `docs_url` is the page that lists the codes."""
    return [
        UserError(
            code=failure.code,
            path=public_path(failure),
            message=failure.message,
            fields=None if failure.fields is None else [camel(name) for name in failure.fields],
            docs_url=f"{docs_url}#{failure.code.value}",
        )
        for failure in failures
    ]
