"""What went wrong between us and the database, for those who must not know the driver's names.

PostgreSQL says it with an SQLSTATE, asyncpg with classes of its own, and SQLAlchemy wraps both.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class DatabaseFault(Enum):
    """The kinds that a client is told apart."""

    UNREACHABLE = "unreachable"
    TOO_SLOW = "too slow"
    BUSY = "busy"
    BAD_TEXT = "bad text"


_BY_STATE = {
    "57014": DatabaseFault.TOO_SLOW,  # statement_timeout
    "25P03": DatabaseFault.TOO_SLOW,  # idle_in_transaction_session_timeout
    "55P03": DatabaseFault.BUSY,  # lock_timeout
    "40001": DatabaseFault.BUSY,  # serialization failure
    "40P01": DatabaseFault.BUSY,  # deadlock
    "22021": DatabaseFault.BAD_TEXT,  # a NUL character
    "22P05": DatabaseFault.BAD_TEXT,
    "53300": DatabaseFault.UNREACHABLE,  # too many connections
    "57P01": DatabaseFault.UNREACHABLE,  # the server is shutting down
    "57P02": DatabaseFault.UNREACHABLE,
    "57P03": DatabaseFault.UNREACHABLE,
}


def database_fault(error: BaseException) -> DatabaseFault | None:
    """Which kind of trouble with the database this is; None where it is another fault.

    A mistake in a statement is a fault of ours and none of these.
    """
    if isinstance(error, PoolTimeout):
        return DatabaseFault.BUSY
    for cause in _causes(error):
        if isinstance(cause, asyncpg.PostgresError):
            return _by_state(getattr(cause, "sqlstate", None) or "")
        if isinstance(cause, DBAPIError) and cause.connection_invalidated:
            return DatabaseFault.UNREACHABLE
        if isinstance(cause, asyncpg.InterfaceError) and "connection is closed" in str(cause):
            return DatabaseFault.UNREACHABLE
        # A server that is not there, a socket whose path is gone, a host that has no address.
        if isinstance(cause, OSError) and not isinstance(cause, TimeoutError):
            return DatabaseFault.UNREACHABLE
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was made from, innermost last."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = (cause.orig if isinstance(cause, DBAPIError) else None) or cause.__cause__


def _by_state(state: str) -> DatabaseFault | None:
    if state.startswith("08"):
        return DatabaseFault.UNREACHABLE
    return _BY_STATE.get(state)
