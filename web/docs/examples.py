"""An example document for each root field: what it requires, and the short fields of its answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

# Values of scalars, and of IDs by the beginning of their name.
_SCALARS: Final[dict[str, Any]] = {
    "String": "text",
    "Int": 1,
    "Float": 1.0,
    "Boolean": True,
    "DateTime": "2026-12-01T09:00:00Z",
    "Date": "2026-12-01",
    "Time": "09:00",
    "Seconds": 3600,
    "URL": "https://example.com",
    "Upload": None,
}
_IDS: Final[dict[str, str]] = {
    "task": "WEB-42",
    "parent": "WEB-41",
    "project": "WEB",
    "user": "@ada",
}
_TEXTS: Final[dict[str, str]] = {
    "email": "ada@example.com",
    "login": "ada",
    "password": "pedal-gently-uphill",
    "username": "maria",
    "url": "https://example.com/hook",
    "timezone": "Europe/Berlin",
    "filename": "plan.png",
    "tag": "design",
    "locale": "en",
}
_MOST_FIELDS: Final = 4


def example(kind: str, name: str, field: GraphQLField) -> tuple[str, dict[str, Any]]:
    """A document and its variables; `kind` is `query`, `mutation` or `subscription`."""
    wanted = {
        key: argument for key, argument in field.args.items() if is_required_argument(argument)
    }
    title = name[0].upper() + name[1:]
    declared = ", ".join(f"${key}: {argument.type}" for key, argument in wanted.items())
    passed = ", ".join(f"{key}: ${key}" for key in wanted)
    head = f"{kind} {title}({declared})" if wanted else f"{kind} {title}"
    call = f"{name}({passed})" if wanted else name
    lines = [f"{head} {{", *_block(call, get_named_type(field.type), "  "), "}"]
    return "\n".join(lines), {key: _value(key, argument) for key, argument in wanted.items()}


def _block(call: str, of: Any, indent: str) -> list[str]:
    inside = list(_selection(of))
    if not inside:
        return [f"{indent}{call}"]
    if len(inside) == 1 and len(inside[0]) + len(call) < 60:
        return [f"{indent}{call} {{ {inside[0]} }}"]
    return [f"{indent}{call} {{", *(f"{indent}  {line}" for line in inside), f"{indent}}}"]


def _selection(of: Any) -> Iterator[str]:
    if isinstance(of, GraphQLUnionType):
        yield "__typename"
    if not isinstance(of, GraphQLObjectType | GraphQLInterfaceType):
        return
    if "pageInfo" in of.fields:
        node = get_named_type(of.fields["nodes"].type)
        yield f"nodes {{ {' '.join(_leaves(node)) or '__typename'} }}"
        yield "pageInfo { hasNextPage endCursor }"
        return
    leaves = _leaves(of)
    if leaves:
        yield " ".join(leaves)
    if "errors" not in of.fields:
        if not leaves:
            yield "__typename"
        return
    for name, field in of.fields.items():
        inner = _leaves(get_named_type(field.type))
        if name != "errors" and inner and not any(map(is_required_argument, field.args.values())):
            yield f"{name} {{ {' '.join(inner[:2])} }}"
    yield "errors { code message path }"


def _leaves(of: Any) -> list[str]:
    if isinstance(of, GraphQLUnionType):
        return ["__typename"]
    if not isinstance(of, GraphQLObjectType | GraphQLInterfaceType):
        return []
    found = [
        name
        for name, field in of.fields.items()
        if is_leaf_type(get_named_type(field.type))
        and not field.args
        and not field.deprecation_reason
    ]
    return found[:_MOST_FIELDS]


def _value(name: str, place: GraphQLArgument | GraphQLInputField, type_: Any = None) -> Any:
    of = place.type if type_ is None else type_
    if isinstance(of, GraphQLNonNull):
        of = of.of_type
    if isinstance(of, GraphQLList):
        return [_value(name.removesuffix("s"), place, of.of_type)]
    if isinstance(of, GraphQLEnumType):
        return next(iter(of.values))
    if isinstance(of, GraphQLInputObjectType):
        return _input(of)
    if of.name == "ID":
        return next((id_ for start, id_ in _IDS.items() if name.startswith(start)), "…")
    if of.name == "String":
        return next((text for end, text in _TEXTS.items() if name.lower().endswith(end)), "text")
    return _SCALARS.get(of.name, "…")


def _input(of: GraphQLInputObjectType) -> dict[str, Any]:
    if of.is_one_of:
        name, field = next(iter(of.fields.items()))
        return {name: _value(name, field)}
    return {
        name: _value(name, field)
        for name, field in of.fields.items()
        if is_required_input_field(field)
    }


def as_json(variables: dict[str, Any]) -> str:
    """Variables as one reads them."""
    return json.dumps(variables, indent=2, ensure_ascii=False)
