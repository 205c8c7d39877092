"""What tables of filters are written with: names for what they speak of; what a case uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphql import GraphQLInputObjectType, get_named_type


def named(value: Any, names: dict[str, str]) -> Any:
    """A filter with `$A` and the like replaced by what they name."""
    if isinstance(value, dict):
        return {key: named(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [named(inner, names) for inner in value]
    if isinstance(value, str) and value.startswith("$"):
        return names[value[1:]]
    return value


def short(value: Any) -> str:
    """A filter in the name of its test."""
    return str(value)[:70]


def used(type_: GraphQLInputObjectType, value: dict[str, Any]) -> Iterator[str]:
    """Every `Filter.criterion` of a filter, those inside it included."""
    for name, inner in value.items():
        yield f"{type_.name}.{name}"
        below: Any = get_named_type(type_.fields[name].type)
        if isinstance(below, GraphQLInputObjectType):
            for item in inner if isinstance(inner, list) else [inner]:
                yield from used(below, item)
