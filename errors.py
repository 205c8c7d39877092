"""Everything that can be wrong with a request, as one set of codes and exceptions.

An *expected* failure has a code: domain functions raise a `Failure`, and one place
(`graph.kit.mutation` for payloads, `graph.request.error_format` for top-level errors) turns it into
what the client reads. Any other exception is a fault: the client gets a request id and no internal
detail.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class ErrorCode(Enum):
    """Codes of `UserError.code` and of `extensions.code` alike. Clients may match on them."""

    # Authentication and rights
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    ACCOUNT_INACTIVE = "ACCOUNT_INACTIVE"
    REGISTRATION_CLOSED = "REGISTRATION_CLOSED"
    # Input
    BAD_USER_INPUT = "BAD_USER_INPUT"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    SELF_SHARE = "SELF_SHARE"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    PROJECT_ARCHIVED = "PROJECT_ARCHIVED"
    TIME_LOCKED = "TIME_LOCKED"
    TIME_OVERLAP = "TIME_OVERLAP"
    # Files
    FILE_EMPTY = "FILE_EMPTY"
    FILE_TOO_LARGE = "FILE_TOO_LARGE"
    FILE_NAME_INVALID = "FILE_NAME_INVALID"
    FILE_TYPE_NOT_ALLOWED = "FILE_TYPE_NOT_ALLOWED"
    FILE_TYPE_MISMATCH = "FILE_TYPE_MISMATCH"
    IMAGE_INVALID = "IMAGE_INVALID"
    IMAGE_TOO_LARGE = "IMAGE_TOO_LARGE"
    UPLOAD_INCOMPLETE = "UPLOAD_INCOMPLETE"
    # Concurrency and repetition
    CONFLICT = "CONFLICT"
    IDEMPOTENCY_MISMATCH = "IDEMPOTENCY_MISMATCH"
    CURSOR_EXPIRED = "CURSOR_EXPIRED"
    # The document and the transport
    BAD_REQUEST = "BAD_REQUEST"
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    OPERATION_RESOLUTION_FAILURE = "OPERATION_RESOLUTION_FAILURE"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    PERSISTED_QUERY_NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"
    RATE_LIMITED = "RATE_LIMITED"
    OPERATION_TOO_COMPLEX = "OPERATION_TOO_COMPLEX"
    # The server
    TIMEOUT = "TIMEOUT"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


# Descriptions for the schema, one for every member; `graph.core.errors` adds them.
ERROR_DESCRIPTIONS: dict[ErrorCode, str] = {
    ErrorCode.UNAUTHENTICATED: (
        "The request has no valid credentials. Sign in with `sessionCreate`, or renew the access "
        "token with `sessionRefresh`."
    ),
    ErrorCode.FORBIDDEN: "You can see the object, but are not allowed to do this.",
    ErrorCode.NOT_FOUND: (
        "The object does not exist or you cannot see it. The two cases have the same response."
    ),
    ErrorCode.INVALID_CREDENTIALS: (
        "The login or password is wrong (the error does not say which), or the refresh token is "
        "no longer valid."
    ),
    ErrorCode.ACCOUNT_INACTIVE: "The account was deactivated by an administrator.",
    ErrorCode.REGISTRATION_CLOSED: "This server does not accept registrations.",
    ErrorCode.BAD_USER_INPUT: "A value is invalid. `path` names the value, `message` the rule.",
    ErrorCode.ALREADY_EXISTS: "A value that must be unique is already in use.",
    ErrorCode.SELF_SHARE: "A task cannot be shared with its owner or with yourself.",
    ErrorCode.LIMIT_EXCEEDED: (
        "A documented limit on a number is reached or exceeded; `limit` and `actual` have the "
        "numbers."
    ),
    ErrorCode.PROJECT_ARCHIVED: (
        "The project is archived and therefore read-only. Unarchive it first."
    ),
    ErrorCode.TIME_LOCKED: (
        "Time before the project's `timeLockedBefore` is locked, and a time entry of this change "
        "begins before that day."
    ),
    ErrorCode.TIME_OVERLAP: (
        "Two time entries of one user would overlap, and the project of one of them does not "
        "allow that (`isOverlapAllowed`)."
    ),
    ErrorCode.FILE_EMPTY: "The file is empty.",
    ErrorCode.FILE_TOO_LARGE: "The file exceeds the size limit.",
    ErrorCode.FILE_NAME_INVALID: "The file name is empty after folders are removed from it.",
    ErrorCode.FILE_TYPE_NOT_ALLOWED: "Files with this extension are not allowed.",
    ErrorCode.FILE_TYPE_MISMATCH: "The file's content does not match its extension.",
    ErrorCode.IMAGE_INVALID: "The image cannot be read, or its type is not supported.",
    ErrorCode.IMAGE_TOO_LARGE: "The image exceeds the limit on the number of pixels.",
    ErrorCode.UPLOAD_INCOMPLETE: "The file of this upload has not been sent to its URL yet.",
    ErrorCode.CONFLICT: (
        "The object has changed since the version in `ifVersion`. The payload has the current "
        "object, and `conflictingFields` names the fields that differ from what you sent."
    ),
    ErrorCode.IDEMPOTENCY_MISMATCH: "The idempotency key was already used with a different input.",
    ErrorCode.CURSOR_EXPIRED: (
        "The event cursor is older than the stored events, or from before the database was "
        "restored. Reload your state and get a new `eventCursor`."
    ),
    ErrorCode.BAD_REQUEST: "The request is not a well-formed GraphQL request.",
    ErrorCode.GRAPHQL_PARSE_FAILED: "The document is not valid GraphQL syntax.",
    ErrorCode.GRAPHQL_VALIDATION_FAILED: "The document is not valid for this schema.",
    ErrorCode.OPERATION_RESOLUTION_FAILURE: (
        "The document has no operation with the requested name, or has several and the request "
        "names none."
    ),
    ErrorCode.PERSISTED_QUERY_NOT_FOUND: (
        "No document is stored under this hash. Send the hash together with the document once."
    ),
    ErrorCode.PERSISTED_QUERY_NOT_SUPPORTED: "This server does not store documents.",
    ErrorCode.RATE_LIMITED: (
        "Too many requests. Wait for the number of seconds in `extensions.retryAfter`."
    ),
    ErrorCode.OPERATION_TOO_COMPLEX: (
        "The operation exceeds a limit on size or cost. "
        "`extensions` has the limit's name and both numbers."
    ),
    ErrorCode.TIMEOUT: "The operation exceeded the time limit and was stopped.",
    ErrorCode.UNAVAILABLE: (
        "The server cannot answer right now: it is stopping, or its database is unreachable. Try "
        "again later."
    ),
    ErrorCode.INTERNAL_SERVER_ERROR: (
        "An unexpected error on the server. Include `extensions.requestId` when you report it."
    ),
}


SERVER_FAULTS: frozenset[str] = frozenset(
    code.value
    for code in (ErrorCode.INTERNAL_SERVER_ERROR, ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT)
)
"""The codes of the server's own failures; all others answer what a client asked."""


class Failure(Exception):  # noqa: N818 - a failure is expected, an error is not
    """An expected failure: a code, a message for the user, and the path of the value.

    `path` is the path in the mutation's input (`("input", "title")`, list indices as strings);
    `fields` names the fields that differ in a conflict; `refs` are objects that the payload has
    nevertheless (the current object of a conflict), by payload field; `limit` is the limit that was
    exceeded or reached, and `actual` what the input has or how many objects exist; `extra` goes
    into `extensions` of a top-level error (`retryAfter`).
    """

    code = ErrorCode.BAD_USER_INPUT

    def __init__(
        self,
        message: str,
        *,
        path: Sequence[str | int] = (),
        code: ErrorCode | None = None,
        fields: Sequence[str] | None = None,
        refs: dict[str, Any] | None = None,
        limit: int | None = None,
        actual: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = tuple(str(part) for part in path)
        if code is not None:
            self.code = code
        self.fields = None if fields is None else list(fields)
        self.refs = refs or {}
        self.limit = limit
        self.actual = actual
        self.extra = extra or {}

    def under(self, *prefix: str | int) -> Failure:
        """The same failure with its path prefixed, for a value inside another one."""
        self.path = (*(str(part) for part in prefix), *self.path)
        return self


class Failures(Failure):
    """Several failures of one input, so that a form can show all of them at once."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        first = failures[0]
        refs = {name: ref for failure in failures for name, ref in failure.refs.items()}
        super().__init__(first.message, path=first.path, code=first.code, refs=refs)
        self.failures = list(failures)


def each(failure: Failure) -> Iterator[Failure]:
    """The single failures in a failure."""
    if isinstance(failure, Failures):
        for inner in failure.failures:
            yield from each(inner)
    else:
        yield failure


_collected: ContextVar[Problems | None] = ContextVar("problems", default=None)


class Problems:
    """The failures of one input so far: the first one of each value.

    While `collecting`, a check that fails is noted and returns a replacement for the invalid value,
    so that the checks after it run too. No replacement reaches the database: `demand_no_problems`
    runs before every statement of a `domain.work.Work`.
    """

    def __init__(self) -> None:
        self.outer: Problems | None = None
        self._found: dict[object, Failure] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, failure: Failure) -> None:
        """Note a failure, unless its value already has one."""
        for single in each(failure):
            self._found.setdefault(single.path or single.message, single)

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Note the failures in this block. A failure that is raised ends the block and is noted
        too.
        """
        self.outer = _collected.get()
        token = _collected.set(self)
        try:
            yield
        except Failure as failure:
            self.add(failure)
        finally:
            _collected.reset(token)

    def raise_any(self) -> None:
        """Raise all failures, or the only one as it is."""
        found = list(self._found.values())
        if found:
            raise found[0] if len(found) == 1 else Failures(found)


@contextmanager
def collecting() -> Iterator[Problems]:
    """Collect the failures in this block, and raise them at its end."""
    problems = Problems()
    with problems.collect():
        yield problems
    problems.raise_any()


def refuse(failure: Failure) -> None:
    """Note a failure and continue; raise it if failures are not being collected."""
    problems = _collected.get()
    if problems is None:
        raise failure
    problems.add(failure)


def refuse_all(problems: Problems) -> None:
    """Pass on the failures that were collected for a part of the input."""
    try:
        problems.raise_any()
    except Failure as failure:
        refuse(failure)


def check(instead: Any = None) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A check of one value that raises. While failures are collected, it notes the failure and
    returns `instead`.
    """

    def declare(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            problems = _collected.get()
            if problems is None:
                return function(*args, **kwargs)
            # Checks within this one raise: only the first failure of a value is reported.
            token = _collected.set(None)
            try:
                return function(*args, **kwargs)
            except Failure as failure:
                problems.add(failure)
                return instead  # type: ignore[no-any-return]  # of the same type
            finally:
                _collected.reset(token)

        return checked

    return declare


def demand_no_problems() -> None:
    """Raise the failures collected so far."""
    problems = _collected.get()
    while problems is not None:
        problems.raise_any()
        problems = problems.outer


def has_problems() -> bool:
    """Whether failures were collected so far, so that nothing will be changed."""
    problems = _collected.get()
    while problems is not None and not problems:
        problems = problems.outer
    return problems is not None


class BadInput(Failure):
    """An invalid value."""


class NotFound(Failure):
    """Missing, or hidden from the viewer: always the same bytes."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, noun: str = "object", *, path: Sequence[str | int] = ()) -> None:
        super().__init__(f"There is no such {noun}, or you cannot see it.", path=path)


class Forbidden(Failure):
    """Visible to this viewer, who is not allowed to do this."""

    code = ErrorCode.FORBIDDEN


class AlreadyExists(Failure):
    """A value that must be unique is already in use."""

    code = ErrorCode.ALREADY_EXISTS


class Conflict(Failure):
    """`ifVersion` does not match; see `ErrorCode.CONFLICT`."""

    code = ErrorCode.CONFLICT


class Unauthenticated(Failure):
    """No credentials, or none that are valid. Always a top-level error."""

    code = ErrorCode.UNAUTHENTICATED

    def __init__(
        self, message: str = "This requires authentication: sign in, or send an API key."
    ) -> None:
        super().__init__(message)


class CursorExpired(Failure):
    """An event cursor that can no longer be replayed from."""

    code = ErrorCode.CURSOR_EXPIRED


class Unavailable(Failure):
    """The server cannot answer right now."""

    code = ErrorCode.UNAVAILABLE


class RateLimited(Failure):
    """Too many requests, or too many at once. Always a top-level error; `retry_after` is in
    seconds.
    """

    code = ErrorCode.RATE_LIMITED

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(
            f"{message} Try again in {retry_after} s.", extra={"retryAfter": retry_after}
        )
        self.retry_after = retry_after
