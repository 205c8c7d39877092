"""How often validation would compare fields with each other, counted before it begins.

Fields with the same response key must agree with each other, and graphql-core compares every pair:
250 fields of one name take it 300 ms, within all other limits. So fields are grouped here as they
will be in the response, with fragments expanded and types disregarded, and the pairs are counted.
That costs no more than the fields, of which there are few by now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)
from graphql.language import DocumentNode

from graph.request.document_limits import DocumentLimits, TooLarge

_NAME = "pairs of fields that give one key"
Fragments = Mapping[str, FragmentDefinitionNode]


def check_overlap(tree: DocumentNode, limits: DocumentLimits) -> None:
    """Raise `TooLarge` if the fields of one operation make too many pairs."""
    for groups in _operations(tree):
        pairs = sum(len(fields) * (len(fields) - 1) // 2 for fields in groups)
        if pairs > limits.pairs:
            raise TooLarge(_NAME, pairs, limits.pairs)


def repeated_fields(tree: DocumentNode) -> Iterator[FieldNode]:
    """The fields that share their response key with others. May name a field that, by its type,
    does not.
    """
    for groups in _operations(tree):
        for fields in groups:
            if len(fields) > 1:
                yield from fields


def _operations(tree: DocumentNode) -> Iterator[Iterator[list[FieldNode]]]:
    """For each operation, the fields of each response key at each position."""
    fragments = {
        definition.name.value: definition
        for definition in tree.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    for definition in tree.definitions:
        if isinstance(definition, OperationDefinitionNode):
            yield _groups(definition.selection_set, fragments)


def _groups(selections: SelectionSetNode, fragments: Fragments) -> Iterator[list[FieldNode]]:
    places = [[selections]]
    while places:
        keys: dict[str, list[FieldNode]] = {}
        for field in _fields(places.pop(), fragments, set()):
            keys.setdefault((field.alias or field.name).value, []).append(field)
        for fields in keys.values():
            yield fields
            below = [field.selection_set for field in fields if field.selection_set]
            if below:
                places.append(below)


def _fields(
    sets: Sequence[SelectionSetNode], fragments: Fragments, opened: set[str]
) -> Iterator[FieldNode]:
    """The fields of these sets. A fragment is expanded once, since it agrees with itself."""
    for selection_set in sets:
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                yield from _fields([node.selection_set], fragments, opened)
            elif isinstance(node, FragmentSpreadNode):
                fragment = fragments.get(node.name.value)
                if fragment is not None and node.name.value not in opened:
                    opened.add(node.name.value)
                    yield from _fields([fragment.selection_set], fragments, opened)
