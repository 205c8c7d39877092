"""Planning: an operation's plan is made once and kept.

A plan (`graph.engine.plan`) is made with graphql-core's own `collect_fields`, so fragments,
merging, `@skip` and `@include` are the specification's; hence it depends on the operation and on
the variables that decide those two directives, and on nothing else. Arguments are read from the
variables at every execution, except those made of constants alone.

What the engine does not support makes the operation `Unplannable`; the standard executor runs it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final
from zlib import crc32

from graphql import (
    DirectiveNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import (
    FieldDetails,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues

from graph.core.selection import DEFINITION, SelectionIndex, concrete_types
from graph.engine.arguments import Arguments
from graph.engine.columns import LeafColumn, assembler
from graph.engine.inputs import Inputs
from graph.engine.plan import FieldPlan, ObjectPlan, Plan, Shape
from graph.engine.serialization import SpanLabels, object_text
from graph.engine.sources import source_of
from graph.engine.variables import Variables

# Measured with tracemalloc over the deep query of the bench: what a plan takes for each of its
# fields, and what the nodes that it keeps alive take for each character of the document.
BYTES_PER_FIELD: Final = 2_048
BYTES_PER_CHARACTER: Final = 80
# For each schema; some 450 plans of 15 fields.
CACHE_BYTES: Final = 32 * 2**20
# Serialized plans have statements of their own, by their aliases and the order of their fields. To
# plan one takes PostgreSQL about 1 ms on each connection, and an answer of a hundred rows gains
# about 0.5 ms: what came so many times will come again. Documents that came together, such as those
# of a new version of an application, begin at different runs, up to `SPREAD` earlier.
SERIALIZED_AFTER: Final = 13
SPREAD: Final = 8
# Two variables that decide about fields make four plans; more of an operation are not kept.
PLANS_PER_OPERATION: Final = 16


class Unplannable(Exception):  # noqa: N818 - no error: the standard executor does it
    """The engine does not support this operation. `reason` is one word, for the metric."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PlannedOperation:
    """An operation with its selection index and its plans, by the values of the deciding variables.

    The selection index is the one kept with the document, if there is one, so that statements
    are built once for both.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDetails],
        selection_index: SelectionIndex | None = None,
    ) -> None:
        self.node = operation
        self.fragments = dict(fragments)
        definitions = {name: fragment.definition for name, fragment in fragments.items()}
        self.definitions = definitions
        if selection_index is None or selection_index.operation is not operation:
            selection_index = SelectionIndex(schema, operation, definitions)
        self.selection_index = selection_index
        text = operation.loc.source.body if operation.loc else ""
        self.size = BYTES_PER_CHARACTER * len(text) or BYTES_PER_FIELD
        # How many runs before the latest its plans are serialized: the same in all processes.
        self.earlier = crc32(text.encode(errors="replace")) % SPREAD
        self.deciding: tuple[str, ...] = ()
        # A reason instead of a plan: known to be `Unplannable`.
        self.plans: OrderedDict[tuple[Any, ...], Plan | str] = OrderedDict()
        self.refused: str | None = None
        self.variables = Variables(schema, operation.variable_definitions or ())
        try:
            self.deciding = tuple(sorted(set(self._deciding())))
        except Unplannable as error:
            self.refused = error.reason

    def _deciding(self) -> Iterator[str]:
        if self.node.directives:
            raise Unplannable("directive")
        if any(fragment.variable_signatures for fragment in self.fragments.values()):
            raise Unplannable("fragment_variables")
        yield from self._deciding_in(self.node.selection_set, set())

    def _deciding_in(self, selections: SelectionSetNode, seen: set[str]) -> Iterator[str]:
        for node in selections.selections:
            for directive in node.directives or ():
                yield from _variables_of(directive)
            inner = None
            if isinstance(node, FieldNode | InlineFragmentNode):
                inner = node.selection_set
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                if fragment := self.definitions.get(node.name.value):
                    inner = fragment.selection_set
            if inner is not None:
                yield from self._deciding_in(inner, seen)


def _variables_of(directive: DirectiveNode) -> Iterator[str]:
    name = directive.name.value
    if name in {"defer", "stream"}:
        raise Unplannable("incremental")
    if name not in {"skip", "include"}:
        raise Unplannable("directive")
    for argument in directive.arguments or ():
        if isinstance(argument.value, VariableNode):
            yield argument.value.name.value


class Planner:
    """The plans of a schema, bounded in bytes; the least recently used is dropped first."""

    def __init__(self, schema: GraphQLSchema, max_bytes: int = CACHE_BYTES) -> None:
        self.schema = schema
        self.strawberry = schema.extensions[DEFINITION]
        self.inputs = Inputs(self.strawberry)
        self.leaves: dict[str, LeafColumn] = {}
        self.max_bytes = max_bytes
        # After how many runs a plan is serialized at the latest; see graph.engine.serialization.
        self.serialized_after = SERIALIZED_AFTER
        self.bytes = 0
        # By the identity of the operation's node, which the entry keeps alive.
        self._operations: OrderedDict[int, PlannedOperation] = OrderedDict()

    def operation(
        self,
        operation: OperationDefinitionNode,
        fragments: Callable[[], Mapping[str, FragmentDetails]],
        selection_index: SelectionIndex | None = None,
    ) -> PlannedOperation:
        """The entry of an operation, made at its first execution."""
        known = self._operations.get(id(operation))
        if known is None:
            known = PlannedOperation(self.schema, operation, fragments(), selection_index)
            self._operations[id(operation)] = known
            self.bytes += known.size
            self._make_room(known)
        else:
            self._operations.move_to_end(id(operation))
        return known

    def plan(self, known: PlannedOperation, variables: VariableValues) -> Plan:
        """The operation's plan for these variables, made if it does not exist; or `Unplannable`."""
        if known.refused is not None:
            raise Unplannable(known.refused)
        coerced = variables.coerced
        key = tuple([coerced.get(name) for name in known.deciding])
        plan = known.plans.get(key)
        if plan is None:
            try:
                plan = _Builder(self, known, variables).build()
            except Unplannable as error:
                plan = error.reason
            known.plans[key] = plan
            self.bytes += _size(plan)
            self._make_room(known)
        if isinstance(plan, str):
            raise Unplannable(plan)
        return plan

    def _make_room(self, keep: PlannedOperation) -> None:
        while len(keep.plans) > PLANS_PER_OPERATION:
            self.bytes -= _size(keep.plans.popitem(last=False)[1])
        while self.bytes > self.max_bytes and len(self._operations) > 1:
            _, gone = self._operations.popitem(last=False)
            self.bytes -= gone.size + sum(map(_size, gone.plans.values()))

    def __len__(self) -> int:
        return len(self._operations)


def _size(plan: Plan | str) -> int:
    return 0 if isinstance(plan, str) else plan.size * BYTES_PER_FIELD


class _Builder:
    """Makes one plan. Equal positions (a type under the same nodes) share their object plan."""

    def __init__(
        self, planner: Planner, operation: PlannedOperation, variables: VariableValues
    ) -> None:
        self.planner = planner
        self.schema = planner.schema
        self.operation = operation
        self.variables = variables
        self.size = 0
        self._objects: dict[tuple[str, tuple[int, ...]], ObjectPlan] = {}
        self._spans = SpanLabels()
        # How many lists surround the current position.
        self._lists = 0

    def build(self) -> Plan:
        node = self.operation.node
        root_type = self.schema.get_root_type(node.operation)
        if root_type is None:
            raise Unplannable("invalid")
        if self.planner.strawberry.exception_handlers:
            raise Unplannable("exception_handler")
        try:
            grouped = collect_fields(
                self.schema, self.operation.fragments, self.variables, root_type, node
            ).grouped_field_set
            root = self._object(root_type, grouped)
        except GraphQLError as error:
            # The standard executor finds it again and reports it.
            raise Unplannable("invalid") from error
        except RecursionError as error:
            raise Unplannable("depth") from error
        serial = node.operation is OperationType.MUTATION
        known = self.operation
        return Plan(
            root, known.selection_index, known.definitions, known.fragments, serial, self.size
        )

    def _object(
        self, type_: GraphQLObjectType, grouped: Mapping[str, list[FieldDetails]]
    ) -> ObjectPlan:
        keys: list[tuple[str, str | None]] = []
        fields: list[FieldPlan] = []
        for key, details in grouped.items():
            name = details[0].node.name.value
            if name == "__typename":
                keys.append((key, type_.name))
                continue
            if name.startswith("__"):
                raise Unplannable("introspection")
            definition = type_.fields.get(name)
            if definition is None:  # Only possible in a document that was not validated.
                raise Unplannable("invalid")
            keys.append((key, None))
            fields.append(self._field(type_, key, name, definition, details))
        self.size += 1 + len(fields)
        return ObjectPlan(
            type_,
            tuple(fields),
            assembler(tuple(keys)),
            requested=len({field.source.column for field in fields if field.source.column}),
            waits=any(field.waits for field in fields),
            make_text=partial(object_text, keys=keys, spans=self._spans, few=self._lists <= 1),
        )

    def _field(
        self,
        parent_type: GraphQLObjectType,
        key: str,
        name: str,
        definition: GraphQLField,
        details: list[FieldDetails],
    ) -> FieldPlan:
        nodes = [detail.node for detail in details]
        selection = self.operation.selection_index.selection(nodes, get_named_type(definition.type))
        source = source_of(definition, selection)
        if source is None:
            raise Unplannable("field")
        shape = self._shape(definition.type, details)
        plans = shape.plans_below
        return FieldPlan(
            key=key,
            name=name,
            parent_type=parent_type,
            definition=definition,
            details=details,
            nodes=nodes,
            shape=shape,
            source=source,
            selection=selection,
            arguments=Arguments(self.planner.inputs, definition, nodes[0]),
            plans=plans,
            waits=source.waits
            or (plans is not None and any(plan.waits for plan in plans.values())),
        )

    def _shape(
        self, type_: GraphQLOutputType, details: list[FieldDetails], *, nonnull: bool = False
    ) -> Shape:
        if is_non_null_type(type_):
            return self._shape(type_.of_type, details, nonnull=True)
        if is_list_type(type_):
            self._lists += 1
            item = self._shape(type_.of_type, details)
            self._lists -= 1
            return Shape(nonnull, type_, item=item)
        if is_leaf_type(type_):
            return Shape(nonnull, type_, leaf=self._leaf(type_))
        plans = {
            concrete.name: self._below(concrete, details)
            for concrete in concrete_types(self.schema, get_named_type(type_))
        }
        plan = plans[type_.name] if is_object_type(type_) else None
        return Shape(nonnull, type_, plans=plans, plan=plan)

    def _below(self, type_: GraphQLObjectType, details: list[FieldDetails]) -> ObjectPlan:
        place = (type_.name, tuple([id(detail.node) for detail in details]))
        plan = self._objects.get(place)
        if plan is None:
            collected = collect_subfields(
                self.schema,
                self.operation.fragments,
                self.variables,
                self.operation.node,
                type_,
                details,
            )
            plan = self._objects[place] = self._object(type_, collected.grouped_field_set)
        return plan

    def _leaf(self, type_: GraphQLLeafType) -> LeafColumn:
        leaf = self.planner.leaves.get(type_.name)
        if leaf is None:
            leaf = self.planner.leaves[type_.name] = LeafColumn(type_)
        return leaf
