"""What can go wrong, as exceptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """An error of an answer. `path` is that of the value for a mutation's error, and that of the
    field for an error of the request. `more` has the rest: `retryAfter`, `scope`,
    `conflictingFields`, `limit` and so on.
    """

    code: str
    message: str
    path: tuple[str, ...]
    more: dict[str, Any]


class TaskloomError(Exception):
    """An operation failed. `problems` has each error; `code` is that of the first. `data` is what
    was answered all the same: after a conflict, the current object.
    """

    def __init__(self, problems: Sequence[Problem], data: Any = None) -> None:
        super().__init__("; ".join(_line(problem) for problem in problems))
        self.problems = tuple(problems)
        self.data = data

    @property
    def code(self) -> str:
        """The code of the first error."""
        return self.problems[0].code


class NotFound(TaskloomError):  # noqa: N818 - its code is its name
    """What was asked for does not exist, or you cannot see it."""


class Conflict(TaskloomError):  # noqa: N818 - its code is its name
    """The object has changed since the version in `ifVersion`."""


class CursorExpired(TaskloomError):  # noqa: N818 - its code is its name
    """Events cannot be continued from this cursor: read everything again, with `eventCursor`."""


class SignInAgain(TaskloomError):  # noqa: N818 - its code is its name
    """The session has ended, or the key was revoked."""


_BY_CODE = {
    "NOT_FOUND": NotFound,
    "CONFLICT": Conflict,
    "CURSOR_EXPIRED": CursorExpired,
    "UNAUTHENTICATED": SignInAgain,
    "INVALID_CREDENTIALS": SignInAgain,
}


def error_of(problems: Sequence[Problem], data: Any = None) -> TaskloomError:
    """The exception for the errors of an answer."""
    return _BY_CODE.get(problems[0].code, TaskloomError)(problems, data)


def problems_of(answer: dict[str, Any]) -> list[Problem]:
    """All errors of an answer: those of the request, and those in the payloads of mutations."""
    found = []
    for error in answer.get("errors") or ():
        more = dict(error.get("extensions") or {})
        code = more.pop("code", "INTERNAL_SERVER_ERROR")
        path = tuple(str(part) for part in error.get("path") or ())
        found.append(Problem(code, error["message"], path, more))
    for payload in (answer.get("data") or {}).values():
        errors = payload.get("errors") if isinstance(payload, dict) else None
        for error in errors if isinstance(errors, list) else ():
            more = {key: value for key, value in error.items() if key not in _NAMED}
            path = tuple(error.get("path") or ())
            found.append(Problem(error["code"], error.get("message", error["code"]), path, more))
    return found


_NAMED = {"code", "message", "path"}


def _line(problem: Problem) -> str:
    place = ".".join(problem.path)
    return f"{problem.code}{f' at {place}' if place else ''}: {problem.message}"
