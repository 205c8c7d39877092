"""The entry point: run an operation with the batch engine if possible, else the standard executor.

An operation falls back as a whole, before any of it has run, and visibly: a metric counts the
reasons, and every result says which engine made it. Both know the error behaviors (`onError`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeGuard, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
)
from graphql import execute as execute_standard
from graphql.error import located_error
from graphql.execution.collect_fields import FieldDetails, FragmentDetails
from graphql.execution.executor import Executor, default_field_resolver, default_type_resolver
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import VariableValues
from graphql.pyutils import Path
from prometheus_client import Counter
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from graph.core.executed import ErrorBehavior, Executed
from graph.core.selection import SelectionIndex
from graph.engine.explain import Explanation
from graph.engine.planning import Planner, Unplannable
from graph.engine.run import HaltingRun, Run
from graph.engine.state import EngineState

FALLBACKS: Final = Counter(
    "taskloom_engine_fallbacks",
    "Operations that the batch engine left to the standard executor",
    ["reason"],
)
_PLANNER: Final = "taskloom-planner"

# Strawberry's is quicker and right, but not annotated as graphql-core wants it.
_is_awaitable: Final = cast("Callable[[Any], TypeGuard[Awaitable[Any]]]", optimized_is_awaitable)


class _Nulling(StrawberryGraphQLCoreExecutionContext):
    """The standard executor with `NULL`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.error_propagation = False


class _Halting(StrawberryGraphQLCoreExecutionContext):
    """The standard executor with `HALT`: every error goes up to the root, as if no position there
    could be null.
    """

    def handle_field_error(
        self,
        raw_error: Exception,
        return_type: GraphQLOutputType,
        field_details_list: list[FieldDetails],
        path: Path,
    ) -> None:
        """Raise the error with its place."""
        nodes = [details.node for details in field_details_list]
        raise located_error(raw_error, nodes, path.as_list())


_EXECUTORS: Final[Mapping[ErrorBehavior, type[Executor[Any]]]] = {
    ErrorBehavior.NULL: _Nulling,
    ErrorBehavior.PROPAGATE: StrawberryGraphQLCoreExecutionContext,
    ErrorBehavior.HALT: _Halting,
}


class Literals(Protocol):
    """The values of a document's literals that are variables in its tree."""

    def beside(self, variables: VariableValues) -> VariableValues:
        """These values and those of the client's variables."""

    def tree(self) -> DocumentNode:
        """The document's tree with its literals."""


def planner_of(schema: GraphQLSchema) -> Planner:
    """The schema's plans; kept with the schema."""
    planner = schema.extensions.get(_PLANNER)
    if planner is None:
        planner = schema.extensions[_PLANNER] = Planner(schema)
    return cast("Planner", planner)


async def execute(
    schema: GraphQLSchema,
    document: DocumentNode,
    *,
    context_value: Any,
    root_value: Any = None,
    raw_variable_values: Mapping[str, Any] | None = None,
    operation_name: str | None = None,
    operation: OperationDefinitionNode | None = None,
    literals: Literals | None = None,
    standard: bool = False,
    serialized: bool = False,
    explain: bool = False,
    on_error: ErrorBehavior = ErrorBehavior.PROPAGATE,
) -> Executed:
    """Execute a query, a mutation, or one delivery of a subscription (`root_value`: the event).

    The document must have been validated; `operation` is that of `operation_name`, if the
    caller knows it, and `literals` are the values of its variables for literals. Failures of fields
    are errors of the result, as are variables that do not fit and an operation that is not there;
    then `data` is None. No message suggests a name of the schema. `standard` turns the batch engine
    off. `serialized`: `data` may
    be or contain an `orjson.Fragment` if the operation has run a few times before.
    `explain`: record in the context's `extensions` what the run did (`graph.engine.explain`).
    `on_error`: what a failure of a field does to the answer.
    """
    if explain:
        explanation = context_value.of(EngineState).explanation = Explanation()
        try:
            with explanation.hearing(context_value.services.database):
                return await execute(
                    schema,
                    document,
                    context_value=context_value,
                    root_value=root_value,
                    raw_variable_values=raw_variable_values,
                    operation_name=operation_name,
                    operation=operation,
                    literals=literals,
                    standard=standard,
                    serialized=serialized,
                    on_error=on_error,
                )
        finally:
            # Also of an operation that was stopped by its time limit.
            context_value.extensions["explain"] = explanation.report()
    given = raw_variable_values or {}

    def by_standard(reason: str | None = None) -> Awaitable[Executed]:
        if (explanation := context_value.of(EngineState).explanation) is not None:
            explanation.engine, explanation.reason = "standard", reason
        nonlocal document
        if literals is not None:
            # It knows nothing of variables that nobody has declared.
            document = literals.tree()
            context_value.selection_index = _selection_index(schema, document, operation_name)
        return _standard(
            schema,
            document,
            root_value=root_value,
            context_value=context_value,
            variable_values=dict(given),
            operation_name=operation_name,
            executor_class=_EXECUTORS[on_error],
        )

    operation = operation or _operation(document, operation_name)
    if standard or operation is None:
        return await by_standard()
    planner = planner_of(schema)
    known = planner.operation(
        operation,
        lambda: fragments_of(schema, document),
        getattr(context_value, "selection_index", None),
    )
    variables = known.variables.coerced(given)
    if isinstance(variables, list):
        return Executed(None, variables, "batch")
    if literals is not None:
        variables = literals.beside(variables)
    try:
        plan = planner.plan(known, variables)
    except Unplannable as error:
        FALLBACKS.labels(error.reason).inc()
        return await by_standard(error.reason)

    def executor() -> Executor[Any]:
        return StrawberryGraphQLCoreExecutionContext(
            schema,
            plan.definitions,
            plan.fragments,
            root_value,
            context_value,
            operation,
            variables,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
            is_awaitable=_is_awaitable,
            hide_suggestions=True,
        )

    plan.uses += 1
    serialized = serialized and plan.uses > planner.serialized_after - known.earlier
    run_class = HaltingRun if on_error is ErrorBehavior.HALT else Run
    return await _run(
        run_class(
            plan,
            context_value,
            variables,
            root_value,
            executor,
            serialized=serialized,
            on_error=on_error,
        )
    )


async def _run(run: Run) -> Executed:
    if getattr(run.context, "selection_index", run) is None:
        run.context.selection_index = run.plan.selection_index
    data, errors = await run.execute()
    return Executed(data, errors or None, "batch")


def _selection_index(
    schema: GraphQLSchema, document: DocumentNode, operation_name: str | None
) -> SelectionIndex | None:
    operation = _operation(document, operation_name)
    if operation is None:
        return None
    definitions = {name: one.definition for name, one in fragments_of(schema, document).items()}
    return SelectionIndex(schema, operation, definitions)


async def _standard(schema: GraphQLSchema, document: DocumentNode, **given: Any) -> Executed:
    result = execute_standard(
        schema,
        document,
        **given,
        is_awaitable=_is_awaitable,
        hide_suggestions=True,
    )
    if not isinstance(result, ExecutionResult):
        result = await result
    return Executed(result.data, result.errors, "standard")


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode | None:
    """The operation to run; None if there is not exactly one, which is reported elsewhere."""
    found = [
        node
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
        and (name is None or (node.name is not None and node.name.value == name))
    ]
    return found[0] if len(found) == 1 else None


def fragments_of(schema: GraphQLSchema, document: DocumentNode) -> dict[str, FragmentDetails]:
    """The document's fragments, as graphql-core's executor wants them."""
    fragments = {}
    for node in document.definitions:
        if isinstance(node, FragmentDefinitionNode):
            signatures = {}
            for variable in node.variable_definitions or ():
                signature = get_variable_signature(schema, variable)
                if not isinstance(signature, GraphQLError):
                    signatures[signature.name] = signature
            fragments[node.name.value] = FragmentDetails(node, signatures or None)
    return fragments
