"""The contract between the two engines, as a comparison of their results.

Data is identical: values, nulls, the order of keys. An error at a place that is null only because
of that error is equal in message, path, locations and original error. Below a place that was nulled
by something inside of it the engines may tell of different failures, since they meet them in
another order; but they tell of some, for the same places, and where both tell of one value they say
the same. The batch engine's errors come in the order of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse

from graph.core.executed import ErrorBehavior, Executed
from graph.engine import execute
from graph.engine.executor import planner_of

Path = tuple[str | int, ...]


async def compare(
    schema: GraphQLSchema,
    document: DocumentNode | str,
    variables: Mapping[str, Any] | None,
    context_factory: Callable[[], Any],
    *,
    operation_name: str | None = None,
    root_value: Any = None,
    may_fall_back: bool = False,
    on_error: ErrorBehavior = ErrorBehavior.PROPAGATE,
) -> Executed:
    """Execute by both engines and hold the results to the contract; the batch engine's result.

    `context_factory` makes a fresh context for each run: the batch engine has two, one of them
    written. Unless `may_fall_back`, the batch
    engine has to do the operation itself.
    """
    if isinstance(document, str):
        document = parse(document)

    async def run(*, standard: bool = False, serialized: bool = False) -> Executed:
        return await execute(
            schema,
            document,
            context_value=context_factory(),
            root_value=root_value,
            raw_variable_values=variables,
            operation_name=operation_name,
            standard=standard,
            serialized=serialized,
            on_error=on_error,
        )

    standard, batch = await run(standard=True), await run()
    assert standard.engine == "standard"
    assert may_fall_back or batch.engine == "batch", "the batch engine left it to the standard one"
    assert_agree(batch, standard)
    try:
        data = read(standard.data)
    except TypeError:
        return batch  # There are values in it that no client can be sent.
    planner = planner_of(schema)
    usual, planner.serialized_after = planner.serialized_after, 0
    try:
        # What is written has to agree from its first run on.
        serialized = await run(serialized=True)
    finally:
        planner.serialized_after = usual
    assert_agree(
        Executed(read(serialized.data), serialized.errors, serialized.engine),
        Executed(data, standard.errors, standard.engine),
    )
    return batch


def read(data: Any) -> Any:
    """Data as a client reads it."""
    return orjson.loads(orjson.dumps(data))


def assert_agree(batch: Executed, standard: Executed) -> None:
    """Hold two results to the contract."""
    assert ordered(batch.data) == ordered(standard.data)
    exact, inside = split(batch)
    expected, expected_inside = split(standard)
    assert exact == expected
    assert inside.keys() == expected_inside.keys()
    for nulled, errors in inside.items():
        for path in errors.keys() & expected_inside[nulled].keys():
            assert errors[path] == expected_inside[nulled][path]
    if batch.engine == "batch":
        places = [place(batch.data, error) for error in batch.errors or ()]
        assert places == sorted(places), "errors out of the order of the answer"


def ordered(value: Any) -> Any:
    """With the order of keys as part of the value, and types that are equal but not the same."""
    if isinstance(value, dict):
        return [(key, ordered(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return ["list", *map(ordered, value)]
    return (type(value), value)


def split(result: Executed) -> tuple[list[Any], dict[Path, dict[Path, Any]]]:
    """Errors of places of their own, sorted; and those inside of each nulled place, by path."""
    exact: list[Any] = []
    inside: dict[Path, dict[Path, Any]] = {}
    for error in result.errors or ():
        path = tuple(error.path or ())
        nulled = nulled_at(result.data, path)
        if nulled == path:
            exact.append(covered(error))
        else:
            inside.setdefault(nulled, {})[path] = covered(error)
    return sorted(exact, key=repr), inside


def covered(error: GraphQLError) -> tuple[Any, ...]:
    """What counts of an error."""
    original = error.original_error
    return (
        tuple(error.path or ()),
        error.message,
        tuple((location.line, location.column) for location in error.locations or ()),
        type(original),
        str(original),
        error.extensions,
    )


def nulled_at(data: Any, path: Path) -> Path:
    """The beginning of the path that ends in null."""
    for length, key in enumerate(path):
        if data is None:
            return path[:length]
        data = data[key]
    assert data is None, f"an error at {path}, but there is a value"
    return path


def place(data: Any, error: GraphQLError) -> list[int]:
    """The position of the error in the answer, as numbers that sort."""
    numbers = []
    for key in error.path or ():
        if data is None:
            break
        numbers.append(key if isinstance(key, int) else list(data).index(key))
        data = data[key]
    return numbers
