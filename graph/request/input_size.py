"""The number of input objects of an operation, counted before the first of them is created.

An input object takes some 60 µs from JSON to what a resolver receives, and is created wherever its
variable is used: thirty aliases with one large filter would block everyone for seconds, though the
document is short and the filter is rejected in the end. So objects are counted as often as they
would be created, in the document and in variables alike. Plain values in lists cost a twentieth,
and count so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    ListValueNode,
    ObjectValueNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)

from graph.core.selection import SelectionIndex
from graph.request.document_limits import TooLarge

MOST: Final = 1_000
_VALUES_PER_OBJECT: Final = 20
_NAME: Final = "input objects"


@dataclass(slots=True)
class _Part:
    """The content of one part of the document: values written there, and uses of variables."""

    values: int = 0
    uses: Counter[str] = field(default_factory=Counter)

    def add(self, other: _Part) -> None:
        self.values += other.values
        self.uses.update(other.uses)


class InputSize:
    """The measure of one operation; kept with it, and evaluated with the variables of each
    request.
    """

    __slots__ = ("_defaults", "_fragments", "_selection_index", "_uses", "_values")

    def __init__(self, selection_index: SelectionIndex) -> None:
        self._selection_index = selection_index
        self._fragments: dict[str, _Part] = {}
        part = self._selections(selection_index.operation.selection_set)
        self._values, self._uses = part.values, dict(part.uses)
        self._defaults = {
            definition.variable.name.value: _of_node(definition.default_value).values
            for definition in selection_index.operation.variable_definitions or ()
            if definition.default_value is not None
        }

    def check(self, variables: Mapping[str, Any]) -> None:
        """Raise `TooLarge` if the operation has more than `MOST` objects with these variables."""
        total = self._values
        for name, uses in self._uses.items():
            if name not in variables:
                total += uses * self._defaults.get(name, 0)
            elif isinstance(variables[name], (dict, list)):
                total += uses * _of_json(variables[name])
        objects = total // _VALUES_PER_OBJECT
        if objects > MOST:
            raise TooLarge(_NAME, objects, MOST)

    def _selections(self, selections: SelectionSetNode) -> _Part:
        part = _Part()
        for node in selections.selections:
            if isinstance(node, FragmentSpreadNode):
                part.add(self._fragment(node.name.value))
                continue
            if isinstance(node, FieldNode):
                for argument in node.arguments or ():
                    part.add(_of_node(argument.value))
            below: SelectionSetNode | None = node.selection_set  # type: ignore[attr-defined]  # of fields and inline fragments
            if below is not None:
                part.add(self._selections(below))
        return part

    def _fragment(self, name: str) -> _Part:
        part = self._fragments.get(name)
        if part is None:
            # A valid document has all its fragments, and none inside itself.
            selections = self._selection_index.fragments[name].selection_set
            part = self._fragments[name] = self._selections(selections)
        return part


def _of_node(value: ValueNode) -> _Part:
    """The content of one argument, in twentieths of an object."""
    part, waiting = _Part(), [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, VariableNode):
            part.uses[node.name.value] += 1
        elif isinstance(node, ObjectValueNode):
            part.values += _VALUES_PER_OBJECT
            waiting += [inner.value for inner in node.fields]
        elif isinstance(node, ListValueNode):
            part.values += len(node.values)
            waiting += node.values
    return part


def _of_json(value: Any) -> int:
    """The same for a variable's value."""
    total = 0
    waiting: list[Iterable[Any]] = [[value]]
    while waiting:
        for item in waiting.pop():
            if isinstance(item, dict):
                total += _VALUES_PER_OBJECT
                waiting.append(item.values())
            elif isinstance(item, list):
                total += len(item)
                waiting.append(item)
    return total
