"""The reference of the schema, made from it: an area on each page, its operations first."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_introspection_type,
    is_required_argument,
    is_required_input_field,
    is_specified_scalar_type,
)

from graph.schema import schema
from web.docs.examples import as_json, example

# The areas are the folders of `graph.types`; what is in none of them is general.
_TITLES: Final[Mapping[str, str]] = {
    "tasks": "Tasks, comments, files, shares",
    "projects": "Projects",
    "time": "Time and reports",
    "events": "Events",
    "notifications": "Notifications",
    "accounts": "Accounts, sessions, keys",
    "integrations": "Webhooks and integrations",
    "admin": "Administration",
    "general": "Nodes, search, lists, scalars",
}
_PREFIX: Final = "reference-"
PATHS: Final = tuple(f"{_PREFIX}{area}" for area in _TITLES)
_ROOTS: Final = {"Query": "query", "Mutation": "mutation", "Subscription": "subscription"}
_PLURALS: Final = {"Query": "Queries", "Mutation": "Mutations", "Subscription": "Subscriptions"}


def title_of(path: str) -> str:
    """The title of a page of the reference."""
    return _TITLES[path.removeprefix(_PREFIX)]


def reference_page(path: str) -> str:
    """A page of the reference, in Markdown."""
    area = path.removeprefix(_PREFIX)
    return "\n".join([f"# {_TITLES[area]}", "", *_operations(area), *_types(area)])


# --- what belongs where --------------------------------------------------------------------------


@functools.cache
def _core() -> GraphQLSchema:
    return schema._schema  # noqa: SLF001 - Strawberry's way to it


@functools.cache
def _areas() -> Mapping[str, str]:
    """The area of each type, by its name."""
    found: dict[str, str] = {}
    for name, of in _core().type_map.items():
        if is_introspection_type(of) or is_specified_scalar_type(of) or name in _ROOTS:
            continue
        found[name] = _area_of_module(of) or ""
    # Enums are declared with the models: they belong to the first type that has them.
    for name, of in _core().type_map.items():
        for used in _used_by(of):
            if found.get(name) and not found.get(used, "x"):
                found[used] = found[name]
    return {name: area or "general" for name, area in found.items()}


def _area_of_module(of: GraphQLNamedType) -> str | None:
    definition = of.extensions.get("strawberry-definition")
    origin = getattr(definition, "origin", None) or getattr(definition, "wrapped_cls", None)
    module = str(getattr(origin, "__module__", ""))
    match = re.match(r"graph\.types\.(\w+)\.", module)
    if match is not None:
        return match[1]
    return None if isinstance(of, GraphQLEnumType | GraphQLUnionType) else "general"


def _used_by(of: GraphQLNamedType) -> Iterator[str]:
    fields: Mapping[str, Any] = getattr(of, "fields", {})
    for field in fields.values():
        yield get_named_type(field.type).name
        for argument in getattr(field, "args", {}).values():
            yield get_named_type(argument.type).name


def _area_of_field(field: GraphQLField) -> str:
    return _areas().get(get_named_type(field.type).name, "general")


# --- operations ----------------------------------------------------------------------------------


def _operations(area: str) -> Iterator[str]:
    for root, kind in _ROOTS.items():
        fields = {
            name: field
            for name, field in _object(root).fields.items()
            if _area_of_field(field) == area
        }
        if not fields:
            continue
        yield from (f"## {_PLURALS[root]}", "")
        for name in sorted(fields):
            yield from _operation(kind, name, fields[name])


def _object(name: str) -> GraphQLObjectType:
    of = _core().type_map[name]
    assert isinstance(of, GraphQLObjectType)
    return of


def _operation(kind: str, name: str, field: GraphQLField) -> Iterator[str]:
    yield from (f"### `{name}` {{#{kind}-{name}}}", "", field.description or "", "")
    yield from (f"Returns {_link(field.type)}.", "")
    if field.args:
        yield from ("| Argument | Type | |", "|---|---|---|")
        for key, argument in field.args.items():
            about = _one_line(argument.description)
            about += " Required." if is_required_argument(argument) else ""
            yield f"| `{key}` | {_link(argument.type)} | {about} |"
        yield ""
    document, variables = example(kind, name, field)
    yield from ("```graphql", document, "```", "")
    if variables:
        yield from ("```json", as_json(variables), "```", "")
    codes = list(_codes(kind, field))
    if codes:
        links = ", ".join(f"[`{code}`](/docs/errors#{code})" for code in codes)
        yield from (f"Errors to expect: {links}.", "")


def _codes(kind: str, field: GraphQLField) -> Iterator[str]:
    """The codes that the shape of a field gives reason to expect; any may have others too."""
    inputs = [get_named_type(argument.type) for argument in field.args.values()]
    names = set(field.args)
    for of in inputs:
        if isinstance(of, GraphQLInputObjectType):
            names |= set(of.fields)
    if field.args:
        yield "BAD_USER_INPUT"
    if "id" in names or any(name.endswith(("Id", "Ids")) for name in names):
        yield "NOT_FOUND"
    if kind == "mutation":
        yield "FORBIDDEN"
    if "ifVersion" in names:
        yield "CONFLICT"
    if "idempotencyKey" in names:
        yield "IDEMPOTENCY_MISMATCH"
    if kind == "subscription" and "after" in names:
        yield "CURSOR_EXPIRED"


# --- types ---------------------------------------------------------------------------------------


def _types(area: str) -> Iterator[str]:
    groups: dict[str, list[GraphQLNamedType]] = defaultdict(list)
    for name in sorted(name for name, of in _areas().items() if of == area):
        groups[_group(name)].append(_core().type_map[name])
    for title in ("Types", "Payloads", "Inputs", "Filters and orderings", "Enums", "Scalars"):
        if groups[title]:
            yield from (f"## {title}", "")
            for of in groups[title]:
                yield from _type(of)
    if groups["Connections"]:
        yield from ("## Connections", "")
        for of in groups["Connections"]:
            node = get_named_type(_fields(of)["node" if of.name.endswith("Edge") else "nodes"].type)
            yield from (f"### {of.name} {{#{of.name}}}", "")
            yield from (f"{_one_line(of.description)} Its items: {_link(node)}.", "")


def _group(name: str) -> str:
    of = _core().type_map[name]
    if isinstance(of, GraphQLEnumType):
        return "Enums"
    if isinstance(of, GraphQLScalarType):
        return "Scalars"
    if isinstance(of, GraphQLInputObjectType):
        return "Filters and orderings" if name.endswith(("Filter", "Order")) else "Inputs"
    if name.endswith("Payload"):
        return "Payloads"
    fields = _fields(of)
    is_list = {"nodes", "pageInfo"} <= fields.keys() or {"node", "cursor"} <= fields.keys()
    return "Connections" if is_list else "Types"


def _fields(of: GraphQLNamedType) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(of, "fields", {})
    return found


def _type(of: GraphQLNamedType) -> Iterator[str]:
    yield from (f"### {of.name} {{#{of.name}}}", "")
    if of.description:
        yield from (of.description, "")
    if isinstance(of, GraphQLObjectType | GraphQLInterfaceType) and of.interfaces:
        yield from (f"Implements {_links(of.interfaces)}.", "")
    if isinstance(of, GraphQLUnionType):
        yield from (f"One of {_links(of.types)}.", "")
    if isinstance(of, GraphQLEnumType):
        for name, value in of.values.items():
            yield f"- `{name}`: {_one_line(value.description)}"
        yield ""
    for name, field in _fields(of).items():
        arguments = ", ".join(f"`{key}`: {_link(each.type)}" for key, each in _arguments(field))
        signature = f"`{name}`{f' ({arguments})' if arguments else ''}: {_link(field.type)}"
        required = isinstance(of, GraphQLInputObjectType) and is_required_input_field(field)
        note = " Required." if required else ""
        old = f" Deprecated: {field.deprecation_reason}" if field.deprecation_reason else ""
        yield f"- {signature} {_one_line(field.description)}{note}{old}"
    yield ""


def _arguments(field: Any) -> Iterable[tuple[str, Any]]:
    found: Mapping[str, Any] = getattr(field, "args", {})
    return found.items()


# --- text ----------------------------------------------------------------------------------------


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _link(of: Any) -> str:
    """A type as it is written, such as `[Task!]!`, with its name as a link."""
    name = get_named_type(of).name
    area = _areas().get(name)
    if area is None:
        return f"`{of}`"
    before, _, after = str(of).partition(name)
    inner = f"[{name}](/docs/{_PREFIX}{area}#{name})"
    return f"{before.replace('[', '&#91;')}{inner}{after.replace(']', '&#93;')}"


def _links(types: Iterable[GraphQLNamedType]) -> str:
    return ", ".join(_link(of) for of in types)
