"""Converts all answers to one shape, so that they can be compared leaf by leaf.

Servers differ in their wrappers (`nodes`, payloads, ten pages for one list) and in how they write a
value (global ids, names or numbers of enums, timestamps). They must not differ in content.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from string import digits
from typing import Any
from uuid import UUID

from db.models import TaskPriority, TaskStatus
from graph.core.ids import split

_ENUMS: Mapping[str, Any] = {"status": TaskStatus, "priority": TaskPriority}
_MOMENTS = {"dueAt", "startAt", "createdAt"}


def canonical(case: str, data: Any) -> Any:
    """The `data` of an answer in the common shape."""
    if case == "wide" and "page0" in data:
        data = {"tasks": [task for page in data.values() for task in page["nodes"]]}
    plain = _plain("", data)
    if case == "create":
        while "task" not in plain:
            (plain,) = plain.values()
        # Every server generates its own.
        task = {**plain["task"], "id": isinstance(plain["task"]["id"], UUID)}
        return {"task": task}
    return plain


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"nodes"}:
            return _plain(name, value["nodes"])
        # Aliases are a field's name and a number.
        return {key: _plain(key.rstrip(digits), item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain("", item) for item in value]
    if value is None:
        return None
    if name == "id":
        return split(value, ())[1] if "_" in value else UUID(value)
    if name in _ENUMS:
        enum = _ENUMS[name]
        return enum[value] if isinstance(value, str) else enum(value)
    if name in _MOMENTS:
        return dt.datetime.fromisoformat(value)
    return value


def difference(ours: Any, theirs: Any, path: str = "data") -> str | None:
    """The first difference between two canonical answers, or None."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if set(ours) != set(theirs):
            return f"{path}: fields {sorted(ours)} and {sorted(theirs)}"
        pairs = [(f"{path}.{key}", ours[key], theirs[key]) for key in ours]
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            return f"{path}: {len(ours)} and {len(theirs)} items"
        pairs = [(f"{path}[{i}]", a, b) for i, (a, b) in enumerate(zip(ours, theirs, strict=True))]
    else:
        return None if ours == theirs else f"{path}: {ours!r} and {theirs!r}"
    return next((found for pair in pairs if (found := difference(pair[1], pair[2], pair[0]))), None)


def fields_in(data: Any) -> int:
    """How many fields an answer has: keys of objects, at any depth."""
    if isinstance(data, dict):
        return len(data) + sum(map(fields_in, data.values()))
    if isinstance(data, list):
        return sum(map(fields_in, data))
    return 0
