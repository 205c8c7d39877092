"""The board's operations and types, checked as its developers check them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from graphql import parse, print_ast, validate
from graphql.language import OperationDefinitionNode

from graph.schema import schema
from scripts.build_npm import npm_command

FOLDER = Path(__file__).resolve().parents[2] / "clients" / "board"
OPERATIONS = "\n".join(
    path.read_text() for path in sorted((FOLDER / "src" / "operations").glob("*.graphql"))
)


def test_the_operations_fit_the_schema() -> None:
    assert [str(error) for error in validate(schema._schema, parse(OPERATIONS))] == []


def test_the_generated_documents_are_those_of_the_operations() -> None:
    generated = without_spaces((FOLDER / "src" / "generated" / "graphql.ts").read_text())
    for definition in parse(OPERATIONS).definitions:
        if isinstance(definition, OperationDefinitionNode):
            text = without_spaces(print_ast(definition))
            assert text in generated, "run the code generator again"


def without_spaces(text: str) -> str:
    return "".join(text.split())


@pytest.mark.skipif(
    not (FOLDER / "node_modules").is_dir(), reason="the board is not built (make board)"
)
def test_the_types_are_right() -> None:
    npm, environment = npm_command()
    checked = subprocess.run(
        [*npm, "run", "check", "--silent"],
        cwd=FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
