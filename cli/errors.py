"""Errors that the user of a command can fix, as messages without a traceback."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import asyncpg
import click
from sqlalchemy.exc import DBAPIError

from db.faults import database_fault, is_of_files
from errors import Failure, Failures
from settings import SettingsError

P = ParamSpec("P")
R = TypeVar("R")


def errors_as_messages(command: Callable[P, R]) -> Callable[P, R]:
    """Show errors that the user can fix as one message without a traceback, and exit with 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from db.embedded_host import EmbeddedError
        from db.migrate import MigrationError

        try:
            return command(*args, **kwargs)
        except SettingsError as error:
            lines = "\n  ".join(error.problems)
            raise click.ClickException(f"these settings are invalid:\n  {lines}") from error
        except (EmbeddedError, MigrationError) as error:
            raise click.ClickException(str(error)) from error
        except Failures as error:
            sentences = "\n  ".join(failure.message for failure in error.failures)
            raise click.ClickException(sentences) from error
        except Failure as error:
            raise click.ClickException(error.message) from error
        except asyncpg.ClientConfigurationError as error:
            raise click.ClickException(f"DATABASE_URL cannot be used: {error}") from error
        except BrokenPipeError:
            # The reader of the output has stopped, as `head` does; Click ends quietly.
            raise
        except (OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise click.ClickException(f"{error.filename}: {error.strerror}") from error
            if isinstance(error, OSError) and is_of_files(error):
                raise click.ClickException(f"a file cannot be written: {error.strerror}") from error
            if (why := _unusable(error)) is None:
                raise
            raise click.ClickException(why) from error

    return run


def _unusable(error: BaseException) -> str | None:
    """Why the database cannot be used, if that is for its operator to change."""
    cause = error
    while isinstance(cause, DBAPIError) and isinstance(cause.orig, BaseException):
        cause = cause.orig.__cause__ or cause.orig
    if isinstance(cause, asyncpg.InsufficientPrivilegeError):
        return f"the database's role lacks a right: {cause}"
    if database_fault(cause) is None and not isinstance(cause, asyncpg.UndefinedObjectError):
        return None
    return f"the database of DATABASE_URL cannot be used: {str(cause) or type(cause).__name__}"
