"""The corpus: files of operations over the whole schema, each with a few lines about it before it.

    # Somebody who may only look cannot rename it.
    # as: dan
    # with: {"id": "<fix>"}
    # fails: FORBIDDEN
    mutation Rename($id: ID!) { taskUpdate(input: {id: $id, title: "x"}) { errors { code } } }

`as` is who asks (ada by default; `nobody` is signed out), `with` the variables, `fails` the codes
of all errors that have to come, and no other. `keep: name = path.in.the.data` keeps a value for the
operations after it; `deliveries` says how many events of a subscription to wait for. `<name>`, in
the text or the variables, is replaced by an ID of `tests.graph.engine.fixtures` or by a kept value.
The operations of a file run in their order, on fresh fixtures; fragments may be used
by all of its operations.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    OperationDefinitionNode,
    TokenKind,
    TypeInfo,
    Visitor,
    parse,
    print_ast,
    separate_operations,
)

FOLDER = Path(__file__).parent / "corpus"
FILES = sorted(FOLDER.glob("*.graphql"))

_NAME = re.compile(r"<([a-z][a-z0-9_.]*)>")
_NOTE = re.compile(r" (as|with|fails|keep|deliveries): (.*)")


@dataclass(frozen=True, slots=True)
class CorpusOperation:
    """One operation of a file, alone with its fragments."""

    name: str
    kind: str
    text: str
    variables: str = "{}"
    person: str = "ada"
    fails: frozenset[str] = frozenset()
    keep: Mapping[str, str] = field(default_factory=dict)
    deliveries: int = 1

    @property
    def document(self) -> DocumentNode:
        """Its tree; names of the stage are still in it."""
        return parse(self.text)

    @property
    def names(self) -> set[str]:
        """Names of the stage, and of what was kept, that it needs."""
        return set(_NAME.findall(self.text + self.variables))

    def filled(self, names: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        """Text and variables, with the things that names stand for."""

        def thing(match: re.Match[str]) -> str:
            return names[match[1]]

        variables: dict[str, Any] = json.loads(_NAME.sub(thing, self.variables))
        return _NAME.sub(thing, self.text), variables


@functools.cache
def read(path: Path) -> tuple[CorpusOperation, ...]:
    """The operations of a file, in their order."""
    document = parse(path.read_text("utf-8"))
    alone = separate_operations(document)
    return tuple(
        _operation(definition, print_ast(alone[definition.name.value]))
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode) and definition.name
    )


def _operation(definition: OperationDefinitionNode, text: str) -> CorpusOperation:
    assert definition.name is not None
    notes: dict[str, Any] = {}
    keep: dict[str, str] = {}
    for word, rest in _notes(definition):
        if word == "keep":
            name, _, path = rest.partition(" = ")
            keep[name] = path
        elif word == "with":
            json.loads(rest)
            notes["variables"] = rest
        elif word == "as":
            notes["person"] = rest
        elif word == "fails":
            notes["fails"] = frozenset(rest.split())
        else:
            notes["deliveries"] = int(rest)
    kind = definition.operation.value
    return CorpusOperation(definition.name.value, kind, text, keep=keep, **notes)


def _notes(definition: OperationDefinitionNode) -> list[tuple[str, str]]:
    assert definition.loc is not None
    found = []
    token = definition.loc.start_token.prev
    while token is not None and token.kind is TokenKind.COMMENT:
        match = _NOTE.fullmatch(token.value or "")
        if match is not None:
            found.append((match[1], match[2]))
        token = token.prev
    return found


def at(data: Any, path: str) -> Any:
    """The value at `a.0.b`."""
    for part in path.split("."):
        data = data[int(part) if part.isdigit() else part]
    return data


class Asked(Visitor):
    """Gathers `Type.field` for every field node; to be used in a `TypeInfoVisitor`."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self._info = info
        self.found: set[str] = set()

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.found.add(f"{self._info.get_parent_type()}.{node.name.value}")
