"""What a document uses that will be removed; `docs/deprecation.md` is the policy.

The reason of everything deprecated ends with the date of its removal, so that clients can read it
in the schema, and the server can say it in headers.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from graphql import (
    GraphQLSchema,
    NoDeprecatedCustomRule,
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_object_type,
    validate,
)
from graphql.language import DocumentNode

# How long before its removal a use is announced, at least.
NOTICE: Final = dt.timedelta(days=183)
_REMOVAL: Final = re.compile(r"Removed after (\d{4}-\d\d-\d\d)\.$")


def removal_of(reason: str) -> dt.date | None:
    """The date in the reason of a deprecation; None if it has none."""
    match = _REMOVAL.search(reason)
    return None if match is None else dt.date.fromisoformat(match[1])


def reasons(schema: GraphQLSchema) -> dict[str, str]:
    """Why things are deprecated, by their places in the schema."""
    found: dict[str, str | None] = {}
    for type_ in schema.type_map.values():
        if is_enum_type(type_):
            for name, value in type_.values.items():
                found[f"{type_.name}.{name}"] = value.deprecation_reason
        if is_object_type(type_) or is_interface_type(type_):
            for name, field in type_.fields.items():
                found[f"{type_.name}.{name}"] = field.deprecation_reason
                for key, argument in field.args.items():
                    found[f"{type_.name}.{name}.{key}"] = argument.deprecation_reason
        if is_input_object_type(type_):
            for name, value in type_.fields.items():
                found[f"{type_.name}.{name}"] = value.deprecation_reason
    return {place: reason for place, reason in found.items() if reason is not None}


def first_removal(schema: GraphQLSchema, document: DocumentNode) -> dt.date | None:
    """The first date on which something is removed that a valid document uses. Input fields that
    only its variables have are not seen.
    """
    used = validate(schema, document, [NoDeprecatedCustomRule])
    dates = [date for error in used if (date := removal_of(error.message)) is not None]
    return min(dates, default=None)
