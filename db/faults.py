"""What went wrong between us and the database, for those who must not know the driver's names.

PostgreSQL says it with an SQLSTATE, asyncpg with classes of its own, and SQLAlchemy wraps both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

import asyncpg
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as SQLAlchemyPoolTimeout


class DatabaseFault(Enum):
    """The kinds that a client is told apart."""

    UNREACHABLE = "unreachable"
    UNKNOWN_OUTCOME = "lost while committing"
    FULL = "storage full"
    READ_ONLY = "read-only"
    TOO_SLOW = "too slow"
    BUSY = "busy"
    BAD_TEXT = "bad text"


class PoolTimeout(Exception):  # noqa: N818 - what happened
    """All connections are in use, and none came free in time."""

    def __init__(self, size: int, seconds: float) -> None:
        super().__init__(f"none of {size} connections came free within {seconds:g} s")


class OutcomeUnknown(Exception):  # noqa: N818 - what happened
    """The connection was lost while a change was being committed: it may have been made."""


_BY_STATE = {
    "57014": DatabaseFault.TOO_SLOW,  # statement_timeout
    "25P03": DatabaseFault.TOO_SLOW,  # idle_in_transaction_session_timeout
    "55P03": DatabaseFault.BUSY,  # lock_timeout
    "40001": DatabaseFault.BUSY,  # serialization failure
    "40P01": DatabaseFault.BUSY,  # deadlock
    "22021": DatabaseFault.BAD_TEXT,  # a NUL character
    "22P05": DatabaseFault.BAD_TEXT,
    "25006": DatabaseFault.READ_ONLY,  # a standby, or the operator's default
    "53100": DatabaseFault.FULL,
    "3D000": DatabaseFault.UNREACHABLE,  # no such database (any more)
}
# By the first two characters: conditions of the server which pass, or which its operator ends.
_BY_CLASS = {
    "08": DatabaseFault.UNREACHABLE,  # connections
    "28": DatabaseFault.UNREACHABLE,  # the server's user or password
    "53": DatabaseFault.UNREACHABLE,  # resources: memory, connections
    "57": DatabaseFault.UNREACHABLE,  # shutdown, crash, start, database dropped
    "58": DatabaseFault.UNREACHABLE,  # input and output
}

_CLOSED = re.compile(
    "connection (is|was|has been) (closed|released)|operation is (cancelling|in p)"
)


def database_fault(error: BaseException) -> DatabaseFault | None:
    """Which kind of trouble with the database this is; None where it is another fault.

    A mistake in a statement is a fault of ours and none of these.
    """
    found = None
    for cause in _causes(error):
        if isinstance(cause, OutcomeUnknown):
            return DatabaseFault.UNKNOWN_OUTCOME
        if isinstance(cause, PoolTimeout | SQLAlchemyPoolTimeout):
            return DatabaseFault.BUSY
        found = _fault(cause) or found
    return found


def _fault(error: BaseException) -> DatabaseFault | None:
    if isinstance(error, asyncpg.PostgresError):
        state = getattr(error, "sqlstate", None) or ""
        return _BY_STATE.get(state) or _BY_CLASS.get(state[:2])
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return DatabaseFault.UNREACHABLE
    # What the driver says where it is cut off: that the connection is closed, or that an answer
    # came which it did not expect (the server's farewell). A value that it cannot send is another
    # matter, and is a `ValueError` as well.
    if isinstance(error, asyncpg.InternalClientError):
        return DatabaseFault.UNREACHABLE
    if isinstance(error, asyncpg.InterfaceError) and _CLOSED.search(str(error)):
        return DatabaseFault.UNREACHABLE
    # A server that is not there, a socket whose path is gone, a host that has no address.
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return DatabaseFault.UNREACHABLE
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was made from, innermost last."""
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = (cause.orig if isinstance(cause, DBAPIError) else None) or cause.__cause__


def described(error: BaseException, *, messages: bool = True) -> str:
    """What a log may say of an error: nothing that a user wrote.

    PostgreSQL's messages and details hold values ("Key (email)=(…) already exists", "Failing row
    contains (…)"), and so do the driver's; of these errors it is the class, the SQLSTATE and the
    names of what they are about. `messages`: whether other exceptions may say theirs.
    """
    cause = error
    while isinstance(cause, DBAPIError) and isinstance(cause.orig, BaseException):
        cause = cause.orig.__cause__ or cause.orig
    name = type(cause).__name__
    if isinstance(cause, asyncpg.PostgresError):
        about = (cause.sqlstate, cause.constraint_name, cause.table_name, cause.column_name)
        return " ".join([name, *(str(part) for part in about if part)])
    if isinstance(cause, DBAPIError | asyncpg.DataError | StatementError):
        return name
    if isinstance(cause, _OWN_WORDS) or messages:
        return f"{name}: {cause}" if str(cause) else name
    return name


# Their messages are about the machine.
_OWN_WORDS = (OSError, asyncpg.InterfaceError, PoolTimeout, OutcomeUnknown)
