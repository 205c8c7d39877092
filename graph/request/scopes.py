"""The scopes of an API key that an operation needs, as `graph.request.scope_table` declares.

The whole operation is checked before it runs, whatever its variables say about `@skip` and
`@include`. The error names the missing scope; nothing runs in part. Scopes that depend on the rows
(the subjects of events, an object by its id) are checked where they are read, by `may` and
`demand`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any, Final

from graphql import (
    FieldNode,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_object_type,
)

from auth.scopes import EVENT_SCOPES, LOSS, holds
from auth.viewer import Viewer
from errors import Forbidden
from events.kinds import EventKind
from graph.core.selection import SelectionIndex
from graph.request.scope_table import (
    ARGUMENTS,
    BY_FIELD,
    FIELDS,
    FREE,
    OWN,
    ROOTS,
    SESSION,
    TYPES,
    Scopes,
)
from graph.request.scoped_inputs import in_document, in_value, in_variables

# Belongs to its owner alone and to no project: not for keys that are restricted to projects.
_OF_NO_PROJECT: Final = frozenset({"notifications", "reminders", "webhooks", "integrations"})
# The longer ending first, since it ends with the shorter one.
_ENDINGS: Final = ("Connection", "Edge", "ListFilter", "Filter", "Order")
_COMPARING: Final = ("Filter", "Order")
_OF_MUTATIONS: Final = ("Input", "Item")


# --- declarations --------------------------------------------------------------------------------


def scope_of(kind: OperationType, name: str) -> Scopes | None:
    """The scopes of a root field; None if no table declares them."""
    table = ROOTS[kind]
    matches = [start for start in table if _begins(name, start)]
    return table[max(matches, key=len)] if matches else None


def _begins(name: str, start: str) -> bool:
    """Whether a field belongs to this noun: `taskStats`, `tasks` and `task` belong to `task`."""
    rest = name.removeprefix(start)
    return name.startswith(start) and (not rest or rest[0].isupper() or rest[0] == "s")


def scopes_of_type(name: str) -> Scopes | None:
    """The scopes of every field of a type; None if no table declares them."""
    found = TYPES.get(name)
    if found is not None:
        return found
    for ending in _ENDINGS:
        if name.endswith(ending):
            return TYPES.get(name.removesuffix(ending))
    return None


def _declared(schema: GraphQLSchema, type_name: str, field: str | None) -> Scopes:
    """The scopes of a type or of a field of it; a session if neither is declared. Filters and
    orderings reveal the values that they compare: their fields need what `X`'s fields of the same
    names need.
    """
    more = FIELDS.get(f"{type_name}.{field}")
    for ending in _COMPARING if more is None else ():
        if type_name.endswith(ending):
            more = FIELDS.get(f"{type_name.removesuffix(ending)}.{field}")
    if more == FREE:
        return FREE
    own = scopes_of_type(type_name)
    if own is None:
        own = FREE if _inherits(schema, type_name) else (SESSION,)
    return own if more is None else (*own, *more)


def _inherits(schema: GraphQLSchema, name: str) -> bool:
    """Whether a type belongs to a mutation and inherits its scope: its input or payload."""
    type_ = schema.get_type(name)
    if isinstance(type_, GraphQLInputObjectType):
        return name.endswith(_OF_MUTATIONS)
    payload = schema.get_type("MutationPayload")
    return isinstance(type_, GraphQLObjectType) and payload in type_.interfaces


# --- what an operation needs ---------------------------------------------------------------------


def scopes_of(selection_index: SelectionIndex) -> tuple[str, ...]:
    """The scopes that an operation's document needs, with `@skip` and `@include` disregarded; in
    document order.
    """
    root = selection_index.schema.get_root_type(selection_index.operation.operation)
    if root is None:
        return (SESSION,)
    needed = _within(selection_index, root, selection_index.operation.selection_set, set())
    return tuple(dict.fromkeys(needed))


def scopes_of_variables(
    selection_index: SelectionIndex, values: Mapping[str, Any]
) -> tuple[str, ...]:
    """The scopes that filters and orderings in variables need."""
    return tuple(
        dict.fromkeys(
            in_variables(selection_index, values, partial(_declared, selection_index.schema))
        )
    )


def scopes_of_delivery(selection_index: SelectionIndex) -> tuple[str, ...]:
    """The scopes that an API key needs to read an event that was delivered with another user's
    rights: its texts name tasks and projects.
    """
    texts = ("tasks:read", "projects:read") if "changes" in selection_index.labels["Event"] else ()
    return tuple(dict.fromkeys((*scopes_of(selection_index), *texts)))


def scopes_of_value(schema: GraphQLSchema, type_name: str, value: Any) -> tuple[str, ...]:
    """The scopes of an input that was stored as JSON, by the schema's names."""
    type_ = schema.get_type(type_name)
    return tuple(dict.fromkeys(in_value(type_, value, partial(_declared, schema))))


def _within(
    selection_index: SelectionIndex,
    type_: GraphQLNamedType,
    selections: SelectionSetNode,
    seen: set[tuple[str, str, bool]],
    own: str | None = None,
) -> Iterator[str]:
    """The scopes of the fields of a set, and of the types that its fragments are on. `own`: the
    field that the set belongs to, if it shows the viewer's own credentials.
    """
    for node in selections.selections:
        if isinstance(node, FieldNode):
            yield from _field(selection_index, type_, node, seen, own)
            continue
        if isinstance(node, InlineFragmentNode):
            condition, below = node.type_condition, node.selection_set
        else:
            name = node.name.value  # type: ignore[attr-defined]  # a spread is what is left
            fragment = selection_index.fragments.get(name)
            visit = (name, type_.name, own is not None)
            if fragment is None or visit in seen:
                continue
            seen.add(visit)
            condition, below = fragment.type_condition, fragment.selection_set
        on = None if condition is None else selection_index.schema.get_type(condition.name.value)
        if on is None or (is_abstract_type(on) and is_object_type(type_)):
            # An interface's fields on a task are the task's.
            on = type_
        yield from _within(selection_index, on, below, seen, own)


def _field(
    selection_index: SelectionIndex,
    type_: GraphQLNamedType,
    node: FieldNode,
    seen: set[tuple[str, str, bool]],
    own: str | None,
) -> Iterator[str]:
    name, schema = node.name.value, selection_index.schema
    kind = selection_index.operation.operation
    if type_ is schema.get_root_type(kind):
        if name.startswith("__"):
            return
        scopes = scope_of(kind, name)
        yield from (SESSION,) if scopes is None else scopes
    elif own is None or name not in (OWN[own] or {name}):
        yield from _declared(schema, type_.name, name)
    field = getattr(type_, "fields", {}).get(name)
    if field is None:
        return
    yield from in_document(type_, node, partial(_declared, schema))
    if node.selection_set is not None:
        place = f"{type_.name}.{name}"
        below, inner = get_named_type(field.type), node.selection_set
        yield from _within(selection_index, below, inner, seen, place if place in OWN else None)


# --- scopes of a viewer --------------------------------------------------------------------------


def may(viewer: Viewer, *needed: str) -> bool:
    """Whether a viewer's credentials have all of these scopes."""
    try:
        demand(viewer, needed)
    except Forbidden:
        return False
    return True


def demand(viewer: Viewer, needed: Collection[str]) -> None:
    """Raise `Forbidden`, with the scope in `extensions`, if a key lacks one of them."""
    granted = viewer.scopes
    if granted is None:
        return
    for scope in needed:
        if scope == SESSION:
            raise Forbidden(
                "This requires a signed-in session; API keys cannot do it.",
                extra={"scope": None},
            )
        if not holds(granted, scope):
            raise Forbidden(
                f"This requires the scope `{scope}`, which the API key does not have.",
                extra={"scope": scope},
            )
        if viewer.restricted and scope.partition(":")[0] in _OF_NO_PROJECT:
            raise Forbidden(
                "This API key is restricted to projects; this does not belong to any of them."
            )


# --- when the schema is built --------------------------------------------------------------------


def complete(schema: GraphQLSchema) -> None:
    """Check that everything declares its scopes, and add them to its description. Raises
    `TypeError` that names what declares nothing, and what is declared but does not exist.
    """
    missing = [*_undeclared(schema), *_unknown(schema)]
    if missing:
        raise TypeError(f"scopes of API keys (graph/request/scope_table.py): {'; '.join(missing)}")
    _describe(schema)


def _undeclared(schema: GraphQLSchema) -> Iterator[str]:
    roots = {schema.get_root_type(kind) for kind in OperationType}
    for type_ in schema.type_map.values():
        if type_.name.startswith("__") or type_ in roots or not _has_parts(type_):
            continue
        if scopes_of_type(type_.name) is None and not _inherits(schema, type_.name):
            yield f"{type_.name} declares no scope"
    for name in BY_FIELD:
        places = (f"{name}.{field}" for field in getattr(schema.get_type(name), "fields", {}))
        yield from (f"{place} declares no scope" for place in places if place not in FIELDS)
    for kind in OperationType:
        root = schema.get_root_type(kind)
        for name in root.fields if root is not None else ():
            if scope_of(kind, name) is None:
                yield f"{kind.value} {name} declares no scope"
    yield from (
        f"the event {kind.name} declares no scope"
        for kind in EventKind
        if kind.value != LOSS and kind.value not in EVENT_SCOPES
    )


def _has_parts(type_: GraphQLNamedType) -> bool:
    kinds = (GraphQLObjectType, GraphQLInterfaceType, GraphQLUnionType, GraphQLInputObjectType)
    return isinstance(type_, kinds)


def _unknown(schema: GraphQLSchema) -> Iterator[str]:
    yield from (f"there is no type {name}" for name in TYPES if schema.get_type(name) is None)
    for place in [*FIELDS, *OWN, *ARGUMENTS]:
        type_name, _, rest = place.partition(".")
        field_name, _, argument = rest.partition("(")
        field = getattr(schema.get_type(type_name), "fields", {}).get(field_name)
        found = field_name == "__typename" or field is not None
        if argument:
            found = argument.removesuffix(":)") in getattr(field, "args", ())
        if not found:
            yield f"there is no {place}"
    for kind, table in ROOTS.items():
        root = schema.get_root_type(kind)
        names = root.fields if root is not None else {}
        for start in table:
            if not any(_begins(name, start) for name in names):
                yield f"no {kind.value} begins with {start}"
    known = {kind.value for kind in EventKind}
    yield from (f"there is no event {kind}" for kind in EVENT_SCOPES if kind not in known)


def _describe(schema: GraphQLSchema) -> None:
    for kind in OperationType:
        root = schema.get_root_type(kind)
        for name, field in root.fields.items() if root is not None else ():
            _add(field, scope_of(kind, name) or FREE)
    for name, scopes in TYPES.items():
        type_ = schema.get_type(name)
        if isinstance(type_, GraphQLObjectType):
            _add(type_, scopes)
    for place, scopes in FIELDS.items():
        type_name, _, field_name = place.partition(".")
        field = getattr(schema.get_type(type_name), "fields", {}).get(field_name)
        if field is not None:
            free = "Free for every API key." if is_leaf_type(get_named_type(field.type)) else ""
            _add(field, scopes, free)
        for ending in _COMPARING:
            compared = getattr(schema.get_type(type_name + ending), "fields", {}).get(field_name)
            if compared is not None:
                _add(compared, scopes)


def _add(described: Any, scopes: Scopes, free: str = "") -> None:
    if SESSION in scopes:
        text = "Not for API keys."
    elif scopes:
        names = ", ".join(f"`{scope}`" for scope in scopes)
        text = f"Scope: {names}." if len(scopes) == 1 else f"Scopes: {names}."
    else:
        text = free
    if text:
        described.description = f"{described.description or ''} {text}".strip()
