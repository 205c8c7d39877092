"""What an operation selects below a field, and so which columns must be read.

A `Selection` is the set of field nodes at one position of the document. It answers which fields of
a type are selected, following fragments; `@skip` and `@include` are disregarded, so that the answer
depends on the document alone and can be kept with it. Reading a column too many does no harm.

Both engines make selections: the standard executor from `info.field_nodes`, the batch engine from
its plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any
from weakref import ref

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    is_abstract_type,
    is_object_type,
)

DEFINITION = "strawberry-definition"

# Types that show rows of another type, by its name: what both request is read together.
SAME_ROWS: dict[str, str] = {}


class SelectionIndex:
    """One operation of a document, for questions about the whole operation; kept with the
    document.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
    ) -> None:
        self.schema = schema
        self.operation = operation
        self.fragments = fragments
        self._selections: dict[tuple[int, ...], Selection] = {}
        # Statements that fields built for their position in this operation, by field and shape.
        self.statements: dict[Any, Any] = {}

    def selection(self, nodes: Sequence[FieldNode], type_: GraphQLNamedType) -> Selection:
        """The selection below these nodes, made once. `type_` is the nodes' named type."""
        key = tuple(id(node) for node in nodes)
        found = self._selections.get(key)
        if found is None:
            found = self._selections[key] = Selection(self, tuple(nodes), type_)
        return found

    @cached_property
    def labels(self) -> Mapping[str, frozenset[str]]:
        """For each object type, the columns requested anywhere in the operation.

        To-one objects are read with these, so that one read serves every level.
        """
        return {name: frozenset(labels) for name, (labels, _) in self._requested.items()}

    @cached_property
    def relations(self) -> Mapping[str, tuple[str, ...]]:
        """For each object type, the to-one relations requested anywhere, by the model's names."""
        return {name: tuple(sorted(relations)) for name, (_, relations) in self._requested.items()}

    @cached_property
    def _requested(self) -> dict[str, tuple[set[str], set[str]]]:
        root = self.schema.get_root_type(self.operation.operation)
        found: dict[str, tuple[set[str], set[str]]] = {}
        if root is not None:
            self._gather(root, [self.operation.selection_set], found)
        return found

    def _gather(
        self,
        type_: GraphQLNamedType,
        sets: Sequence[SelectionSetNode],
        found: dict[str, tuple[set[str], set[str]]],
    ) -> None:
        for object_type in concrete_types(self.schema, type_):
            name = SAME_ROWS.get(object_type.name, object_type.name)
            labels, relations = found.setdefault(name, (set(), set()))
            below: dict[str, list[SelectionSetNode]] = {}
            for node in fields_of(self, object_type, sets):
                field = object_type.fields.get(node.name.value)
                if field is None:
                    continue
                labels.update(required_columns(field))
                relation = relation_of(field)
                if relation is not None:
                    relations.add(relation)
                if node.selection_set:
                    below.setdefault(node.name.value, []).append(node.selection_set)
            for field_name, inner in below.items():
                inner_type = get_named_type(object_type.fields[field_name].type)
                self._gather(inner_type, inner, found)


class Selection:
    """The field nodes of one position (one response key, merged) and what is selected below
    them.
    """

    __slots__ = ("_children", "_labels", "_selection_index", "nodes", "type")

    def __init__(
        self, selection_index: SelectionIndex, nodes: tuple[FieldNode, ...], type_: GraphQLNamedType
    ) -> None:
        # The index holds its selections. If they held it too, the cycle would keep an abandoned
        # operation in memory until the garbage collector runs.
        self._selection_index = ref(selection_index)
        self.nodes = nodes
        self.type = type_
        self._labels: dict[str, frozenset[str]] = {}
        self._children: dict[str, Selection | None] = {}

    @property
    def selection_index(self) -> SelectionIndex:
        """The operation's index; held by the code that runs the operation."""
        selection_index = self._selection_index()
        assert selection_index is not None
        return selection_index

    def child(self, field_name: str) -> Selection | None:
        """The selection below a field (schema name, under any alias), or None if it is not
        selected.
        """
        if field_name not in self._children:
            self._children[field_name] = self._child(field_name)
        return self._children[field_name]

    def _child(self, field_name: str) -> Selection | None:
        nodes: list[FieldNode] = []
        inner: GraphQLNamedType | None = None
        for object_type in concrete_types(self.selection_index.schema, self.type):
            field = object_type.fields.get(field_name)
            if field is None:
                continue
            inner = get_named_type(field.type)
            for node in fields_of(self.selection_index, object_type, self._sets()):
                if node.name.value == field_name and not any(node is seen for seen in nodes):
                    nodes.append(node)
        if not nodes or inner is None:
            return None
        return self.selection_index.selection(nodes, inner)

    def labels(self, object_type: GraphQLObjectType) -> frozenset[str]:
        """Columns that the selected fields of this type need."""
        found = self._labels.get(object_type.name)
        if found is None:
            requires: set[str] = set()
            for node in fields_of(self.selection_index, object_type, self._sets()):
                field = object_type.fields.get(node.name.value)
                if field is not None:
                    requires.update(required_columns(field))
            found = self._labels[object_type.name] = frozenset(requires)
        return found

    def _sets(self) -> list[SelectionSetNode]:
        return [node.selection_set for node in self.nodes if node.selection_set]


def required_columns(field: Any) -> tuple[str, ...]:
    """Columns of the parent row that a schema field needs, as its definition declares."""
    definition = field.extensions.get(DEFINITION)
    requires: tuple[str, ...] = getattr(definition, "requires", ())
    return requires


def relation_of(field: Any) -> str | None:
    """The model's to-one relation that a schema field shows, if it shows one."""
    relation: str | None = getattr(field.extensions.get(DEFINITION), "relation", None)
    return relation


def concrete_types(schema: GraphQLSchema, type_: GraphQLNamedType) -> Sequence[GraphQLObjectType]:
    """The object types that a value of this type may have; none for leaves."""
    if is_object_type(type_):
        return (type_,)
    if is_abstract_type(type_):
        return schema.get_possible_types(type_)
    return ()


def fields_of(
    selection_index: SelectionIndex,
    object_type: GraphQLObjectType,
    sets: Sequence[SelectionSetNode],
) -> Iterator[FieldNode]:
    """Every field node that applies to an object of this type, with fragments expanded."""
    for selection_set in sets:
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                if condition is None or applies(selection_index, condition.name.value, object_type):
                    yield from fields_of(selection_index, object_type, [node.selection_set])
            elif isinstance(node, FragmentSpreadNode):
                fragment = selection_index.fragments.get(node.name.value)
                if fragment is not None and applies(
                    selection_index, fragment.type_condition.name.value, object_type
                ):
                    yield from fields_of(selection_index, object_type, [fragment.selection_set])


def applies(
    selection_index: SelectionIndex, condition: str, object_type: GraphQLObjectType
) -> bool:
    """Whether a fragment on the type `condition` applies to objects of this type."""
    if condition == object_type.name:
        return True
    type_ = selection_index.schema.get_type(condition)
    return (
        type_ is not None
        and is_abstract_type(type_)
        and selection_index.schema.is_sub_type(type_, object_type)
    )
