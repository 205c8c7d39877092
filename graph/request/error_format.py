"""Errors as clients read them: a message for the user, `extensions.code` for programs.

Only what is meant for the client is sent. An expected `Failure` sends its message; an error of the
document or its variables is the client's and is described in GraphQL's terms; anything else is a
fault, of which the client gets the request id and the log gets the rest.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from graphql import GraphQLError
from strawberry.exceptions import StrawberryInputCoercionError

from db.faults import DatabaseFault, database_fault, described
from errors import ErrorCode, Failure, each
from graph.core.errors import public_path
from graph.request.documents import MAX_ERRORS

log = logging.getLogger("taskloom.graphql")

# graphql-core repeats the offending value in Python's notation, and with it everything else in the
# same object, such as a password.
_ECHO: Final = re.compile(r"[,;.]? ?(Did you mean .*)?[Ff]ound: .*$", re.DOTALL)
# Of the values that are not removed, those that JSON writes in another way.
_PYTHON: Final = re.compile(r"(?:(?<=: )|(?<=be ))(?:None|True|False)(?=\.?$)")
_JSON: Final = {"None": "null", "True": "true", "False": "false"}
# Characters of a message.
_LONGEST: Final = 1_000

MAY_BE_DONE: Final = (
    "The connection to the database was lost while the change was being saved, so it may have "
    "been made. Repeat it with the same idempotencyKey; if you sent none, check first."
)

_DATABASE: Final = {
    DatabaseFault.UNREACHABLE: (
        ErrorCode.UNAVAILABLE,
        "The database cannot be reached. Try again in a moment.",
    ),
    DatabaseFault.UNKNOWN_OUTCOME: (
        ErrorCode.UNAVAILABLE,
        MAY_BE_DONE,
    ),
    DatabaseFault.FULL: (
        ErrorCode.UNAVAILABLE,
        (
            "The database's storage is full. You can read, but not change anything until there is "
            "free space."
        ),
    ),
    DatabaseFault.FAILING: (
        ErrorCode.UNAVAILABLE,
        "The database is out of memory, or its storage fails. Try again in a moment.",
    ),
    DatabaseFault.READ_ONLY: (
        ErrorCode.UNAVAILABLE,
        "The database accepts no changes at present. You can read; try changes again later.",
    ),
    DatabaseFault.BUSY: (
        ErrorCode.UNAVAILABLE,
        "Too many concurrent changes to the same data. Try again in a moment.",
    ),
    DatabaseFault.TOO_SLOW: (
        ErrorCode.TIMEOUT,
        "The database exceeded the time limit of a statement. Request less at once.",
    ),
    DatabaseFault.BAD_TEXT: (
        ErrorCode.BAD_USER_INPUT,
        "A text contains a character that cannot be stored. Remove it.",
    ),
}

FAULT_MESSAGE: Final = (
    "An unexpected error on the server. Include the request ID when you report it."
)


def format_errors(
    errors: Sequence[BaseException],
    request_id: str,
    *,
    code: ErrorCode | None = None,
    where: str = "(no path)",
) -> list[dict[str, Any]]:
    """At most `MAX_ERRORS` errors as JSON objects. `code` is that of errors in the document;
    `where` is what the log says for errors without a path.
    """
    formatted: list[dict[str, Any]] = []
    for error in errors:
        formatted.extend(_format(error, request_id, code, where))
        if len(formatted) >= MAX_ERRORS:
            break
    return formatted[:MAX_ERRORS]


def first_code(errors: Sequence[dict[str, Any]]) -> str | None:
    """The code of the first error, or None if there is none."""
    return errors[0]["extensions"]["code"] if errors else None


def _format(
    error: BaseException, request_id: str, code: ErrorCode | None, where: str
) -> Iterator[dict[str, Any]]:
    place = _place(error)
    cause = _cause(error)
    if isinstance(cause, Failure):
        for failure in each(cause):
            yield _failure(failure, place)
    elif code is not None:
        yield _entry(_in_json(str(getattr(error, "message", error))), code, place)
    elif isinstance(cause, StrawberryInputCoercionError):
        message = "A value that may be omitted must not be null. Omit it or send a value."
        yield _entry(message, ErrorCode.BAD_USER_INPUT, place)
    elif isinstance(error, GraphQLError) and isinstance(cause, GraphQLError) and _is_clients(error):
        yield _entry(_in_graphql_terms(error.message), ErrorCode.BAD_USER_INPUT, place)
    else:
        yield _fault(cause, place, request_id, where)


def _cause(error: BaseException) -> BaseException:
    """The exception that was raised, under the wrapping that located it in the document."""
    while isinstance(error, GraphQLError) and error.original_error is not None:
        error = error.original_error
    return error


def _is_clients(error: GraphQLError) -> bool:
    """Whether an error that graphql-core raised while executing is about the variables.

    Those are located at the variable's definition, before anything runs, or mention an argument;
    the rest is about values that our resolvers returned.
    """
    return error.path is None or error.message.startswith("Argument ")


def _in_graphql_terms(message: str) -> str:
    # Values of a megabyte are repeated too; and the expression would take quadratic time for them.
    if len(message) > _LONGEST:
        message = f"{message[:_LONGEST]}…"
    return _in_json(_ECHO.sub(".", message))


def _in_json(message: str) -> str:
    """A message of graphql-core about a value that Python writes in another way than JSON."""
    return _PYTHON.sub(lambda found: _JSON[found[0]], message)


def _place(error: BaseException) -> dict[str, Any]:
    place: dict[str, Any] = {}
    if isinstance(error, GraphQLError):
        if error.locations:
            place["locations"] = [
                {"line": location.line, "column": location.column} for location in error.locations
            ]
        if error.path:
            place["path"] = list(error.path)
    return place


def _entry(
    message: str, code: ErrorCode, place: dict[str, Any], **extensions: Any
) -> dict[str, Any]:
    return {"message": message, **place, "extensions": {"code": code.value, **extensions}}


def _failure(failure: Failure, place: dict[str, Any]) -> dict[str, Any]:
    extensions = dict(failure.extra)
    if failure.path:
        # GraphQL's own `path` is a position in the response; this is the path in the arguments.
        extensions["argumentPath"] = public_path(failure)
    return _entry(failure.message, failure.code, place, **extensions)


def _fault(
    cause: BaseException, place: dict[str, Any], request_id: str, where: str
) -> dict[str, Any]:
    trouble = database_fault(cause)
    where = ".".join(map(str, place.get("path", ()))) or where
    if trouble is not None:
        log.warning("request %s: %s at %s: %s", request_id, trouble.value, where, described(cause))
        code, message = _DATABASE[trouble]
        return _entry(message, code, place, requestId=request_id)
    log.error("request %s: fault at %s", request_id, where, exc_info=cause)
    code = ErrorCode.INTERNAL_SERVER_ERROR
    return _entry(FAULT_MESSAGE, code, place, requestId=request_id)
