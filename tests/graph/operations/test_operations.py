"""The operations that applications and integrators write: each is valid, and answers as it has to.

`pages`, `actions` and `integrators` say what each one answers, against a server with data.
"""

from __future__ import annotations

import pytest
from graphql import parse, validate

from graph.schema import schema
from tests.factories import World
from tests.graph.operations import actions, integrators, pages
from tests.graph.operations.documents import DOCUMENTS, RUNS

# Each declares its runs when it is imported.
MODULES = (pages, actions, integrators)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_is_valid(name: str) -> None:
    errors = validate(schema._schema, parse(DOCUMENTS[name]))
    assert [error.message for error in errors] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_says_what_it_answers(name: str) -> None:
    head = DOCUMENTS[name].split("\n\n", 1)[0]
    assert all(line.startswith("# ") for line in head.splitlines())
    assert "# Answers: " in head


def test_every_document_has_a_run() -> None:
    assert set(RUNS) == set(DOCUMENTS)


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_operation(name: str, world: World) -> None:
    await RUNS[name](world)
