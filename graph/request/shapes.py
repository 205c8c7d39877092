"""Documents that differ only in the values written in them are read once.

Programs that write values into their documents, instead of sending variables, send a new document
for each value. So the numbers and texts in the arguments of fields are taken out of the text
(`separated`), and what remains is its shape. The first document of a shape is parsed and validated
as it is; then each literal in its tree is replaced by a variable (`Shape`), and from then on, a
document of the same shape is that tree with other values (`Literals`).

Two texts of one shape have the same tokens except for their literals. So all that graphql-core
checks is the same for both, except whether the literals fit their types, and whether fields with
the same response key have the same arguments. The first is checked for each document, and if one
does not fit, the document is read as a whole, to report that. The second is avoided: literals at
such fields make a shape of which nothing is kept.

Names stay in the shape: booleans, enums, null. So do the literals of variables' defaults and of
directives. An error has the place in the text that was sent, and the standard executor, which runs
what the engine does not support, gets that text's own tree.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

from graphql import (
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLInputType,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NameNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Source,
    StringValueNode,
    ValueNode,
    VariableNode,
    get_location,
    get_named_type,
    get_nullable_type,
    is_input_object_type,
    is_list_type,
    parse,
    parse_value,
    value_from_ast_untyped,
)
from graphql.execution.values import VariableValues
from graphql.language import DocumentNode
from graphql.pyutils import Undefined
from graphql.utilities import coerce_input_literal

from graph.request.overlapping_fields import repeated_fields

# More would take longer than reading the document.
MOST_LITERALS: Final = 100
# A text with escapes is read character by character.
_LONGEST_WITH_ESCAPES: Final = 1_000

_TOKEN: Final = re.compile(
    r"""
      (?: [^"\#(){}@0-9_A-Za-z-]++ | [_A-Za-z][_0-9A-Za-z]*+ )++
    | (?P<number> -?[0-9][0-9A-Za-z_.+-]*+ )
    | (?P<text>
          \"\"\"(?:[^"\\]|\\\"\"\"|\\|"(?!""))*+\"\"\"
        | "(?!"")(?:[^"\\\r\n]|\\.)*+"
        | ""(?!")
      )
    | (?P<directive> @[_A-Za-z][_0-9A-Za-z]*+ [\s,]*+ \( )
    | (?P<mark> [(){}] )
    | \#[^\r\n]*+
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# Characters that mean themselves in a text of one line.
_PLAIN: Final = re.compile(r'"([ !#-\[\]-~\u00a0-\ud7ff\ue000-\ufffd]*)"')

_LiteralNode = IntValueNode | FloatValueNode | StringValueNode
# In the shape, for a literal of each kind. No name of GraphQL, and no text of a shape otherwise,
# contains the character.
_PLACEHOLDERS: Final[Mapping[type, str]] = {
    IntValueNode: "\0i",
    FloatValueNode: "\0f",
    StringValueNode: "\0s",
}


class Literal(NamedTuple):
    """A literal, and where it is in the text."""

    node: _LiteralNode
    start: int
    end: int


def separated(text: str) -> tuple[str, list[Literal]] | None:
    """The text's shape and its literals, in their order; None if it has none, or too many."""
    if "\0" in text:
        return None
    pieces: list[str] = []
    literals: list[Literal] = []
    end = level = 0
    # Whether the next literal is in the arguments of a field.
    inside = of_field = False
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind is None:
            continue
        if kind == "directive":
            inside, of_field = True, False
        elif kind == "mark":
            mark = match[0]
            if mark == "(":
                inside, of_field = True, level > 0
            elif mark == ")":
                inside = of_field = False
            elif not inside:
                level += 1 if mark == "{" else -1
        elif of_field and (node := _read(kind, match[0])) is not None:
            if len(literals) == MOST_LITERALS:
                return None
            literals.append(Literal(node, *match.span()))
            pieces += [text[end : match.start()], _PLACEHOLDERS[type(node)]]
            end = match.end()
    if not literals:
        return None
    pieces.append(text[end:])
    return "".join(pieces), literals


def _read(kind: str, text: str) -> _LiteralNode | None:
    """A literal as graphql-core reads it; None if it is none, or takes long to read."""
    if kind == "number":
        number = _NUMBER.fullmatch(text)
        if number is None:
            return None
        whole = number[1] is None and number[2] is None
        return IntValueNode(value=text) if whole else FloatValueNode(value=text)
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        return StringValueNode(value=plain[1], block=False)
    if len(text) > _LONGEST_WITH_ESCAPES:
        return None
    try:
        node = parse_value(text, no_location=True)
    except GraphQLError:
        return None
    return node if isinstance(node, StringValueNode) else None


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The tree of all documents of one shape. Its variables for literals are named by numbers, so
    that no client's variable has the name of one.
    """

    tree: DocumentNode
    source: Source
    types: tuple[GraphQLInputType, ...]
    # Where the literals end in the text of the tree.
    ends: tuple[int, ...]

    def values(self, text: str, literals: Sequence[Literal]) -> Literals | None:
        """The values of a document of this shape; None if one does not fit its type."""
        coerced: dict[str, Any] = {}
        for number, (literal, type_) in enumerate(zip(literals, self.types, strict=True)):
            value = coerce_input_literal(literal.node, type_)
            if value is Undefined:
                return None
            coerced[str(number)] = value
        return Literals(self, text, tuple(literals), coerced)


@dataclass(eq=False)
class Literals:
    """What one document writes where others of its shape write something else. `coerced`: by the
    names of the variables that are in their place.
    """

    shape: Shape
    text: str
    literals: tuple[Literal, ...]
    coerced: Mapping[str, Any]

    @cached_property
    def untyped(self) -> Mapping[str, Any]:
        """The values as they would be in JSON."""
        return {
            str(number): value_from_ast_untyped(literal.node)
            for number, literal in enumerate(self.literals)
        }

    def beside(self, variables: VariableValues) -> VariableValues:
        """These values and those of the client's variables."""
        return VariableValues(variables.sources, {**variables.coerced, **self.coerced})

    def tree(self) -> DocumentNode:
        """The tree of this document, with its literals."""
        return parse(self.text, allow_empty_selection_sets=False)

    def locate(self, errors: Iterable[BaseException]) -> None:
        """Give errors that refer to the shape's tree their places in this document."""
        for error in errors:
            if isinstance(error, GraphQLError) and error.source is self.shape.source:
                source = Source(self.text)
                error.locations = [
                    get_location(source, self._position(position))
                    for position in error.positions or ()
                ]

    def _position(self, position: int) -> int:
        before = bisect_right(self.shape.ends, position)
        if before == 0:
            return position
        return position + self.literals[before - 1].end - self.shape.ends[before - 1]


class _Unsuitable(Exception):  # noqa: N818 - what the document is
    """Nothing of this document can be kept for others."""


def shape_of(
    schema: GraphQLSchema, tree: DocumentNode, literals: Sequence[Literal]
) -> Shape | None:
    """The shape of a valid document; None if its literals have to stay in it."""
    assert tree.loc is not None
    rewriting = _Rewriting(schema, tree, literals)
    try:
        definitions = tuple(map(rewriting.definition, tree.definitions))
    except _Unsuitable:
        return None
    types = rewriting.types
    if len(types) != len(literals):
        return None
    return Shape(
        replace(tree, definitions=definitions),
        tree.loc.source,
        tuple(types[number] for number in range(len(literals))),
        tuple(literal.end for literal in literals),
    )


class _Rewriting:
    """Replaces literals in a tree by variables, and finds their types."""

    def __init__(
        self, schema: GraphQLSchema, tree: DocumentNode, literals: Sequence[Literal]
    ) -> None:
        self.types: dict[int, GraphQLInputType] = {}
        self._schema = schema
        self._numbers = {
            (literal.start, literal.end): number for number, literal in enumerate(literals)
        }
        self._repeated = {id(field) for field in repeated_fields(tree)}

    def definition(self, node: Any) -> Any:
        """An operation or a fragment."""
        type_: GraphQLNamedType | None
        if isinstance(node, OperationDefinitionNode):
            if node.operation is OperationType.SUBSCRIPTION:
                raise _Unsuitable
            type_ = self._schema.get_root_type(node.operation)
        else:
            assert isinstance(node, FragmentDefinitionNode), "only these are executable"
            type_ = self._schema.get_type(node.type_condition.name.value)
        assert type_ is not None, "the document is valid"
        return replace(node, selection_set=self._selections(node.selection_set, type_))

    def _selections(self, node: SelectionSetNode, type_: GraphQLNamedType) -> SelectionSetNode:
        return replace(
            node, selections=tuple(self._selection(one, type_) for one in node.selections)
        )

    def _selection(self, node: Any, type_: GraphQLNamedType) -> Any:
        if isinstance(node, FieldNode):
            return self._field(node, type_)
        if isinstance(node, InlineFragmentNode):
            condition = node.type_condition
            inner = type_ if condition is None else self._schema.get_type(condition.name.value)
            assert inner is not None, "the document is valid"
            return replace(node, selection_set=self._selections(node.selection_set, inner))
        return node

    def _field(self, node: FieldNode, type_: GraphQLNamedType) -> FieldNode:
        name = node.name.value
        if name == "__typename":
            return node
        if name.startswith("__"):
            # Answers about the schema are kept with the document.
            raise _Unsuitable
        if not node.arguments and not node.selection_set:
            return node
        definition = type_.fields[name]  # type: ignore[attr-defined]  # an object or an interface
        known = len(self.types)
        arguments = tuple(
            replace(one, value=self._value(one.value, definition.args[one.name.value].type))
            for one in node.arguments or ()
        )
        if len(self.types) > known and id(node) in self._repeated:
            raise _Unsuitable
        below = node.selection_set
        if below is not None:
            below = self._selections(below, get_named_type(definition.type))
        return replace(node, arguments=arguments, selection_set=below)

    def _value(self, node: ValueNode, type_: GraphQLInputType) -> ValueNode:
        if isinstance(node, IntValueNode | FloatValueNode | StringValueNode):
            assert node.loc is not None
            number = self._numbers.get((node.loc.start, node.loc.end))
            if number is None:
                return node
            self.types[number] = type_
            return VariableNode(name=NameNode(value=str(number)), loc=node.loc)
        inner: Any = get_nullable_type(type_)
        if isinstance(node, ListValueNode):
            if is_list_type(inner):
                values = tuple(self._value(one, inner.of_type) for one in node.values)
                return replace(node, values=values)
        elif isinstance(node, ObjectValueNode):
            named = get_named_type(inner)
            if is_input_object_type(named):
                fields = tuple(
                    replace(one, value=self._value(one.value, named.fields[one.name.value].type))
                    for one in node.fields
                )
                return replace(node, fields=fields)
        return node
