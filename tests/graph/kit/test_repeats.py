"""Every mutation of the corpus, sent twice under one key: the second answer is the first.

What a repeat is answered with was stored, and is read again. So whatever a payload can have goes
through JSON and back: times, lists, the errors of items that failed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from graphql import (
    ArgumentNode,
    FieldNode,
    NameNode,
    ObjectFieldNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
    get_named_type,
    print_ast,
)

from graph.schema import schema
from settings import Settings
from tests.graph.engine.fixtures import Scene, scene, twins
from tests.graph.engine.operations import FILES, CorpusOperation, read

ROOT = schema._schema.mutation_type
CORPUS = {path.stem: read(path) for path in FILES}
CHANGING = sorted(
    name for name, operations in CORPUS.items() if any(one.kind == "mutation" for one in operations)
)
# What is shown once, and whom and what a token is for.
GRANT = ("accessToken", "refreshToken", "accessTokenExpiresAt", "session", "viewer")
SECRETS = {
    **dict.fromkeys(("userRegister", "sessionCreate", "sessionRefresh"), GRANT),
    **dict.fromkeys(("apiKeyCreate", "webhookCreate", "webhookSecretRotate"), ("secret",)),
    "streamTokenCreate": ("token", "expiresAt"),
}
REPLAYED = FieldNode(name=NameNode(value="replayed"))
KEY = "idempotencyKey"


@pytest.fixture(scope="module")
async def company(settings: Settings) -> AsyncIterator[Scene]:
    async with scene(settings) as made:
        yield made


def with_selections(node: SelectionSetNode, selections: Sequence[Any]) -> SelectionSetNode:
    return replace(node, selections=tuple(selections))


def keyed(operation: CorpusOperation) -> CorpusOperation:
    """The operation with a key for each mutation that takes one and has none, and `replayed`."""
    variables: dict[str, Any] = json.loads(operation.variables)

    def argument(field: FieldNode, node: ArgumentNode) -> ArgumentNode:
        assert ROOT is not None
        declared = ROOT.fields[field.name.value].args[node.name.value]
        if KEY not in getattr(get_named_type(declared.type), "fields", ()):
            return node
        assert field.loc is not None
        key = f"{operation.name} {field.loc.start}"
        if isinstance(node.value, VariableNode):
            variables[node.value.name.value].setdefault(KEY, key)
            return node
        assert isinstance(node.value, ObjectValueNode)
        if any(one.name.value == KEY for one in node.value.fields):
            return node
        new = ObjectFieldNode(name=NameNode(value=KEY), value=StringValueNode(value=key))
        return replace(node, value=replace(node.value, fields=(*node.value.fields, new)))

    def definition(node: Any) -> Any:
        if not isinstance(node, OperationDefinitionNode):
            return node
        fields = [
            replace(
                field,
                arguments=tuple(argument(field, one) for one in field.arguments or ()),
                selection_set=with_selections(
                    field.selection_set, (*field.selection_set.selections, REPLAYED)
                ),
            )
            for field in node.selection_set.selections
            if isinstance(field, FieldNode) and field.selection_set is not None
        ]
        return replace(node, selection_set=with_selections(node.selection_set, fields))

    document = operation.document
    document = replace(document, definitions=tuple(map(definition, document.definitions)))
    return replace(operation, text=print_ast(document), variables=json.dumps(variables))


def without_secrets(payload: Any, field: str) -> Any:
    """A payload as a repeat has it."""
    secrets = SECRETS.get(field, ())
    return {name: None if name in secrets else value for name, value in payload.items()}


@pytest.mark.parametrize("name", CHANGING)
async def test_a_repeat_answers_as_the_first_time(
    name: str, settings: Settings, company: Scene
) -> None:
    wrong: list[str] = []
    repeats = 0
    async with twins(settings, company, engines=["batch"]) as both:
        for operation in CORPUS[name]:
            if operation.kind == "subscription":
                continue
            sent = keyed(operation) if operation.kind == "mutation" else operation
            first = await both.alone("batch", sent)
            if operation.kind != "mutation":
                continue
            again = await both.alone("batch", replace(sent, keep={}))
            for field, payload in (again.values or {}).items():
                if not payload or payload.get("replayed") is not True:
                    continue
                repeats += 1
                expected = without_secrets((first.values or {})[field], field)
                if {**payload, "replayed": expected["replayed"]} != expected:
                    wrong.append(f"{operation.name}: {payload} instead of {expected}")
    assert not wrong, "\n\n".join(wrong)
    assert repeats > 0
