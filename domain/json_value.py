"""Values as the event log, jobs and idempotency keys keep them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from enum import Enum
from typing import Any
from uuid import UUID


def json_value(value: Any, convert: Callable[[Any], Any] = lambda value: value) -> Any:
    """The value in JSON types: enums by name, moments in RFC 3339 and UTC, ids in hexadecimal.

    `convert` turns what only the caller knows into something simpler first, at every level.
    """
    value = convert(value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, (list, tuple)):
        return [json_value(item, convert) for item in value]
    if isinstance(value, dict):
        return {str(key): json_value(item, convert) for key, item in value.items()}
    return value
