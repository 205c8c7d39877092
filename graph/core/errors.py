"""Failures as clients read them."""

from __future__ import annotations

from collections.abc import Iterable

import strawberry

from errors import ERROR_DESCRIPTIONS, ErrorCode, Failure
from graph.core.fields import attribute
from graph.core.node import described_enum
from graph.core.scalars import URL

described_enum(
    ErrorCode,
    "The code of an error, for programs. Top-level errors have the same codes in "
    "`extensions.code`. New codes may be added; show the message of one that you do not know.",
    ERROR_DESCRIPTIONS,
)


@strawberry.type(description="An expected failure of a mutation.")
class UserError:
    """See `errors.Failure`."""

    code: ErrorCode = attribute("The error's code, for programs.")
    path: list[str] = attribute(
        'The path of the invalid value in the arguments, such as `["input", "title"]`. Empty if '
        "the error is not about a single value."
    )
    message: str = attribute("What went wrong and what to do, for users.")
    conflicting_fields: list[str] | None = attribute(
        "On `CONFLICT`, the fields whose current value differs from the one you sent. Otherwise "
        "null."
    )
    limit: int | None = attribute(
        "With `LIMIT_EXCEEDED`, and with lengths and sizes out of range, the limit. Otherwise null."
    )
    actual: int | None = attribute(
        "What the input has, compared with `limit`; for a limit on a number of objects, how many "
        "exist. Null if there is no limit, or if the number is unknown or exceeds 2,147,483,647."
    )
    docs_url: URL | None = attribute("The URL of the documentation of this code.")


# The largest value of GraphQL's Int.
_MAX_INT = 2**31 - 1


def camel(part: str) -> str:
    """A Python name as the schema writes it; other text unchanged."""
    head, *rest = part.strip("_").split("_")
    return head + "".join(word.title() for word in rest)


def public_path(failure: Failure) -> list[str]:
    """The failure's path in the schema's names."""
    return [camel(part) for part in failure.path]


def user_errors(failures: Iterable[Failure], docs_url: str) -> list[UserError]:
    """Failures as a payload has them. `docs_url` is the page that lists the codes."""
    return [
        UserError(
            code=failure.code,
            path=public_path(failure),
            message=failure.message,
            conflicting_fields=None
            if failure.fields is None
            else [camel(name) for name in failure.fields],
            limit=failure.limit,
            actual=None if failure.actual is None or failure.actual > _MAX_INT else failure.actual,
            docs_url=URL(f"{docs_url}#{failure.code.value}"),
        )
        for failure in failures
    ]
