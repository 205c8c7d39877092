"""A corpus of operations over the toy schema, each through both engines."""

# ruff: noqa: E501, ISC004 - an operation is read best in one piece
from __future__ import annotations

from typing import Any

import pytest
from graphql import parse, validate

from tests.graph.engine.differential import compare
from tests.graph.engine.toy import ToyContext, World, make_schema

SCHEMA = make_schema()._schema

CORPUS: list[tuple[str, dict[str, Any]]] = [
    ("{ people { id name email age score role active born nicknames } }", {}),
    ("{ maybePeople(first: 9) { rank } }", {}),
    ("{ maybePeople(first: 9) { money shy } }", {}),
    ("{ oddThings(cast: true) { __typename ... on Stats { count double } ... on Crate { n: count } } }", {}),
    ("{ oddThings { __typename ... on Task { title } } }", {}),
    ("{ a: stats(count: 3) { streamed } b: stats(count: 9) { streamed } lateStats { streamed } }", {}),
    ("{ people { __typename kind: __typename id } __typename }", {}),
    ("{ people(first: 0) { id tasks { title } } }", {}),
    ("{ people(first: 9) { label loud manager { name manager { name } } } }", {}),
    ("{ people(first: 9) { boss { name } } }", {}),
    ("{ maybePeople(first: 9) { boss { name } } }", {}),
    ("{ maybePeople(first: 9) { name boss { id tasks(first: 1) { title } } manager { id } } }", {}),
    ("{ someone(number: 0) { boss { name } } person { id } }", {}),
    ("{ person { tasks { title tags matrix done points comments { body author { name } } } } }", {}),
    ("{ person { maybeTasks { slug twice: slug(times: 2) later } } }", {}),
    ("query ($n: Int!) { people(first: $n) { tasks(first: $n) { id } } }", {"n": 2}),
    ("query ($n: Int = 2) { people(first: $n) { id } }", {}),
    ("query ($n: Int) { people(first: $n) { id } }", {"n": 3}),
    ("query ($n: Int) { person { tasks { comments(first: $n) { id } } } }", {"n": None}),
    ("query ($a: Boolean!) { people { id @skip(if: $a) name @include(if: $a) } }", {"a": True}),
    ("query ($a: Boolean!) { people { id @skip(if: $a) name @include(if: $a) } }", {"a": False}),
    ("query ($a: Boolean!) { people { name @skip(if: $a) } person @skip(if: $a) { id } }", {"a": True}),
    ("query ($a: Boolean!) { people @skip(if: $a) { id } }", {"a": True}),
    ("{ people { ...P } } fragment P on Person { id ...Q } fragment Q on Person { name ...R }"
     " fragment R on Node { id }", {}),
    ("{ person { tasks { id } tasks { title } ...F } } fragment F on Person { tasks { done } name }", {}),
    ("{ person { name } a: person(number: 2) { name } person { id } }", {}),
    ("{ things(first: 9) { __typename ... on Node { id } ... on Person { name } ... on Task "
     "{ title assignee { name } } ... on Stats { count double } ... on Comment { author { id } } } }", {}),
    ("{ things { ... on Task { x: title } ... on Comment { x: body } } }", {}),
    ('{ node(id: "task_3") { id ... on Task { title } ... on Person { name } } }', {}),
    ('{ node(id: "person_3") { id ... on Named { label } } }', {}),
    ('{ node(id: "nobody") { id } }', {}),
    ("{ people { related { __typename ... on Person { id } ... on Stats { count } } } }", {}),
    ("{ people { nodes { __typename id } name } }", {}),
    ("{ people { stats { count double spread(to: 3) { count spread { double } } generated } } }", {}),
    ("{ stats { count } other: stats(count: 9) { double } lateStats { count generated } hidden }", {}),
    ("{ lateStats { spread { count } } people { id } hidden }", {}),
    ('query ($w: Wish!) { echo(wish: $w) a: echo(wish: {name: "n", role: BOSS}) }',
     {"w": {"name": "x", "times": 3, "role": "HAND"}}),
    ('query ($t: Int) { echo(wish: {name: "n", times: $t}) }', {"t": 5}),
    ("query ($n: Int!) { people(first: $n) { id } }", {"n": "three"}),
    ("query ($n: Int!) { people(first: $n) { id } }", {}),
    ('mutation { a: note(text: "1") { log person { name } } b: note(text: "2") { log } }', {}),
    ('mutation { a: note(text: "1", fail: true) { log } b: note(text: "2") { log } }', {}),
    ('mutation { a: note(text: "1") { log } b: strictNote(text: "2", fail: true) { log }'
     ' c: note(text: "3") { log } }', {}),
    ('mutation { a: note(text: "1", fail: true) { log } b: strictNote(text: "2") { log person { boss '
     '{ name } } } c: note(text: "3") { log } }', {}),
    ("subscription { peopleChanged { id name tasks { title } } }", {}),
]  # fmt: skip


@pytest.mark.parametrize("rate", [0, 100, 400], ids=["sound", "some faults", "many faults"])
@pytest.mark.parametrize(("document", "variables"), CORPUS, ids=[text for text, _ in CORPUS])
async def test_both_engines_agree(document: str, variables: dict[str, Any], rate: int) -> None:
    parsed = parse(document)
    assert validate(SCHEMA, parsed) == []
    for seed in range(1 if rate == 0 else 12):
        world = World(seed, rate)
        event = world.people[seed % 9] if document.startswith("subscription") else None
        await compare(SCHEMA, parsed, variables, lambda: ToyContext(world), root_value=event)  # noqa: B023
