"""Valid operations at random: any schema, any places, fragments, aliases, merging, directives.

Two selections of one response key merge only where field, arguments and type are the same, so an
alias is made of just these: equal selections meet under one key, others never do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from zlib import crc32

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_leaf_type,
    is_required_argument,
)

# Makes an argument's literal or variable; None leaves it out.
Argument = Callable[[Random, str, GraphQLArgument, "Generator"], str | None]


@dataclass
class Generator:
    """One operation in the making; `variables` fills with the values that it is to be given."""

    schema: GraphQLSchema
    random: Random
    argument: Argument
    depth: int = 4
    variables: dict[str, Any] = field(default_factory=dict)
    _definitions: dict[str, str] = field(default_factory=dict)
    _fragments: dict[str, tuple[GraphQLNamedType, str]] = field(default_factory=dict)

    def operation(self, root: GraphQLObjectType, keyword: str = "query") -> str:
        """The document's text."""
        body = self._selections(root, self.depth)
        declared = ", ".join(f"${name}: {type_}" for name, type_ in self._definitions.items())
        head = f"{keyword} Generated{f'({declared})' if declared else ''}"
        fragments = "".join(
            f"\nfragment {name} on {type_.name} {text}"
            for name, (type_, text) in self._fragments.items()
        )
        return f"{head} {body}{fragments}"

    def variable(self, type_: str, value: Any) -> str:
        """A variable of this type and value, new or one that is there already."""
        for name, known in self._definitions.items():
            if known == type_ and self.variables[name] == value and self.random.random() < 0.5:
                return f"${name}"
        name = f"v{len(self._definitions)}"
        self._definitions[name] = type_
        self.variables[name] = value
        return f"${name}"

    def _selections(self, type_: GraphQLNamedType, depth: int) -> str:
        chance = self.random.random()
        if chance > 0.97:
            return "{ __typename }"
        if chance > 0.82 and depth > 0:
            # Nothing but objects, the same one twice among them.
            found = [self._field(type_, depth, objects=True) for _ in range(2)]
            return f"{{ {' '.join(found)} }}"
        parts = [self._selection(type_, depth) for _ in range(self.random.randint(1, 4))]
        if is_abstract_type(type_) or self.random.random() > 0.85:
            parts.insert(0, "__typename")
        return f"{{ {' '.join(parts)} }}"

    def _selection(self, type_: GraphQLNamedType, depth: int) -> str:
        # Low numbers make small operations, which Hypothesis looks for when it has found a fault.
        chance = self.random.random() if depth > 0 else 0.0
        if chance > 0.88:
            return f"... {self._directives()}{self._selections(type_, depth - 1)}"
        if chance > 0.76 or (is_abstract_type(type_) and chance > 0.3):
            condition = self._condition(type_)
            inner = self._selections(condition, depth - 1)
            return f"... on {condition.name} {self._directives()}{inner}"
        if chance > 0.66:
            return f"...{self._fragment(type_, depth)} {self._directives()}"
        return self._field(type_, depth)

    def _condition(self, type_: GraphQLNamedType) -> GraphQLNamedType:
        """A type that a value here may have."""
        if is_abstract_type(type_):
            return self.random.choice(self.schema.get_possible_types(type_))
        others = [
            other
            for other in self.schema.type_map.values()
            if is_abstract_type(other) and self.schema.is_sub_type(other, type_)
        ]
        return self.random.choice([type_, *others])

    def _fragment(self, type_: GraphQLNamedType, depth: int) -> str:
        fitting = [name for name, (on, _) in self._fragments.items() if on is type_]
        if fitting and self.random.random() < 0.6:
            return self.random.choice(fitting)
        text = self._selections(type_, depth - 1)
        name = f"F{len(self._fragments)}"
        self._fragments[name] = (type_, text)
        return name

    def _field(self, type_: GraphQLNamedType, depth: int, *, objects: bool = False) -> str:
        fields: Mapping[str, GraphQLField] = getattr(type_, "fields", {})
        if objects:
            composite = {
                name: found
                for name, found in fields.items()
                if is_composite_type(get_named_type(found.type))
            }
            fields = composite or fields
        if depth <= 0:
            fields = {
                name: found
                for name, found in fields.items()
                if is_leaf_type(get_named_type(found.type))
                and not any(map(is_required_argument, found.args.values()))
            }
        if not fields:
            return "__typename"
        name = self.random.choice(list(fields))
        found = fields[name]
        given = {
            argument: text
            for argument, definition in found.args.items()
            if (text := self.argument(self.random, argument, definition, self)) is not None
        }
        arguments = ", ".join(f"{argument}: {text}" for argument, text in given.items())
        alias = f"{name}_{crc32(f'{arguments} {found.type}'.encode()) % 9999}"
        text = f"{alias}: {name}" if given or self.random.random() > 0.7 else name
        if arguments:
            text += f"({arguments})"
        text += f" {self._directives()}"
        inner = get_named_type(found.type)
        return text + self._selections(inner, depth - 1) if is_composite_type(inner) else text

    def _directives(self) -> str:
        if self.random.random() < 0.88:
            return ""
        name = self.random.choice(["skip", "include"])
        value = self.random.random() < 0.5
        text = str(value).lower()
        if self.random.random() < 0.7:
            text = self.variable("Boolean!", value)
        return f"@{name}(if: {text}) "
