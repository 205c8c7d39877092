"""Classifies database errors, so that callers do not depend on the driver's names.

PostgreSQL reports an SQLSTATE, asyncpg raises classes of its own, and SQLAlchemy wraps both.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from enum import Enum

import asyncpg
from sqlalchemy.exc import DBAPIError, StatementError


class DatabaseFault(Enum):
    """The kinds of failure that a client can tell apart."""

    UNREACHABLE = "unreachable"
    UNKNOWN_OUTCOME = "lost while committing"
    FULL = "storage full"
    FAILING = "out of memory, or failing storage"
    READ_ONLY = "read-only"
    TOO_SLOW = "too slow"
    BUSY = "busy"
    BAD_TEXT = "bad text"


# The server may serve the next connection, or the next attempt.
AWAY = frozenset({DatabaseFault.UNREACHABLE, DatabaseFault.FAILING})
# Whatever is changed would fail, so that it says nothing about what was to be changed.
OUTAGES = AWAY | {DatabaseFault.BUSY, DatabaseFault.FULL, DatabaseFault.READ_ONLY}


class PoolTimeout(Exception):  # noqa: N818 - what happened
    """All connections are in use, and none was released in time."""

    def __init__(self, size: int, seconds: float) -> None:
        super().__init__(f"none of {size} connections was released within {seconds:g} s")


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
    "53200": DatabaseFault.FAILING,
    "58030": DatabaseFault.FAILING,
    "3D000": DatabaseFault.UNREACHABLE,  # no such database, perhaps dropped
}
# By class (the first two characters): conditions that pass, or that the server's operator ends.
_BY_CLASS = {
    "08": DatabaseFault.UNREACHABLE,  # connections
    "28": DatabaseFault.UNREACHABLE,  # the server's user or password
    "53": DatabaseFault.UNREACHABLE,  # resources: memory, connections
    "57": DatabaseFault.UNREACHABLE,  # shutdown, crash, start, database dropped
    "58": DatabaseFault.UNREACHABLE,  # input and output
}

# Of our own files: a full disk, a limit, a defect, a folder that is read-only.
_OF_FILES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})

_CLOSED = re.compile(r"connection is closed|operation is (cancelling|in progress)")


def database_fault(error: BaseException) -> DatabaseFault | None:
    """The kind of database failure that this error is; None if it is something else.

    A mistake in a statement is a bug of ours and not one of these.
    """
    found = None
    for cause in _causes(error):
        if isinstance(cause, OutcomeUnknown):
            return DatabaseFault.UNKNOWN_OUTCOME
        if isinstance(cause, PoolTimeout):
            return DatabaseFault.BUSY
        found = _fault(cause) or found
    return found


def _fault(error: BaseException) -> DatabaseFault | None:
    if isinstance(error, asyncpg.PostgresError):
        state = getattr(error, "sqlstate", None) or ""
        return _BY_STATE.get(state) or _BY_CLASS.get(state[:2])
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return DatabaseFault.UNREACHABLE
    # If the connection is cut, the driver reports that it is closed, or that it got an unexpected
    # answer (the server's last message). A value that the driver cannot send also raises an
    # `InterfaceError`, which is a `ValueError` too; its message differs.
    if isinstance(error, asyncpg.InternalClientError):
        return DatabaseFault.UNREACHABLE
    if isinstance(error, asyncpg.InterfaceError) and _CLOSED.search(str(error)):
        return DatabaseFault.UNREACHABLE
    # No server is running, the socket's path is gone, or the host has no address.
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return None if is_of_files(error) else DatabaseFault.UNREACHABLE
    return None


def is_of_files(error: OSError) -> bool:
    """Whether it is about a file of this machine, not about a connection."""
    return error.errno in _OF_FILES


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, innermost last."""
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = (cause.orig if isinstance(cause, DBAPIError) else None) or cause.__cause__


def described(error: BaseException, *, messages: bool = True) -> str:
    """The text of an error for the log, without anything that a user wrote.

    Messages and details of PostgreSQL and its driver contain values ("Key (email)=(…) already
    exists", "Failing row contains (…)"). For these errors the text is the class, the SQLSTATE and
    the names of constraint, table and column. `messages`: whether to add other errors' messages.
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


# Their messages contain no user data.
_OWN_WORDS = (OSError, asyncpg.InterfaceError, PoolTimeout, OutcomeUnknown)
