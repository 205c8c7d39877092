"""What the batch engine promises beside equal answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import strawberry
from graphql import DocumentNode, OperationDefinitionNode, parse
from graphql.execution.values import VariableValues
from prometheus_client import REGISTRY
from strawberry.permission import BasePermission
from strawberry.schema.config import StrawberryConfig

from graph.core.executed import Executed
from graph.core.fields import BatchFault, BatchInfo, arg, batch, root
from graph.core.selection import SelectionIndex
from graph.engine import execute
from graph.engine.columns import LeafColumn, assembler
from graph.engine.executor import planner_of
from graph.engine.explain import Explanation
from graph.engine.state import EngineState
from tests.graph.engine.differential import compare, read
from tests.graph.engine.toy import ODD, SCALARS, Parts, Role, Shy, ToyContext, World, make_schema
from tests.graph.engine.unbatched import unbatched_fields

TOY = make_schema()


async def run(
    document: str | DocumentNode,
    schema: strawberry.Schema = TOY,
    context: Any = None,
    **options: Any,
) -> Executed:
    parsed = parse(document) if isinstance(document, str) else document
    return await execute(
        schema._schema, parsed, context_value=context or ToyContext(World()), **options
    )


def fallbacks(reason: str) -> float:
    return REGISTRY.get_sample_value("taskloom_engine_fallbacks_total", {"reason": reason}) or 0.0


# --- batches -------------------------------------------------------------------------------------


@dataclass
class Grown:
    number: int


async def _short(parents: Sequence[Any], info: BatchInfo) -> list[int]:
    return [1] * (len(parents) - 1)


async def _meet(parents: Sequence[Any], info: BatchInfo) -> list[int]:
    context: LeafContext = info.context  # type: ignore[assignment]
    context.calls.append((info.field.python_name, len(parents)))
    await context.barrier.wait()
    return [leaf.number for leaf in parents]


@strawberry.type
class Leaf:
    number: int
    short: int | None = batch(_short, "one too few")
    left: int = batch(_meet, "waits for the right")
    right: int = batch(_meet, "waits for the left")


async def _leaves(info: BatchInfo, count: Annotated[int, arg("how many")] = 3) -> Any:
    return [Grown(number) for number in range(count)]


async def _one_for_all(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    return [Grown(7)] * len(parents)


@strawberry.type
class Twig:
    leaf: Leaf = batch(_one_for_all, "the one leaf")


async def _twigs(info: BatchInfo) -> Any:
    return list(range(40))


@strawberry.type
class LeafQuery:
    leaves: list[Leaf] = root(_leaves, "leaves")
    twigs: list[Twig] = root(_twigs, "twigs")


class LeafContext(Parts):
    def __init__(self) -> None:
        self.loaders: dict[Any, Any] = {}
        self.selection_index = None
        self.calls: list[tuple[str, int]] = []
        self.barrier = asyncio.Barrier(2)


LEAVES = strawberry.Schema(LeafQuery)


async def test_wrong_number_of_results_is_a_fault_with_the_fields_name() -> None:
    result = await run("{ leaves { number short } }", LEAVES, LeafContext())
    assert result.data == {"leaves": [{"number": number, "short": None} for number in range(3)]}
    assert result.errors is not None
    assert len(result.errors) == 3
    assert isinstance(result.errors[0].original_error, BatchFault)
    assert "Leaf.short returned 2 results for 3 parents" in result.errors[0].message


async def test_siblings_run_beside_each_other_and_once_for_all_parents() -> None:
    context = LeafContext()
    async with asyncio.timeout(5):  # Would wait for ever if one ran after the other.
        result = await run("{ leaves { left right } }", LEAVES, context)
    assert result.data == {"leaves": [{"left": number, "right": number} for number in range(3)]}
    assert sorted(context.calls) == [("left", 3), ("right", 3)]


async def test_an_object_in_many_places_is_resolved_once() -> None:
    context = LeafContext()
    context.barrier = asyncio.Barrier(1)
    result = await run("{ twigs { leaf { number left } } }", LEAVES, context)
    assert result.data == {"twigs": [{"leaf": {"number": 7, "left": 7}}] * 40}
    assert context.calls == [("left", 1)]


async def test_a_cancelled_operation_takes_its_fields_along() -> None:
    context = LeafContext()
    context.barrier = asyncio.Barrier(3)
    task = asyncio.ensure_future(run("{ leaves { left right } }", LEAVES, context))
    while context.barrier.n_waiting < 2:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert context.barrier.n_waiting == 0


class Stop(BaseException):
    """As the interpreter's own: not for an engine to catch."""


async def test_what_breaks_an_operation_ends_its_other_fields() -> None:
    context = LeafContext()

    def wait() -> Any:
        if context.calls[-1][0] == "right":
            raise Stop
        return asyncio.Event().wait()

    context.barrier.wait = wait  # type: ignore[method-assign]
    others = asyncio.all_tasks()
    with pytest.raises(Stop):
        await run("{ leaves { left right } }", LEAVES, context)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == others


# --- mutations and subscriptions -----------------------------------------------------------------


async def test_mutations_run_one_after_the_other_each_with_its_selection() -> None:
    context = ToyContext(World())
    result = await run(
        'mutation { a: note(text: "1") { person { id } } b: note(text: "2") { log } }',
        context=context,
    )
    assert isinstance(result.data, dict)
    assert context.log == ["begin 1", "end 1", "person", "begin 2", "end 2"]


async def test_no_mutation_runs_after_a_fatal_one() -> None:
    context = ToyContext(World())
    result = await run(
        'mutation { a: strictNote(text: "1", fail: true) { log } b: note(text: "2") { log } }',
        context=context,
    )
    assert result.data is None
    assert context.log == ["begin 1"]


# --- falling back --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{ __schema { queryType { name } } }", "introspection"),
        ("query @odd { people { id } }", "directive"),
        ("{ people { id @odd } }", "directive"),
        ("{ people { ... @odd { id } } }", "directive"),
        ("{ nothing }", "invalid"),
    ],
)
async def test_what_the_engine_does_not_do_falls_back_and_is_counted(
    document: str, reason: str
) -> None:
    before = fallbacks(reason)
    for _ in range(2):
        result = await run(document)
        assert result.engine == "standard"
    assert fallbacks(reason) == before + 2


class Nobody(BasePermission):
    message = "not you"

    def has_permission(self, source: Any, info: Any, **kwargs: Any) -> bool:
        return False


async def test_permissions_are_never_skipped() -> None:
    @strawberry.type
    class Query:
        @strawberry.field(permission_classes=[Nobody])  # type: ignore[untyped-decorator]
        def secret(self) -> str | None:
            return "secret"

        @strawberry.field
        def open(self) -> str:
            return "open"

    schema = strawberry.Schema(Query)
    result = await run("{ secret }", schema)
    assert result.engine == "standard"
    assert result.errors is not None
    assert result.errors[0].message == "not you"
    assert (await run("{ open }", schema)).engine == "batch"


async def test_the_engine_can_be_turned_off() -> None:
    context = ToyContext(World())
    result = await run("{ people { tasks { id } } }", context=context, standard=True)
    assert result.engine == "standard"
    assert context.loaders


@pytest.mark.parametrize("name", [None, "Other"])
async def test_an_operation_that_is_not_there_is_told_as_ever(name: str | None) -> None:
    document = parse("query A { people { id } } query B { people { name } }")
    result = await run(document, operation_name=name)
    assert result.data is None
    assert result.errors is not None
    assert "operation" in result.errors[0].message
    assert (await run(document, operation_name="B")).engine == "batch"


# --- plans ---------------------------------------------------------------------------------------


async def test_plans_are_kept_by_the_variables_that_decide() -> None:
    schema = make_schema()
    planner = planner_of(schema._schema)
    document = parse(
        "query ($a: Boolean!, $n: Int) { people(first: $n) { id name @include(if: $a) } }"
    )
    for variables in ({"a": True, "n": 1}, {"a": True, "n": 2}):
        result = await run(document, schema, raw_variable_values=variables)
        assert isinstance(result.data, dict)
        assert len(result.data["people"]) == variables["n"]
    size = planner.bytes
    result = await run(document, schema, raw_variable_values={"a": False})
    assert isinstance(result.data, dict)
    assert list(result.data["people"][0]) == ["id"]
    assert planner.bytes > size
    assert len(planner) == 1


async def test_documents_and_plans_share_a_selection_index() -> None:
    schema = make_schema()
    document = parse("{ people { id } }")
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    context = ToyContext(World())
    context.selection_index = SelectionIndex(schema._schema, operation, {})
    await run(document, schema, context)
    planner = planner_of(schema._schema)
    plan = planner.plan(planner.operation(operation, dict), VariableValues({}, {}))
    assert plan.selection_index is context.selection_index


async def test_each_field_is_explained_once_for_all_its_objects() -> None:
    context = ToyContext(World(1))
    explanation = context.of(EngineState).explanation = Explanation()
    result = await run("{ people(first: 3) { name tasks(first: 1) { title } } }", context=context)
    assert isinstance(result.data, dict)
    tasks = sum(len(person["tasks"]) for person in result.data["people"])
    explained = sorted((field.place, run.batches) for field, run in explanation.runs.items())
    assert explained == [
        ("Person.name", [3]),
        ("Person.tasks", [3]),
        ("Query.people", [1]),
        ("Task.title", [tasks]),
    ]


async def test_plans_are_bounded() -> None:
    schema = make_schema()
    planner = planner_of(schema._schema)
    planner.max_bytes = 20_000
    planned, refused = "{ people(first: %s) { id } }", "{ a: __schema { t%s } }"
    for document in (planned, refused, "{ a%s @b }"):
        for number in range(30):
            await run(document % number, schema)
            assert planner.bytes <= planner.max_bytes
        assert 0 < len(planner) < 30


def test_unbatched_resolvers_below_lists_are_found() -> None:
    found = unbatched_fields(TOY._schema, allowed=["Task.later"])
    assert found == []
    assert unbatched_fields(TOY._schema) == ["Task.later"]


# --- columns -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_name", "column", "expected"),
    [
        ("String", ["a", "b"], ["a", "b"]),
        ("String", ["a", None], ["a", None]),
        ("String", ["a", 1], None),
        ("String", [None, None], [None, None]),
        ("Int", [1, -(2**31), 2**31 - 1], [1, -(2**31), 2**31 - 1]),
        ("Int", [1, 2**31], None),
        ("Int", [1, True], None),
        ("Float", [1.5, None], [1.5, None]),
        ("Float", [1.5, float("inf")], None),
        ("Float", [1.5, 1], None),
        ("Boolean", [True, False], [True, False]),
        ("Boolean", [True, 1], None),
        ("Role", [Role.BOSS, "hand", None], ["BOSS", "HAND", None]),
        ("Role", [Role.BOSS, "nobody"], None),
        ("Role", [[]], None),
        ("Date", [ODD], None),
        ("Date", [ValueError()], None),
    ],
)
def test_a_clean_column_passes_and_a_dirty_one_does_not(
    type_name: str, column: list[Any], expected: list[Any] | None
) -> None:
    leaf = LeafColumn(TOY._schema.type_map[type_name])  # type: ignore[arg-type]
    assert leaf.complete(column, nonnull=False) == expected
    if None in column:
        assert leaf.complete(column, nonnull=True) is None


def test_objects_are_put_together_without_shifting() -> None:
    make = assembler((("a", None), ("kind", "It's"), ("b", None)))
    assert make(2, [[1, 2], [3, 4]]) == [
        {"a": 1, "kind": "It's", "b": 3},
        {"a": 2, "kind": "It's", "b": 4},
    ]
    with pytest.raises(ValueError, match="zip"):
        make(2, [[1, 2], [3]])
    assert assembler(())(2, []) == [{}, {}]


async def test_deep_lists_of_failures_keep_their_places() -> None:
    world = World()
    world.tasks[1] = type(world.tasks[1])(
        ("task_1", "t", True, ["x", ODD, None], 5, 1, [[1, 2**40], None, [None, "no"]])
    )
    result = await compare(
        TOY._schema,
        "{ person { maybeTasks { matrix tags } } }",
        None,
        lambda: ToyContext(world),
    )
    assert result.data == {
        "person": {
            "maybeTasks": [None, {"matrix": [[8, None], None, []], "tags": ["tag0", "tag1"]}]
        }
    }
    assert [error.path for error in result.errors or ()][:2] == [
        ["person", "maybeTasks", 0, "matrix", 0, 1],
        ["person", "maybeTasks", 0, "matrix", 2, 1],
    ]


async def _shy(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    return [ValueError("failed"), ODD, "good"]


@strawberry.type
class ShyLeaf:
    shy: Shy | None = batch(_shy, "one fails, and one is nothing that JSON has")


@strawberry.type
class ShyQuery:
    leaves: list[ShyLeaf] = root(_leaves, "three leaves")


async def test_a_value_without_json_beside_a_failed_one_is_an_error_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = strawberry.Schema(ShyQuery, config=StrawberryConfig(scalar_map=SCALARS))
    monkeypatch.setattr(planner_of(made._schema), "serialized_after", 0)
    result = await run("{ leaves { shy } }", made, LeafContext(), serialized=True)
    assert read(result.data) == {"leaves": [{"shy": None}, {"shy": None}, {"shy": "good"}]}
    assert [error.path for error in result.errors or ()] == [
        ["leaves", 0, "shy"],
        ["leaves", 1, "shy"],
    ]
