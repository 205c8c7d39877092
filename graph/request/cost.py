"""The cost of an operation, computed from its text and variables before anything runs.

The formula, which docs/limits.md explains to clients:

    points = 1 + objects / 50, rounded down

*Objects* are the most that the response may have: an item of a page counts once for each item that
the page may have (`first` or `last`, 50 by default), an object below it as often as its parent.
What only holds items (connections, edges, `pageInfo`, payloads, `viewer`) is free, and so are
values. Some fields cost more than what they show (`WEIGHTS`), and a mutation costs 50 objects, and
5 for each item of the lists in its input.

So a board of 100 tasks with their assignees costs 5 points, and 20 projects of 20 tasks of 5
comments with people 97.

It is linear in the size of the document: what is below a set of selections is counted once for each
type that it may apply to. And it depends only on a few of the variables, so that the number is kept
with the operation and found again by a dictionary lookup.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from graphql import (
    ArgumentNode,
    DirectiveNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    InlineFragmentNode,
    ObjectValueNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    value_from_ast_untyped,
)

from graph.core.selection import SelectionIndex, applies, concrete_types

OBJECTS_PER_POINT: Final = 50
DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 100
# Assumed items of a list without paging and without `ids`: more than most have.
PLAIN_LIST: Final = 5
MUTATION: Final = 50
ITEM: Final = 5
COUNT: Final = 10

# Objects that a field costs beside those that it returns, for the work behind it.
WEIGHTS: Final[Mapping[str, int]] = {
    "Query.__schema": 250,
    "Query.__type": 50,
    "Query.search": 100,
    "Query.trash": 50,
    "Query.taskStats": 100,
    "Viewer.activityStats": 100,
    "Query.timeReport": 150,
    # A report can have many more groups than `PLAIN_LIST`.
    "TimeReportGroup.timeEntries": 50,
    "Query.tags": 50,
    "Query.events": 50,
    "Project.stats": 50,
    # Rendered when they are read.
    "Task.descriptionHtml": 1,
    "Project.descriptionHtml": 1,
    "Subscription.taskEvents": 50,
}

# Objects that each member of a list argument costs.
ARGUMENT_WEIGHTS: Final[Mapping[str, Mapping[str, int]]] = {
    "Query.taskStats": {"groupBy": 50},
    "Project.stats": {"groupBy": 50},
}

_STRUCTURE: Final = ("Connection", "Edge", "PageInfo", "Payload", "Viewer")
_PAGING: Final = ("first", "last")
_DECIDING: Final = frozenset({*_PAGING, "ids", "input", "groupBy"})
_ABSENT: Final = object()
_MOST_KEPT: Final = 64


class Pricing:
    """The cost of one operation, by the variables that decide it."""

    __slots__ = ("_deciding", "_defaults", "_known", "_selection_index")

    def __init__(self, selection_index: SelectionIndex) -> None:
        self._selection_index = selection_index
        self._deciding: tuple[str, ...] | None = None
        self._defaults: dict[str, Any] = {}
        self._known: dict[tuple[Any, ...], int] = {}

    def points(self, variables: Mapping[str, Any]) -> int:
        """The operation's cost with these variables, which need not be checked yet."""
        if self._deciding is None:
            self._read()
        assert self._deciding is not None
        key = tuple([_deciding(variables.get(name, _ABSENT)) for name in self._deciding])
        points = self._known.get(key)
        if points is None:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            given = {name: _whole(value) for name, value in variables.items()}
            counted = _Counting(self._selection_index, {**self._defaults, **given}).operation()
            points = self._known[key] = 1 + counted // OBJECTS_PER_POINT
        return points

    def _read(self) -> None:
        operation = self._selection_index.operation
        for definition in operation.variable_definitions or ():
            if definition.default_value is not None:
                name = definition.variable.name.value
                self._defaults[name] = value_from_ast_untyped(definition.default_value)
        names: set[str] = set()
        sets = [operation.selection_set]
        sets += [fragment.selection_set for fragment in self._selection_index.fragments.values()]
        for selection_set in sets:
            names.update(_variables_in(selection_set))
        self._deciding = tuple(sorted(names))


def _deciding(value: Any) -> Hashable:
    """What of a variable's value can affect the cost. Types are kept apart, since `1 == True`:
    a value of a wrong type must not decide what the right one costs.
    """
    value = _whole(value)
    kind = type(value)
    if kind in (int, bool):
        return kind, value
    if kind is list:
        return kind, len(value)
    if kind is dict:
        return kind, _items(value.values())
    return (kind,)


def _whole(value: Any) -> Any:
    """A number as an `Int` receives it: `100.0` is `100`."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _members(value: Any) -> int:
    """The members of a list argument; a single value is a list of one."""
    if isinstance(value, list):
        return len(value)
    return 0 if value is None else 1


def _items(values: Iterable[Any]) -> int:
    return sum(len(value) for value in values if isinstance(value, list))


def _variables_in(selections: SelectionSetNode) -> Iterator[str]:
    for node in selections.selections:
        for directive in node.directives or ():
            yield from _named(argument.value for argument in directive.arguments or ())
        if isinstance(node, FieldNode):
            for argument in node.arguments or ():
                if argument.name.value in _DECIDING:
                    yield from _named([argument.value])
        if isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set:
            yield from _variables_in(node.selection_set)


def _named(values: Iterable[ValueNode]) -> Iterator[str]:
    for value in values:
        if isinstance(value, VariableNode):
            yield value.name.value
        elif isinstance(value, ObjectValueNode):
            yield from _named(field.value for field in value.fields)


class _Counting:
    """Counts once, with all variables known."""

    def __init__(self, selection_index: SelectionIndex, variables: Mapping[str, Any]) -> None:
        self.selection_index = selection_index
        self.schema = selection_index.schema
        self.variables = variables
        # By type, selection sets and the size of the lists at that position.
        self._known: dict[tuple[str, tuple[int, ...], int], int] = {}

    def operation(self) -> int:
        node = self.selection_index.operation
        root = self.schema.get_root_type(node.operation)
        if root is None:
            return 0
        objects = self._object(root, [node.selection_set], PLAIN_LIST)
        if node.operation is OperationType.MUTATION:
            for fields in self._grouped(root, [node.selection_set]).values():
                objects += MUTATION + ITEM * self._items(fields[0])
        return objects

    def _below(self, type_: GraphQLNamedType, sets: Sequence[SelectionSetNode], size: int) -> int:
        """The objects below one object of this type; for an abstract type, the highest of its
        types.
        """
        key = (type_.name, tuple([id(one) for one in sets]), size)
        known = self._known.get(key)
        if known is None:
            # In case a fragment contains itself, which validation rejects.
            self._known[key] = 0
            concrete = concrete_types(self.schema, type_)
            known = max((self._object(one, sets, size) for one in concrete), default=0)
            self._known[key] = known
        return known

    def _object(self, type_: GraphQLObjectType, sets: Sequence[SelectionSetNode], size: int) -> int:
        objects = 0
        for nodes in self._grouped(type_, sets).values():
            name = nodes[0].name.value
            place = f"{type_.name}.{name}"
            objects += WEIGHTS.get(place, 0)
            for argument, weight in ARGUMENT_WEIGHTS.get(place, {}).items():
                objects += weight * _members(self._value(nodes[0], argument))
            field = type_.fields.get(name)
            # Introspection is charged by its weight.
            if field is not None:
                objects += self._field(field, nodes, size)
        return objects

    def _field(self, field: GraphQLField, nodes: Sequence[FieldNode], size: int) -> int:
        named = get_named_type(field.type)
        if is_leaf_type(named):
            return COUNT if nodes[0].name.value == "totalCount" else 0
        sets = [node.selection_set for node in nodes if node.selection_set]
        inner = self._below(named, sets, self._page(field, nodes[0]))
        if not named.name.endswith(_STRUCTURE):
            inner += 1
        return inner * self._length(field, nodes[0], size)

    def _page(self, field: GraphQLField, node: FieldNode) -> int:
        """The number of rows in each list that a field returns."""
        if not any(name in field.args for name in _PAGING):
            return PLAIN_LIST
        for name in _PAGING:
            size = self._value(node, name)
            if type(size) is int:
                return min(max(size, 0), MAX_PAGE)
        return DEFAULT_PAGE

    def _length(self, field: GraphQLField, node: FieldNode, size: int) -> int:
        """The number of objects that a field itself returns."""
        if not is_list_type(get_nullable_type(field.type)):
            return 1
        if "ids" in field.args:
            return min(_members(self._value(node, "ids")), MAX_PAGE)
        return size

    def _items(self, node: FieldNode) -> int:
        """The items of all lists of a mutation's input."""
        given = self._value(node, "input")
        return _items(given.values()) if isinstance(given, dict) else 0

    # --- the document ----------------------------------------------------------------------------

    def _value(self, node: FieldNode, name: str) -> Any:
        for argument in node.arguments or ():
            if argument.name.value == name:
                return self._evaluated(argument)
        return None

    def _evaluated(self, argument: ArgumentNode) -> Any:
        value = argument.value
        if isinstance(value, VariableNode):
            return self.variables.get(value.name.value)
        return value_from_ast_untyped(value, dict(self.variables))

    def _grouped(
        self, type_: GraphQLObjectType, sets: Sequence[SelectionSetNode]
    ) -> dict[str, list[FieldNode]]:
        """The selected fields of this type by response key, merged as in execution."""
        grouped: dict[str, list[FieldNode]] = {}
        for selection_set in sets:
            self._collect(type_, selection_set, grouped, set())
        return grouped

    def _collect(
        self,
        type_: GraphQLObjectType,
        selections: SelectionSetNode,
        grouped: dict[str, list[FieldNode]],
        seen: set[str],
    ) -> None:
        for node in selections.selections:
            if not self._included(node.directives or ()):
                continue
            if isinstance(node, FieldNode):
                key = node.alias.value if node.alias else node.name.value
                grouped.setdefault(key, []).append(node)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                if condition is None or applies(self.selection_index, condition.name.value, type_):
                    self._collect(type_, node.selection_set, grouped, seen)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                fragment = self.selection_index.fragments.get(node.name.value)
                if fragment and applies(
                    self.selection_index, fragment.type_condition.name.value, type_
                ):
                    self._collect(type_, fragment.selection_set, grouped, seen)

    def _included(self, directives: Sequence[DirectiveNode]) -> bool:
        for directive in directives:
            name = directive.name.value
            if name in {"skip", "include"} and directive.arguments:
                value: Any = directive.arguments[0].value
                if isinstance(value, VariableNode):
                    decided = self.variables.get(value.name.value)
                else:
                    decided = getattr(value, "value", None)
                if decided is (name == "skip"):
                    return False
        return True
