"""Validation: graphql-core's rules, applied to documents that are probably valid.

`graphql.validate` asks each of some thirty rules about each node of a document, most of which have
nothing to say about its kind, and leaves 1,500 objects in reference cycles for a document of thirty
fields. Here the same rules are asked about the kinds of nodes that they have methods for, and their
cycles are broken in the end. That takes a third of the time, and nothing is left to the collector.

Only the answer "valid" is used. Whatever has an error is validated again by `graphql.validate`, so
that errors are its errors, in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any, Final

from graphql import FragmentDefinitionNode, GraphQLError, GraphQLSchema, Node, TypeInfo, validate
from graphql.language import BREAK, SKIP, DocumentNode, Visitor, visit
from graphql.language.ast import QUERY_DOCUMENT_KEYS
from graphql.language.visitor import EnterLeaveVisitor
from graphql.pyutils import RefMap
from graphql.validation import ASTValidationRule, ValidationContext
from graphql.validation.validate import FragmentNestingVisitor
from graphql.validation.validation_context import VariableUsage, VariableUsageVisitor

# Names are half of the nodes, and no rule has a method for them. Descriptions are not validated.
_KEYS: Final = {
    kind: tuple(key for key in keys if key not in {"name", "alias", "description"})
    for kind, keys in QUERY_DOCUMENT_KEYS.items()
}
_Method = Callable[..., Any]


class _Invalid(Exception):  # noqa: N818 - what the document is
    """A rule found an error."""


def validated(
    schema: GraphQLSchema,
    tree: DocumentNode,
    rules: Collection[type[ASTValidationRule]],
    *,
    max_errors: int,
    hide_suggestions: bool,
) -> list[GraphQLError]:
    """The errors of the document, as `graphql.validate` reports them."""
    if _is_valid(schema, tree, rules):
        return []
    return validate(schema, tree, rules, max_errors=max_errors, hide_suggestions=hide_suggestions)


def _is_valid(
    schema: GraphQLSchema, tree: DocumentNode, rules: Collection[type[ASTValidationRule]]
) -> bool:
    type_info = TypeInfo(schema)
    context = _Context(schema, tree, type_info, _refuse, hide_suggestions=True)
    visitors: list[Visitor] = [rule(context) for rule in rules]
    fragments = {
        definition.name.value: definition
        for definition in tree.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    if fragments:
        # As in graphql-core: a nesting that is too deep for the other rules ends the validation.
        visitors.insert(0, FragmentNestingVisitor(fragments))
    together = _Together(type_info, visitors)
    try:
        visit(tree, together, _KEYS)
    except (_Invalid, RecursionError):
        return False
    finally:
        for one in (*visitors, together, context):
            vars(one).clear()
    return True


def _refuse(_: GraphQLError) -> None:
    raise _Invalid


@cache
def _method(visitor: type[Any], what: str, kind: str) -> _Method | None:
    """A visitor's method for entering or leaving nodes of a kind."""
    method: _Method | None = getattr(visitor, f"{what}_{kind}", getattr(visitor, what, None))
    return method


class _Together(Visitor):
    """Several visitors, each asked about the nodes that it has methods for; `type_info` is kept at
    the current node. What they return means what it means in graphql-core, except that none of them
    can edit the tree.
    """

    def __init__(self, type_info: TypeInfo, visitors: Sequence[Visitor]) -> None:
        super().__init__()
        self._type_info = type_info
        self._visitors = visitors
        # By the visitor's number: the node below which it is not asked.
        self._skipping: dict[int, Any] = {}

    def get_enter_leave_for_kind(self, kind: str) -> EnterLeaveVisitor:
        """The methods for nodes of a kind, made for the first of them."""
        known = self.enter_leave_map.get(kind)
        if known is None:
            known = self.enter_leave_map[kind] = self._made(kind)
        return known

    def _made(self, kind: str) -> EnterLeaveVisitor:
        skipping = self._skipping
        entering, leaving = self._bound("enter", kind), self._bound("leave", kind)
        enter_type = getattr(self._type_info, f"enter_{kind}", None)
        leave_type = getattr(self._type_info, f"leave_{kind}", None)

        def enter(node: Node, *place: Any) -> None:
            if enter_type is not None:
                enter_type(node)
            for number, method in entering:
                if number not in skipping:
                    action = method(node, *place)
                    if action is not None:
                        skipping[number] = _below(action, node)

        def leave(node: Node, *place: Any) -> None:
            for number, method in leaving:
                if number not in skipping and _below(method(node, *place), None) is BREAK:
                    skipping[number] = BREAK
            if skipping:
                for number in [number for number, top in skipping.items() if top is node]:
                    del skipping[number]
            if leave_type is not None:
                leave_type()

        return EnterLeaveVisitor(enter, leave)

    def _bound(self, what: str, kind: str) -> list[tuple[int, _Method]]:
        """The visitors' methods for nodes of a kind, with the visitors' numbers."""
        found = []
        for number, visitor in enumerate(self._visitors):
            # For mypy, which does not take the class as hashable.
            of: Any = type(visitor)
            method = _method(of, what, kind)
            if method is not None:
                found.append((number, method.__get__(visitor)))
        return found


def _below(action: Any, node: Node | None) -> Any:
    """What a visitor is not to be asked about: nothing more, or nothing below the node."""
    if action is BREAK or action is True:
        return BREAK
    assert action is None or action is SKIP or action is False, "a rule edits the document"
    return node


class _Context(ValidationContext):
    """The context of rules. Keeps what it finds by the identity of nodes: their hash is that of
    everything below them.
    """

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        by_node: Any = RefMap
        self._fragment_spreads = by_node()
        self._variable_usages = by_node()
        self._recursive_variable_usages = by_node()

    def get_variable_usages(self, node: Any) -> list[VariableUsage]:
        """The variables used directly in an operation or a fragment."""
        usages: list[VariableUsage] | None = self._variable_usages.get(node)
        if usages is None:
            fragment = node if isinstance(node, FragmentDefinitionNode) else None
            visitor = VariableUsageVisitor(self._type_info, fragment)
            together = _Together(self._type_info, [visitor])
            visit(node, together, _KEYS)
            vars(together).clear()
            usages = self._variable_usages[node] = visitor.usages
        return usages
