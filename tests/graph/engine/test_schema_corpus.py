"""The corpus of the real schema, each operation through both engines on real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from random import Random

import pytest
from graphql import TypeInfo, TypeInfoVisitor, is_object_type, parse, validate, visit

from graph.core.executed import ErrorBehavior
from graph.core.fields import BatchFault
from graph.schema import schema
from settings import Settings
from tests.factories import ENGINES, Engine
from tests.graph.engine.faults import SHORT, bent, plan
from tests.graph.engine.fixtures import Scene, Twins, codes, scene, twins
from tests.graph.engine.operations import FILES, Asked, CorpusOperation, read

SCHEMA = schema._schema
CORPUS = {path.stem: read(path) for path in FILES}
# Files that change nothing, and so may share a stage.
READING = {
    name for name, operations in CORPUS.items() if all(one.kind == "query" for one in operations)
}

# `Type.field`s that stand in no operation of the corpus, each with its reason.
LEFT_OUT: dict[str, str] = {
    "ApiKey.prefix": "random and short; see tests/graph/request/test_api_keys.py",
}


@pytest.fixture(scope="module")
async def company(settings: Settings) -> AsyncIterator[Scene]:
    async with scene(settings) as made:
        yield made


@pytest.fixture(scope="module")
async def readers(settings: Settings, company: Scene) -> AsyncIterator[Twins]:
    async with twins(settings, company) as made:
        yield made


@pytest.mark.parametrize("name", sorted(READING))
async def test_both_engines_agree_on_reading(name: str, readers: Twins) -> None:
    await agree_on_all(name, readers)


@pytest.mark.parametrize("name", sorted(CORPUS.keys() - READING))
async def test_both_engines_agree_on_changes(name: str, settings: Settings, company: Scene) -> None:
    async with twins(settings, company) as both:
        await agree_on_all(name, both)


async def agree_on_all(name: str, both: Twins) -> None:
    """The file's operations, in their order; all failures are reported at the end."""
    wrong: list[str] = []
    for operation in CORPUS[name]:
        try:
            await agree(operation, both)
        except Exception as error:  # noqa: BLE001 - the rest of the file is of interest too
            wrong.append(f"{name}.{operation.name}: {type(error).__name__}: {error}")
    assert not wrong, "\n\n".join(wrong)


async def agree(operation: CorpusOperation, both: Twins) -> None:
    """Compare, and see that nothing fails save what is meant to."""
    answers = await both.compare(operation)
    found = set(chain.from_iterable(map(codes, answers)))
    assert found == operation.fails, [(answer.errors, answer.data) for answer in answers]


def test_the_corpus_is_large() -> None:
    assert sum(map(len, CORPUS.values())) >= 300


def test_names_are_given_once() -> None:
    names = [operation.name for operations in CORPUS.values() for operation in operations]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_documents_are_valid(path: Path) -> None:
    # Names of the stage stand in strings, so they do not matter here.
    errors = validate(SCHEMA, parse(path.read_text("utf-8")))
    assert [str(error) for error in errors] == []


def test_every_field_of_the_schema_is_asked_for() -> None:
    """A new field or type needs an operation in `corpus/`, or a reason in `LEFT_OUT`."""
    info = TypeInfo(SCHEMA)
    requested = Asked(info)
    for path in FILES:
        visit(parse(path.read_text("utf-8")), TypeInfoVisitor(info, requested))
    every = {
        f"{name}.{field}"
        for name, type_ in SCHEMA.type_map.items()
        if is_object_type(type_) and not name.startswith("__")
        for field in type_.fields
    }
    assert sorted(every - requested.found - LEFT_OUT.keys()) == []
    assert sorted(LEFT_OUT.keys() - (every - requested.found)) == [], "left out without a reason"


# --- faults --------------------------------------------------------------------------------------


KEPT = {name for operations in CORPUS.values() for one in operations for name in one.keep}
# Those that succeed, and need nothing that another one kept.
SOUND = [
    operation
    for name in sorted(READING)
    for operation in CORPUS[name]
    if not operation.fails and not operation.names & KEPT
]


async def with_faults(operations: list[CorpusOperation], both: Twins, seed: int) -> int:
    """Compare each with some of its resolvers bent; how many of them then told of errors."""
    failed = 0
    for operation in operations:
        random = Random(f"{seed} {operation.name}")
        faults = plan(SCHEMA, operation.document, random)
        # A text of its own, since plans are made for the resolvers as they are.
        bad = replace(operation, text=f"# {seed}: {faults}\n{operation.text}", keep={})
        with bent(SCHEMA, faults, seed):
            (answer,) = await both.compare(bad, serialized=False)
        failed += bool(answer.errors)
    return failed


async def test_both_engines_agree_on_faults(readers: Twins) -> None:
    some = SOUND[::4]
    assert await with_faults(some, readers, seed=1) > len(some) / 2


@pytest.mark.parametrize("on_error", [ErrorBehavior.NULL, ErrorBehavior.HALT])
async def test_both_engines_agree_on_faults_with_other_behaviors(
    on_error: ErrorBehavior, readers: Twins
) -> None:
    some = SOUND[2::8]
    with readers.behaving(on_error):
        assert await with_faults(some, readers, seed=1) > len(some) / 2


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(2, 30))
async def test_both_engines_agree_on_faults_all_night(seed: int, readers: Twins) -> None:
    assert await with_faults(SOUND, readers, seed) > len(SOUND) / 2


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("place", ["Query.tasks", "Task.assignee", "Task.comments", "Task.project"])
async def test_a_resolver_that_gives_too_few_results_is_named_in_the_log(
    place: str, engine: Engine, readers: Twins, caplog: pytest.LogCaptureFixture
) -> None:
    text = f"""# {place}
        {{ tasks(first: 9, orderBy: [{{title: ASC}}]) {{ nodes {{
            title assignee {{ username }} project {{ name }} comments {{ totalCount }}
        }} }} }}
    """
    sound = await readers.alone(engine, CorpusOperation("Sound", "query", f"# as it is\n{text}"))
    with bent(SCHEMA, {place: SHORT}, 0):
        answer = await readers.alone(engine, CorpusOperation("Short", "query", text))
    assert {error["extensions"]["code"] for error in answer.errors} == {"INTERNAL_SERVER_ERROR"}
    fault = caplog.records[-1].exc_info
    assert fault is not None
    assert isinstance(fault[1], BatchFault)
    name = place.partition(".")[2]
    assert f".{name} returned " in str(fault[1])
    assert BatchFault.__name__ not in str(answer.errors), "the inside is not told to clients"
    # What the field would have given is null, and nothing else has moved.
    assert isinstance(sound.data, dict)
    rows = [{**row, name: None} for row in sound.data["tasks"]["nodes"]]
    assert answer.data == {"tasks": None if place == "Query.tasks" else {"nodes": rows}}
