"""The corpus of the real schema, each operation through both engines on real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    FieldNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    is_object_type,
    parse,
    validate,
    visit,
)

from graph.schema import schema
from settings import Settings
from tests.graph.engine.operations import FILES, CorpusOperation, read
from tests.graph.engine.stage import Scene, Twins, codes, scene, twins

SCHEMA = schema._schema
CORPUS = {path.stem: read(path) for path in FILES}
# Files that change nothing, and so may share a stage.
READING = {
    name for name, operations in CORPUS.items() if all(one.kind == "query" for one in operations)
}

# `Type.field`s that stand in no operation of the corpus, each with its reason.
LEFT_OUT: dict[str, str] = {}


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
    """The file's operations, in their order; what is wrong with any of them is told at the end."""
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


class _Asked(Visitor):
    """Gathers `Type.field` for every field node."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self._info = info
        self.found: set[str] = set()

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.found.add(f"{self._info.get_parent_type()}.{node.name.value}")


def test_every_field_of_the_schema_is_asked_for() -> None:
    """A new field or type needs an operation in `corpus/`, or a reason in `LEFT_OUT`."""
    info = TypeInfo(SCHEMA)
    asked = _Asked(info)
    for path in FILES:
        visit(parse(path.read_text("utf-8")), TypeInfoVisitor(info, asked))
    every = {
        f"{name}.{field}"
        for name, type_ in SCHEMA.type_map.items()
        if is_object_type(type_) and not name.startswith("__")
        for field in type_.fields
    }
    assert sorted(every - asked.found - LEFT_OUT.keys()) == []
    assert sorted(LEFT_OUT.keys() - (every - asked.found)) == [], "left out for no reason any more"
