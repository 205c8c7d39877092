"""Plans as data: what an operation requests, and how its answer is assembled.

A plan is a tree: an `ObjectPlan` for each response position with objects of one type, with a
`FieldPlan` for each response key there. `graph.engine.planning` makes plans, `graph.engine.run`
runs them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails
from graphql.execution.values import VariableValues

from graph.core.context import Context
from graph.core.selection import Selection, SelectionIndex
from graph.engine.arguments import Arguments
from graph.engine.columns import Assembler, Column, LeafColumn, Parents, complete_lists
from graph.engine.sql_json import Columns, JsonSpan, Part

# Makes the objects' texts of the number of objects and the columns of texts.
TextAssembler = Callable[[int, Sequence[Column]], list[str]]


class Execution(Protocol):
    """The part of a run that sources need."""

    @property
    def context(self) -> Context:
        """The operation's context."""

    @property
    def variables(self) -> VariableValues:
        """The operation's variables, coerced."""

    def info(self, field: FieldPlan) -> GraphQLResolveInfo[Any]:
        """The `info` of an ordinary resolver."""


class Source(ABC):
    """Where the values of a field come from. `waits`: from `fetch` instead of `values`."""

    waits: bool = False
    # The kind of source, in one word, for `graph.engine.explain`.
    kind: str
    # The attribute that the values come from, for those that come from one.
    column: str | None = None

    @abstractmethod
    def values(self, run: Execution, field: FieldPlan, parents: Parents) -> Column:
        """A value, or an exception, for each of the parents."""

    async def fetch(self, run: Execution, field: FieldPlan, parents: Parents) -> Column:
        """The same, asynchronously."""
        return self.values(run, field, parents)


@dataclass(slots=True, eq=False)
class Shape:
    """What a value is wrapped in and what it is: one layer of a field's type.

    Exactly one of `item` (a list), `leaf` and `plans` (objects, by the names of the types that
    they may have; `plan` if there is only one) is given.
    """

    nonnull: bool
    type: GraphQLOutputType
    item: Shape | None = None
    leaf: LeafColumn | None = None
    plans: Mapping[str, ObjectPlan] | None = None
    plan: ObjectPlan | None = None
    # The classes whose objects are known to be of the type of `plan`.
    classes: set[Any] = field(default_factory=set)

    def complete(self, column: Column) -> Column | None:
        """Leaves and lists of them, a whole column; None if it is dirty or has objects."""
        if self.leaf is not None:
            return self.leaf.complete(column, nonnull=self.nonnull)
        if self.item is not None and self.plans_below is None:
            return complete_lists(column, self.item.complete, nonnull=self.nonnull)
        return None

    @property
    def plans_below(self) -> Mapping[str, ObjectPlan] | None:
        """The object plans inside all lists; None for leaves."""
        return self.plans if self.item is None else self.item.plans_below

    @property
    def is_text(self) -> bool:
        """Whether the objects inside all lists can be serialized."""
        if self.item is not None:
            return self.item.is_text
        return self.plan is not None and self.plan.text is not None


@dataclass(slots=True, eq=False)
class FieldPlan:
    """One response key of one position."""

    key: str
    name: str
    parent_type: GraphQLObjectType
    definition: GraphQLField
    details: list[FieldDetails]
    nodes: list[FieldNode]
    shape: Shape
    source: Source
    selection: Selection
    arguments: Arguments
    # Object plans below, by type name; None for leaves.
    plans: Mapping[str, ObjectPlan] | None
    # Whether this field or one below it may be asynchronous.
    waits: bool

    @property
    def place(self) -> str:
        """`Type.field`, as messages name it."""
        return f"{self.parent_type}.{self.name}"


@dataclass(slots=True, eq=False)
class ObjectPlan:
    """The objects of one type at one position. `requested` counts the different columns read of
    them.
    """

    type: GraphQLObjectType
    fields: tuple[FieldPlan, ...]
    assemble: Assembler
    requested: int
    waits: bool
    # Until it is first needed, since most plans do not run often enough.
    make_text: Callable[[ObjectPlan], ObjectText | None] | None = None
    by_key: dict[str, FieldPlan] = field(init=False)
    # The asynchronous fields among them.
    waiting: tuple[FieldPlan, ...] = field(init=False)
    _text: ObjectText | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.by_key = {field.key: field for field in self.fields}
        self.waiting = tuple(field for field in self.fields if field.waits)

    @property
    def text(self) -> ObjectText | None:
        """How they are serialized; None if a position below has objects of several types."""
        if self.make_text is not None:
            make, self.make_text = self.make_text, None
            self._text = make(self)
        return self._text


@dataclass(slots=True, eq=False)
class TextSegment:
    """A part of an object's text: one field, or a span of several that come as one text."""

    fields: tuple[FieldPlan, ...]
    span: JsonSpan | None = None
    # Of a span: assembles its texts from its fields' if the rows do not have it.
    assemble: TextAssembler | None = None
    # Whether the database's text may hold a value that the schema does not know.
    may_be_unknown: bool = field(init=False)
    # All fields of a span, including those of the objects in it.
    covered: tuple[FieldPlan, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.covered = tuple(all_fields(self.fields))
        parts = self.span.parts if self.span is not None else ()
        self.may_be_unknown = any(part.may_be_unknown for part in parts)


@dataclass(slots=True, eq=False)
class ObjectText:
    """How the objects of a position are serialized. `requested`: how many columns of their rows
    are read.
    """

    segments: tuple[TextSegment, ...]
    assemble: TextAssembler
    requested: int
    # The fields to wait for: those of the plan that are in no span.
    waiting: tuple[FieldPlan, ...]

    @property
    def parts(self) -> tuple[Part, ...] | None:
        """The whole object, if it is a single span."""
        span = self.segments[0].span if len(self.segments) == 1 else None
        return span.parts if span is not None and span.whole else None


@dataclass(slots=True)
class PlanColumns:
    """What a serialized run of a plan reads of rows.

    `objects`: by the type's name, of objects that are read once for all positions; `relations`: the
    requested to-one relations of them; `pages`: by the selection of a list's field, of its rows.
    `statements`: kept for the plan, like those of a selection index for the operation.
    """

    objects: Mapping[str, Columns]
    relations: Mapping[str, tuple[str, ...]]
    pages: Mapping[Selection, Columns]
    statements: dict[Any, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Plan:
    """A whole operation. `serial`: root fields one after the other. `uses`: how often it ran."""

    root: ObjectPlan
    # Of the operation, which keeps its plans: were it kept by them too, what is given up would wait
    # for the collector.
    selection_index: SelectionIndex
    definitions: dict[str, FragmentDefinitionNode]
    fragments: dict[str, FragmentDetails]
    serial: bool
    size: int
    uses: int = 0
    # What a serialized run reads; worked out for the first of them.
    columns: PlanColumns | None = None


def all_fields(fields: Iterable[FieldPlan]) -> Iterator[FieldPlan]:
    """The fields, and all fields below them."""
    for each in fields:
        yield each
        for place in (each.plans or {}).values():
            yield from all_fields(place.fields)
