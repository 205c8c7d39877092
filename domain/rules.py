"""Rules for values: each function normalizes a value, or rejects it with a `BadInput` that names
the field and the rule (see `errors.Problems`).

Lengths count Unicode characters after NFC normalization and trimming, like the API's limits.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import texts
from domain import timezones
from errors import AlreadyExists, BadInput, check, refuse

Path = Sequence[str | int]
# Cleans a value, or raises `BadInput` with this path.
Rule = Callable[[Any, Path], Any]
T = TypeVar("T")

# A list of tags may repeat each tag up to this many times on average. A longer list is rejected
# unread.
_REPEATED = 50

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
# Times before 1900 or after 2200 are typing errors, and PostgreSQL's own range is wider than what
# every client's date type can hold.
_EARLIEST, _LATEST = dt.datetime(1900, 1, 1, tzinfo=dt.UTC), dt.datetime(2200, 1, 1, tzinfo=dt.UTC)


def checked(table: Mapping[str, Rule], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given fields that have a rule in the table, each cleaned by its rule."""
    return {name: rule(given[name], (name,)) for name, rule in table.items() if name in given}


def given_by(command: Any, table: Mapping[str, Rule]) -> dict[str, Any]:
    """The fields of a command that have a rule in the table, not yet cleaned."""
    return {name: getattr(command, name) for name in table if hasattr(command, name)}


def demand_all_used(
    command: type[Any], table: Mapping[str, Rule], besides: Collection[str]
) -> None:
    """Raise if a command (a dataclass) has a field that is neither in the table nor in `besides`,
    which other code reads. Called at import.
    """
    unused = {field.name for field in fields(command)} - table.keys() - set(besides)
    if unused:
        raise TypeError(f"{command.__qualname__} has {sorted(unused)}, which nothing uses.")


@check("")
def text(
    value: str | None, path: Path, *, least: int = 0, most: int, multiline: bool = False
) -> str:
    """Normalized, trimmed text of `least` to `most` characters, without control characters.

    Single-line text also rejects characters that change the writing direction. Text without visible
    characters is rejected as empty, even if `least` is 0.
    """
    clean = _normalized(not_null(value, path).strip(), path, most).strip()
    if multiline:
        clean = clean.replace("\r\n", "\n")
    forbidden = texts.FORBIDDEN_IN_LINES if multiline else texts.FORBIDDEN_IN_NAMES
    control = forbidden.search(clean)
    if control is not None:
        raise BadInput(
            f"{_name(path)} must not contain control characters "
            f"(U+{ord(control[0]):04X} at position {control.start()}).",
            path=path,
        )
    if clean and texts.is_blank(clean):
        raise BadInput(
            f"{_name(path)} must not be empty; it has only invisible characters.", path=path
        )
    if len(clean) < least:
        raise BadInput(
            f"{_name(path)} must not be empty."
            if least == 1
            else f"{_name(path)} must have at least {least} characters; it has {len(clean)}.",
            path=path,
            limit=least,
            actual=len(clean),
        )
    if len(clean) > most:
        raise _too_long(len(clean), path, most)
    return clean


def _normalized(value: str, path: Path, most: int) -> str:
    """The text in NFC. Text that is too long in any form is rejected unread."""
    if len(value) > most * texts.EXPANSION:
        raise _too_long(len(value), path, most)
    _check_marks(value, path)
    clean = texts.normalized(value)
    # A few marks become two, and a stored value must be valid when it is sent again.
    _check_marks(clean, path)
    return clean


def _check_marks(value: str, path: Path) -> None:
    place = texts.too_many_marks(value)
    if place is not None:
        raise BadInput(
            f"{_name(path)} must not have more than {texts.MAX_MARKS} combining marks in a row "
            f"(at position {place}).",
            path=path,
        )


def _too_long(length: int, path: Path, most: int) -> BadInput:
    return BadInput(
        f"{_name(path)} must have at most {most:,} characters; it has {length:,}.",
        path=path,
        limit=most,
        actual=length,
    )


@check()
def optional_text(
    value: str | None, path: Path, *, most: int, multiline: bool = False
) -> str | None:
    """Like `text`; text that is empty after trimming is the same as null."""
    if value is None:
        return None
    return text(value, path, most=most, multiline=multiline) or None


@check()
def color(value: str | None, path: Path) -> str | None:
    """A color as `#rrggbb`, in lower case."""
    if value is None:
        return None
    if not _COLOR.fullmatch(value):
        raise BadInput(f"{_name(path)} must be a color such as #3b82f6.", path=path)
    return value.lower()


@check("UTC")
def timezone(value: str, path: Path) -> str:
    """An IANA time zone name, such as Europe/Zurich."""
    if value not in timezones.accepted():
        raise BadInput(
            f"{_name(path)} must be an IANA time zone such as Europe/Zurich or UTC.", path=path
        )
    return value


@check("en")
def locale(value: str, path: Path) -> str:
    """A language tag (BCP 47) of language, and optionally script and region."""
    if not _LOCALE.fullmatch(value):
        raise BadInput(f"{_name(path)} must be a language tag such as en or de-CH.", path=path)
    return value


@check()
def moment(value: dt.datetime | None, path: Path) -> dt.datetime | None:
    """A time between 1900 and 2200, in UTC."""
    if value is None:
        return None
    if value.tzinfo is None:
        raise BadInput(f"{_name(path)} must have a UTC offset, such as Z.", path=path)
    if not _EARLIEST <= value < _LATEST:
        raise BadInput(f"{_name(path)} must be between the years 1900 and 2199.", path=path)
    return value.astimezone(dt.UTC)


@check(_EARLIEST)
def end_of_day(day: dt.date, zone: str, path: Path) -> dt.datetime:
    """The end of a day in a zone, which is 23, 24 or 25 hours after its beginning."""
    if not _EARLIEST.date() <= day < _LATEST.date():
        raise BadInput(f"{_name(path)} must be between the years 1900 and 2199.", path=path)
    return timezones.start_of_day(day + dt.timedelta(days=1), timezones.zone(zone))


@check()
def whole_number(value: int | None, path: Path, *, least: int, most: int) -> int | None:
    """A number within bounds."""
    if value is not None and not least <= value <= most:
        raise BadInput(
            f"{_name(path)} must be from {least:,} to {most:,}; it is {value:,}.", path=path
        )
    return value


def tags(values: Sequence[str] | None, path: Path, *, most: int = 20) -> list[str]:
    """A set of tags in the given order; duplicates are removed case-insensitively."""
    given = not_null(values, path) or ()
    if len(given) > most * _REPEATED:
        refuse(
            BadInput(
                f"{_name(path)} must have at most {most} items; it has {len(given):,}.",
                path=path,
                limit=most,
                actual=len(given),
            )
        )
        return []
    found: dict[str, str] = {}
    for index, value in enumerate(given):
        clean = text(value, (*path, index), least=1, most=50)
        found.setdefault(tag_key(clean), clean)
    if len(found) > most:
        refuse(
            BadInput(
                f"{_name(path)} must have at most {most} items; it has {len(found)}.",
                path=path,
                limit=most,
                actual=len(found),
            )
        )
    return list(found.values())


def tag_key(tag: str) -> str:
    """The form in which equal tags are equal."""
    return texts.normalized(tag.casefold())


@check()
def not_null(value: T | None, path: Path) -> T:
    """A value that may be omitted, but not be null."""
    if value is None:
        raise BadInput(f"{_name(path)} must not be null. Omit it or send a value.", path=path)
    return value


def taken(noun: str, path: Path) -> AlreadyExists:
    """The failure for a value that must be unique and is already in use."""
    return AlreadyExists(f"This {noun} is already in use.", path=path)


def _name(path: Path) -> str:
    """The field's name as the client wrote it; `tags[2]` for an item of a list."""
    words, index = [str(part) for part in path], ""
    while words and words[-1].isdigit():
        index = f"[{words.pop()}]{index}"
    if words[-1:] in (["at"], ["on"]) and len(words) > 1:
        # No names by themselves.
        words[-2:] = [".".join(words[-2:])]
    head, *rest = (words[-1] if words else "value").split("_")
    return head + "".join(word.title() for word in rest) + index


# The field that a unique constraint protects, by the constraint's name in the database.
UNIQUE: dict[str, tuple[str, Path]] = {
    "uq_users_username_lower": ("username", ("username",)),
    "uq_users_email_lower": ("email address", ("email",)),
    "uq_projects_key": ("project key", ("key",)),
    "pk_users": ("id", ("id",)),
    "pk_projects": ("id", ("id",)),
    "pk_tasks": ("id", ("id",)),
    "uq_project_members_project_id_user_id": ("membership", ("user_id",)),
    "uq_task_external_references_scope": ("external reference", ("external_references",)),
    "uq_task_shares_task_id_user_id": ("share", ("user_id",)),
    "pk_comments": ("id", ("id",)),
    "pk_attachments": ("id", ("id",)),
    "pk_time_entries": ("id", ("id",)),
    "pk_reminders": ("id", ("id",)),
    "uq_integrations_project_id_target": (
        "repository in this project",
        ("config", "github", "repository"),
    ),
}


def violation(constraint: str | None) -> AlreadyExists | None:
    """The failure for a violated unique constraint, if it protects a field."""
    if constraint not in UNIQUE:
        return None
    noun, path = UNIQUE[constraint]
    return taken(noun, path)
