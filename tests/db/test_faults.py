"""Which errors mean that the database is unavailable, and what the log may contain of them."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from db.faults import DatabaseFault, OutcomeUnknown, PoolTimeout, database_fault, described
from web.log_lines import LogFormatter

# Classes of SQLSTATEs (PostgreSQL's documentation, appendix A) that a statement does not cause.
AWAY = ("08", "53", "57", "58")
STATES = {
    state: kind
    for kind in vars(asyncpg.exceptions).values()
    if isinstance(kind, type) and issubclass(kind, asyncpg.PostgresError)
    for state in (getattr(kind, "sqlstate", None),)
    if isinstance(state, str)
}


@pytest.mark.parametrize("state", sorted(state for state in STATES if state.startswith(AWAY)))
def test_server_conditions_are_recognized(state: str) -> None:
    error = STATES[state]("whatever it says")
    assert database_fault(error) is not None
    assert database_fault(DBAPIError("SELECT 1", None, error)) is not None


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError(
            "cannot switch to state 12; another operation (2) is in progress"
        ),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InterfaceError("cannot call Cursor.fetch(): the underlying connection is closed"),
        asyncpg.InterfaceError("cannot perform operation: another operation is cancelling"),
        ConnectionResetError(104, "Connection reset by peer"),
        ConnectionRefusedError(111, "Connection refused"),
        FileNotFoundError(2, "No such file or directory"),
    ],
    ids=lambda error: f"{type(error).__name__} {str(error)[:20]}",
)
def test_a_lost_connection_is_recognized(error: Exception) -> None:
    assert database_fault(error) is DatabaseFault.UNREACHABLE
    outer = RuntimeError("while something was done")
    outer.__cause__ = error
    assert database_fault(outer) is DatabaseFault.UNREACHABLE


def test_the_last_message_of_the_server_counts() -> None:
    lost = asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
    lost.__cause__ = STATES["25P03"]("terminating connection due to idle-in-transaction timeout")
    assert database_fault(lost) is DatabaseFault.TOO_SLOW


def test_other_errors_are_our_bugs() -> None:
    ours = [
        asyncpg.DataError("invalid input for query argument $1: 'x'"),
        asyncpg.InterfaceError("the number of query arguments cannot exceed 32767"),
        STATES["42601"]("syntax error"),
        STATES["23505"]("duplicate key"),
        TimeoutError(),
        ValueError("x"),
        # A disk of our own.
        OSError(28, "No space left on device"),
    ]
    assert [database_fault(error) for error in ours] == [None] * len(ours)


def test_our_own_errors_are_recognized() -> None:
    assert database_fault(PoolTimeout(2, 1.0)) is DatabaseFault.BUSY
    assert database_fault(OutcomeUnknown()) is DatabaseFault.UNKNOWN_OUTCOME


def test_logs_name_the_broken_rule_without_values() -> None:
    error = asyncpg.UniqueViolationError("duplicate key value violates unique constraint")
    error.detail = "Key (email)=(ada@example.org) already exists."
    error.constraint_name = "uq_users_email"
    wrapped = DBAPIError("INSERT INTO users …", None, error)
    assert described(wrapped) == "UniqueViolationError 23505 uq_users_email"
    unsent = asyncpg.DataError("invalid input for query argument $1: 'secret'")
    assert described(unsent) == "DataError 22000"
    assert described(ValueError("secret"), messages=False) == "ValueError"
    assert described(ConnectionRefusedError("refused"), messages=False).endswith("refused")


def test_a_traceback_ends_at_a_cycle_of_causes() -> None:
    error = ValueError("secret")
    error.__cause__ = error
    text = LogFormatter(json=True, messages=False).described_traceback(error)
    assert text == "ValueError"


def test_an_outage_is_one_line_in_the_log() -> None:
    lines: list[str] = []
    for state in ("25006", "42601"):
        try:
            try:
                raise STATES[state]("whatever it says")
            except asyncpg.PostgresError as error:
                raise DBAPIError("UPDATE jobs", None, error) from error
        except DBAPIError as error:
            lines.append(LogFormatter(json=True, messages=False).described_traceback(error))
    assert lines[0] == "ReadOnlySQLTransactionError 25006"
    assert lines[1].startswith("  File"), "a mistake of ours has its place"
