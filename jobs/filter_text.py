"""A filter of time entries as an English sentence, for exports that people read.

{"project": {"id": {"eq": "project_018f…"}}, "isBillable": true}
Only entries where the project is “Bridge” and the entry is billable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

NameOf = Callable[[str], str | None]
"""The name of what a global id is of, if the reader may know it."""

_WORDS = {
    "startedAt": "start",
    "endedAt": "end",
    "duration": "duration in seconds",
    "createdAt": "time of entering",
    "updatedAt": "time of the last change",
}
_FLAGS = {"isBillable": "billable", "isRunning": "running", "hasOverlap": "overlapping another one"}
_QUANTIFIERS = {"some": "a", "none": "no", "every": "every"}
# By operator, what is said of a number, and of anything else.
_OPERATORS = {
    "eq": ("is {}", "is {}"),
    "notEq": ("is not {}", "is not {}"),
    "in": ("is {}", "is {}"),
    "notIn": ("is not {}", "is not {}"),
    "lt": ("is less than {}", "is before {}"),
    "lte": ("is at most {}", "is {} or before"),
    "gt": ("is more than {}", "is after {}"),
    "gte": ("is at least {}", "is {} or after"),
    "contains": ("contains {}", "contains {}"),
    "startsWith": ("starts with {}", "starts with {}"),
    "endsWith": ("ends with {}", "ends with {}"),
    "within": ("is within {}", "is within {}"),
}
_UNITS = {"W": "week", "D": "day", "H": "hour", "M": "minute", "S": "second"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T.*)?")
_ID = re.compile(r"[a-z_]+_[0-9a-f]{32}")


def sentence(filter_: Mapping[str, Any], name_of: NameOf) -> str:
    """The filter, as a client sent it (JSON by the schema's names)."""
    criteria = list(_criteria(filter_, "the ", name_of))
    return f"Only entries where {' and '.join(criteria)}." if criteria else "All entries."


def ids_in(value: Any) -> Iterator[str]:
    """All texts in a filter that may be global ids."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from ids_in(inner)
    elif isinstance(value, str) and _ID.fullmatch(value):
        yield value


def _criteria(filter_: Mapping[str, Any], subject: str, name_of: NameOf) -> Iterator[str]:
    for name, value in filter_.items():
        if value is None:
            continue
        if name in {"and", "or"}:
            parts = [_all_of(inner, subject, name_of) for inner in value]
            yield f"({f' {name} '.join(parts)})"
        elif name == "not":
            yield f"not ({_all_of(value, subject, name_of)})"
        elif name == "search":
            what = "the text" if subject == "the " else _object(subject)
            yield f"{what} has the words “{value}”"
        elif isinstance(value, bool):
            yield _flag(name, value, subject)
        elif name == "id" and isinstance(value, Mapping):
            # The object itself.
            yield from _of_field_values(_object(subject), value, name_of)
        elif isinstance(value, Mapping):
            yield from _of_field(name, value, subject, name_of)


def _flag(name: str, value: bool, subject: str) -> str:
    is_ = "is" if value else "is not"
    if name == "isNull":
        return f"{_object(subject)} is {'not set' if value else 'set'}"
    if name == "isMe":
        return f"{_object(subject)} {is_} the owner of this export"
    what = _FLAGS.get(name) or _words(name).removeprefix("is ")
    return f"{_object(subject)} {is_} {what}"


def _object(subject: str) -> str:
    """What a criterion is about: `the project's ` is about the project, `the ` about the entry."""
    return subject.removesuffix("'s ") if subject.endswith("'s ") else "the entry"


def _all_of(filter_: Mapping[str, Any], subject: str, name_of: NameOf) -> str:
    return " and ".join(_criteria(filter_, subject, name_of)) or "anything"


def _of_field(name: str, value: Mapping[str, Any], subject: str, name_of: NameOf) -> Iterator[str]:
    words = _words(name)
    for key, inner in value.items():
        if inner is None:
            continue
        if key == "isNull":
            yield f"{subject}{words} is {'not set' if inner else 'set'}"
        elif key in _OPERATORS:
            yield f"{subject}{words} {_compared(key, inner, name_of)}"
        elif key in _QUANTIFIERS:
            of = "" if subject == "the " else f" of {_object(subject)}"
            one = f"{_QUANTIFIERS[key]} {_singular(words)}{of}"
            yield from _of_field_values(one, inner, name_of)
        else:
            # A criterion of a related object.
            yield from _criteria({key: inner}, f"{subject}{words}'s ", name_of)


def _of_field_values(subject: str, value: Mapping[str, Any], name_of: NameOf) -> Iterator[str]:
    for key, inner in value.items():
        if key == "isNull" and inner is not None:
            yield f"{subject} is {'not set' if inner else 'set'}"
        elif key in _OPERATORS:
            yield f"{subject} {_compared(key, inner, name_of)}"
        elif inner is not None:
            yield from _criteria({key: inner}, f"{subject}'s ", name_of)


def _compared(operator: str, value: Any, name_of: NameOf) -> str:
    if operator == "within":
        return _OPERATORS[operator][1].format(_period(value))
    values = value if isinstance(value, list) else [value]
    is_number = all(isinstance(one, (int, float)) for one in values)
    shown = " or ".join(_shown(one, name_of) for one in values) or "nothing"
    return _OPERATORS[operator][0 if is_number else 1].format(shown)


def _period(duration: str) -> str:
    """`-P1DT2H` is `the last 1 day 2 hours`."""
    parts = re.findall(r"(\d+)([WDHMS])", duration)
    lengths = [f"{int(n)} {_UNITS[unit]}{'' if int(n) == 1 else 's'}" for n, unit in parts]
    return f"the {'last' if duration.startswith('-') else 'next'} {' '.join(lengths)}"


def _shown(value: Any, name_of: NameOf) -> str:
    if isinstance(value, str) and _ID.fullmatch(value):
        name = name_of(value)
        return "one that you cannot see" if name is None else f"“{name}”"
    if isinstance(value, str) and not _DATE.fullmatch(value):
        return f"“{value}”"
    return str(value)


def _words(name: str) -> str:
    """`dueOn` is `due on`."""
    return _WORDS.get(name) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _singular(words: str) -> str:
    return f"{words[:-3]}y" if words.endswith("ies") else words.removesuffix("s")
