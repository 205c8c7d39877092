"""Errors that the user of a command can fix, as messages without a traceback."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import asyncpg
import click
from sqlalchemy.exc import DBAPIError

from db.faults import DatabaseFault, database_fault, is_of_files
from errors import Failure, Failures
from settings import SettingsError


class Commands(click.Group):
    """Commands that end with a message and exit code 1 if the user can fix what is wrong."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the options; `--help` prints here."""
        with _errors_as_messages():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        if threading.current_thread() is threading.main_thread():
            # So that what a command leaves half done, or has started, is cleared away.
            signal.signal(signal.SIGTERM, _end)
        with _errors_as_messages():
            return super().invoke(ctx)


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)


@contextlib.contextmanager
def _errors_as_messages() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # The reader of the output has stopped, as `head` does; Click ends quietly.
        raise
    except Exception as error:
        if (why := _explained(error)) is None:
            raise
        raise click.ClickException(why) from error


def _explained(error: Exception) -> str | None:
    """What the user can read and change; None for an error of ours."""
    from db.embedded_host import EmbeddedError
    from db.migrate import MigrationError

    if isinstance(error, SettingsError):
        return "these settings are invalid:\n  " + "\n  ".join(error.problems)
    if isinstance(error, EmbeddedError | MigrationError):
        return str(error)
    if isinstance(error, Failure | Failures):
        failures = error.failures if isinstance(error, Failures) else [error]
        return "\n  ".join(failure.message for failure in failures)
    if isinstance(error, asyncpg.ClientConfigurationError):
        return f"DATABASE_URL cannot be used: {error}"
    if isinstance(error, OSError) and (why := _of_file(error)) is not None:
        return why
    return _unusable(error)


def _of_file(error: OSError) -> str | None:
    if _is_of_output(error):
        return (
            f"the output cannot be written: {error.strerror}. The command may have done its work."
        )
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return f"a file cannot be written: {error.strerror}" if is_of_files(error) else None


def _is_of_output(error: BaseException) -> bool:
    """Whether it was raised where commands print."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code is click.echo.__code__ for frame, _ in frames)


def _unusable(error: BaseException) -> str | None:
    """Why the database cannot be used, if that is for its operator to change."""
    cause = error
    while isinstance(cause, DBAPIError) and isinstance(cause.orig, BaseException):
        cause = cause.orig.__cause__ or cause.orig
    if isinstance(cause, asyncpg.InsufficientPrivilegeError):
        return f"the database's role lacks a right: {cause}"
    fault = database_fault(cause)
    if fault is None and not isinstance(cause, asyncpg.UndefinedObjectError):
        return None
    why = f"the database of DATABASE_URL cannot be used: {str(cause) or type(cause).__name__}"
    if fault is DatabaseFault.READ_ONLY:
        why += ". It is a replica, or default_transaction_read_only is on; use the primary"
    return why
