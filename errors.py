"""Everything that can be wrong with a request, in one vocabulary.

An *expected* failure is a value with a code: domain functions raise a `Failure`, and one place
(`graph.kit.mutation` for payloads, `graph.request.execution` for top-level errors) turns it into
what the client reads. Whatever else is raised is a fault: the client gets a request id and nothing
of the inside.
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
    ARCHIVED = "ARCHIVED"
    LOCKED = "LOCKED"
    OVERLAP = "OVERLAP"
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


# Descriptions for the schema, one for every member (`graph.core.errors` reads them).
ERROR_DESCRIPTIONS: dict[ErrorCode, str] = {
    ErrorCode.UNAUTHENTICATED: (
        "No valid credentials came with the request: sign in with `sessionCreate`, or renew the "
        "access token with `sessionRefresh`."
    ),
    ErrorCode.FORBIDDEN: "The object is visible to you, but your rights do not allow this change.",
    ErrorCode.NOT_FOUND: "There is no such object, or you may not see it; the two look the same.",
    ErrorCode.INVALID_CREDENTIALS: (
        "The login or the password is wrong (which one is not said), or the refresh token is not "
        "valid any more."
    ),
    ErrorCode.ACCOUNT_INACTIVE: "The account was deactivated by an administrator.",
    ErrorCode.REGISTRATION_CLOSED: "This server does not accept registrations.",
    ErrorCode.BAD_USER_INPUT: "A value breaks a rule; `path` says which, `message` says the rule.",
    ErrorCode.ALREADY_EXISTS: "Something that must be unique is taken already.",
    ErrorCode.SELF_SHARE: "A task cannot be shared with its owner or with yourself.",
    ErrorCode.LIMIT_EXCEEDED: "A documented limit on the number of things is reached.",
    ErrorCode.ARCHIVED: "The project is archived and so read-only; unarchive it first.",
    ErrorCode.LOCKED: (
        "Time before the project's `timeLockedBefore` is locked, and a time entry of this change "
        "begins before that day."
    ),
    ErrorCode.OVERLAP: (
        "Two time entries of one person would overlap, and the project of one of them does not "
        "allow that (`allowOverlaps`)."
    ),
    ErrorCode.FILE_EMPTY: "The file has no bytes.",
    ErrorCode.FILE_TOO_LARGE: "The file has more bytes than are taken.",
    ErrorCode.FILE_NAME_INVALID: "Nothing is left of the file's name once folders are taken off.",
    ErrorCode.FILE_TYPE_NOT_ALLOWED: "Files with this ending of the name are not taken.",
    ErrorCode.FILE_TYPE_MISMATCH: "By its bytes the file is not what its name says.",
    ErrorCode.IMAGE_INVALID: "The picture cannot be read, or is not of a type that is taken here.",
    ErrorCode.IMAGE_TOO_LARGE: "The picture has more pixels than are unpacked here.",
    ErrorCode.UPLOAD_INCOMPLETE: "The file of this upload has not been sent to its address yet.",
    ErrorCode.CONFLICT: (
        "The object has changed since the version in `ifVersion`. The payload carries the current "
        "object, and `fields` names the fields that differ from what you sent."
    ),
    ErrorCode.IDEMPOTENCY_MISMATCH: "The idempotency key was used before with another input.",
    ErrorCode.CURSOR_EXPIRED: (
        "The event cursor is older than what is kept for replay, or from before the database was "
        "restored. Read the state afresh and take a new `eventCursor`."
    ),
    ErrorCode.BAD_REQUEST: "The request is not a well-formed GraphQL request.",
    ErrorCode.GRAPHQL_PARSE_FAILED: "The document is not valid GraphQL syntax.",
    ErrorCode.GRAPHQL_VALIDATION_FAILED: "The document does not fit the schema.",
    ErrorCode.OPERATION_RESOLUTION_FAILURE: (
        "The document has no operation of that name, or several and none was named."
    ),
    ErrorCode.PERSISTED_QUERY_NOT_FOUND: (
        "No document is stored under that hash; send the hash together with the document once."
    ),
    ErrorCode.PERSISTED_QUERY_NOT_SUPPORTED: "This server does not store documents.",
    ErrorCode.RATE_LIMITED: (
        "Too many requests; `extensions.retryAfter` says how many seconds to wait."
    ),
    ErrorCode.OPERATION_TOO_COMPLEX: "The operation is larger than one operation may be.",
    ErrorCode.TIMEOUT: "The operation took longer than operations may take, and was stopped.",
    ErrorCode.UNAVAILABLE: (
        "The server cannot answer right now (database unreachable, or stopping)."
    ),
    ErrorCode.INTERNAL_SERVER_ERROR: (
        "A fault on the server. Quote `extensions.requestId` when you report it."
    ),
}


class Failure(Exception):  # noqa: N818 - a failure is expected, an error is not
    """An expected failure: a code, a sentence for a person, and the place of the value.

    `path` is the place within the mutation's input (`("input", "title")`, list indices as
    strings); `fields` names the fields that differ in a conflict; `refs` names objects that the
    payload should carry all the same (the current object of a conflict), by payload field;
    `extra` goes into `extensions` of a top-level error (`retryAfter`).
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
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = tuple(str(part) for part in path)
        if code is not None:
            self.code = code
        self.fields = None if fields is None else list(fields)
        self.refs = refs or {}
        self.extra = extra or {}

    def under(self, *prefix: str | int) -> Failure:
        """The same failure, its path prefixed (for a value that stands inside another)."""
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
    """What is wrong with one input so far: of each value the first thing.

    While `collecting`, a check that fails notes it and gives another value in the place of the bad
    one, so that those after it are made too. None of these values reaches the database:
    `demand_no_problems` stands before every statement of a `domain.work.Work`.
    """

    def __init__(self) -> None:
        self.outer: Problems | None = None
        self._found: dict[object, Failure] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, failure: Failure) -> None:
        """Note a failure, unless its value has one already."""
        for single in each(failure):
            self._found.setdefault(single.path or single.message, single)

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Note what is wrong in this block. A failure that is raised ends it, and is noted too."""
        self.outer = _collected.get()
        token = _collected.set(self)
        try:
            yield
        except Failure as failure:
            self.add(failure)
        finally:
            _collected.reset(token)

    def raise_any(self) -> None:
        """Raise all of them, or the only one as it is."""
        found = list(self._found.values())
        if found:
            raise found[0] if len(found) == 1 else Failures(found)


@contextmanager
def collecting() -> Iterator[Problems]:
    """Collect what is wrong in this block, and raise it at the end."""
    problems = Problems()
    with problems.collect():
        yield problems
    problems.raise_any()


def refuse(failure: Failure) -> None:
    """Note what is wrong with a value and go on; raise it where nobody collects."""
    problems = _collected.get()
    if problems is None:
        raise failure
    problems.add(failure)


def refuse_all(problems: Problems) -> None:
    """Pass on what was collected about a part of the input."""
    try:
        problems.raise_any()
    except Failure as failure:
        refuse(failure)


def check(instead: Any = None) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A check of one value that raises. While problems are collected it notes what is wrong and
    returns `instead`.
    """

    def declare(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            problems = _collected.get()
            if problems is None:
                return function(*args, **kwargs)
            # Checks within this one raise: the value has one problem, the first.
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
    """Raise what has been collected so far."""
    problems = _collected.get()
    while problems is not None:
        problems.raise_any()
        problems = problems.outer


def has_problems() -> bool:
    """Whether anything has been collected so far, so that nothing will be done."""
    problems = _collected.get()
    while problems is not None and not problems:
        problems = problems.outer
    return problems is not None


class BadInput(Failure):
    """A value breaks a rule."""


class NotFound(Failure):
    """Missing, or hidden from the viewer: always the same bytes."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, noun: str = "object", *, path: Sequence[str | int] = ()) -> None:
        super().__init__(f"There is no such {noun}, or you may not see it.", path=path)


class Forbidden(Failure):
    """Visible, but not to be changed by this viewer."""

    code = ErrorCode.FORBIDDEN


class AlreadyExists(Failure):
    """Something that must be unique is taken."""

    code = ErrorCode.ALREADY_EXISTS


class Conflict(Failure):
    """`ifVersion` does not match; see `ErrorCode.CONFLICT`."""

    code = ErrorCode.CONFLICT


class Unauthenticated(Failure):
    """No credentials, or none that are valid. Always a top-level error."""

    code = ErrorCode.UNAUTHENTICATED

    def __init__(self, message: str = "Sign in to do this.") -> None:
        super().__init__(message)


class CursorExpired(Failure):
    """An event cursor that can no longer be replayed from."""

    code = ErrorCode.CURSOR_EXPIRED


class Unavailable(Failure):
    """The server cannot answer right now."""

    code = ErrorCode.UNAVAILABLE


class RateLimited(Failure):
    """Too often, or too much at once. Always a top-level error; `retry_after` is in seconds."""

    code = ErrorCode.RATE_LIMITED

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(
            f"{message} Try again in {retry_after} s.", extra={"retryAfter": retry_after}
        )
        self.retry_after = retry_after
