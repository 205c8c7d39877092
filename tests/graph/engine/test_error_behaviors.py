"""`onError` against a model in plain Python, over generated documents with planned failures.

The model shares no code with the engines: it walks a selection and applies the three behaviors as
the proposal for the specification describes them. Both engines must agree with it, and the batch
engine also if it serializes.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Annotated, Any, NamedTuple
from zlib import crc32

import pytest
import strawberry
from graphql import parse

from graph.core.executed import ErrorBehavior, Executed
from graph.core.fields import BatchInfo, arg, attribute, batch, root
from graph.engine import execute
from graph.engine.executor import planner_of
from tests.graph.engine.differential import read
from tests.graph.engine.toy import Parts

NULL, PROPAGATE, HALT = ErrorBehavior.NULL, ErrorBehavior.PROPAGATE, ErrorBehavior.HALT

# --- the world -----------------------------------------------------------------------------------


class Fault(Exception):  # noqa: N818 - reads better where it is planned
    """A planned failure."""


@dataclass
class Scene(Parts):
    """What each field of each thing has; about `rate` in a thousand values fail or are null."""

    seed: int = 0
    rate: int = 0
    log: list[str] = field(default_factory=list)
    loaders: dict[Any, Any] = field(default_factory=dict)
    selection_index: Any = None
    failed: asyncio.Event = field(default_factory=asyncio.Event)

    def value(self, number: int, name: str) -> Any:
        """A text, a thing, a list of one of them, None, or a `Fault`."""
        plain = {"name": f"n{number}", "nick": f"nick {number}", "later": f"late {number}"}
        if name in {"words", "maybe_words", "many", "some"}:
            size = self._chance(number, f"{name} size") % 4
            inner = "word" if "words" in name else "thing"
            return self._bent(
                number, name, [self._item(number, f"{name} {n}", inner) for n in range(size)]
            )
        return self._bent(number, name, plain.get(name) or self._thing(number, name))

    def _item(self, number: int, name: str, inner: str) -> Any:
        made = f"w{number}" if inner == "word" else self._thing(number, name)
        return self._bent(number, name, made)

    def _thing(self, number: int, name: str) -> Thing:
        return Spot(self, self._chance(number, name) % 9)  # type: ignore[return-value]

    def _bent(self, number: int, name: str, value: Any) -> Any:
        chance = self._chance(number, f"{name} bent")
        if chance % 1000 >= self.rate:
            return value
        return Fault(f"{name} of {number}") if chance // 1000 % 2 else None

    def _chance(self, number: int, name: str) -> int:
        return crc32(f"{self.seed} {number} {name}".encode())


class Spot:
    """An object of the world."""

    def __init__(self, scene: Scene, number: int) -> None:
        self.scene = scene
        self.number = number

    def __getattr__(self, name: str) -> Any:
        # Among the others is `__await__`.
        if name.startswith("_"):
            raise AttributeError(name)
        return self.scene.value(self.number, name)


# --- the schema ----------------------------------------------------------------------------------


async def below(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    await asyncio.sleep(0)
    return [parent.scene.value(parent.number, info.field.python_name) for parent in parents]


async def broken(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    scene_of(info).failed.set()
    raise Fault("broken")


async def after_a_failure(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    scene = scene_of(info)
    await scene.failed.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    return parents  # type: ignore[return-value]


async def noted(parents: Sequence[Any], info: BatchInfo) -> list[str]:
    scene_of(info).log.append("noted")
    return ["noted" for _ in parents]


def scene_of(info: BatchInfo) -> Scene:
    return info.context  # type: ignore[return-value]


@strawberry.interface
class Being:
    name: str = attribute("text")


@strawberry.type
class Thing(Being):
    name: str = attribute("text")
    nick: str | None = attribute("text or nothing")
    words: list[str] = attribute("texts")
    maybe_words: list[str | None] | None = attribute("texts, perhaps")
    one: Thing = batch(below, "a thing")
    maybe: Thing | None = batch(below, "a thing, perhaps")
    many: list[Thing] = batch(below, "things")
    some: list[Thing | None] | None = batch(below, "things, perhaps")
    being: Being = batch(below, "a thing by its interface")
    broken: Thing | None = batch(broken, "always fails")
    slow: Thing | None = batch(after_a_failure, "itself, once `broken` has failed")
    noted: str = batch(noted, "in the log")

    is_type_of = classmethod(lambda _, value, __: isinstance(value, Spot))

    @strawberry.field
    async def later(self: Any) -> str | None:
        await asyncio.sleep(0)
        value = self.scene.value(self.number, "later")
        if isinstance(value, Exception):
            raise value
        return value  # type: ignore[no-any-return]


Number = Annotated[int, arg("which")]


async def find(parents: Sequence[Any], info: BatchInfo, number: Number) -> list[Any]:
    return [Spot(scene_of(info), number) for _ in parents]


async def touch(parents: Sequence[Any], info: BatchInfo, number: Number) -> list[Any]:
    scene_of(info).log.append(f"{info.field.python_name} {number}")
    await asyncio.sleep(0)
    return [Spot(scene_of(info), number) for _ in parents]


async def try_touch(info: BatchInfo, number: Number) -> Any:
    return (await touch([None], info, number))[0]


@strawberry.type
class Query:
    one: Thing = batch(find, "one")


@strawberry.type
class Mutation:
    touch: Thing = batch(touch, "notes it, without fail")
    try_touch: Thing | None = root(try_touch, "notes it")


SCHEMA = strawberry.Schema(Query, Mutation, types=[Thing])


# --- documents, and what they are to answer ------------------------------------------------------


class Type(NamedTuple):
    """One layer of a field's type: nullable or not, a list (`item`) or a leaf or an object."""

    nonnull: bool
    item: Type | None = None


LEAVES = {
    "name": Type(True),
    "nick": Type(False),
    "later": Type(False),
    "words": Type(True, Type(True)),
    "maybe_words": Type(False, Type(False)),
}
OBJECTS = {
    "one": Type(True),
    "maybe": Type(False),
    "being": Type(True),
    "many": Type(True, Type(True)),
    "some": Type(False, Type(False)),
}
ROOTS = {"touch": Type(True), "try_touch": Type(False), "one": Type(True)}


class Selected(NamedTuple):
    """A selection: field, key in the answer, and the selections below."""

    name: str
    key: str
    below: tuple[Selected, ...] = ()


def drawn(random: Random, depth: int) -> tuple[Selected, ...]:
    """Selections of a thing."""
    found = []
    for number in range(random.randint(1, 4)):
        if depth and random.random() < 0.6:
            name = random.choice(sorted(OBJECTS))
            found.append(Selected(name, f"{name}{number}", drawn(random, depth - 1)))
        else:
            name = random.choice(sorted(LEAVES))
            found.append(Selected(name, f"{name}{number}"))
    return tuple(found)


def text_of(selected: Sequence[Selected]) -> str:
    """The selections as GraphQL."""
    parts = []
    for name, key, inner in selected:
        head, *rest = name.split("_")
        part = f"{key}: {head}{''.join(word.title() for word in rest)}"
        if name in ROOTS and key.startswith("root"):
            part += f"(number: {key.removeprefix('root')})"
        if inner:
            text = text_of(inner)
            part += f" {{ ... on Thing {text} }}" if name == "being" else f" {text}"
        parts.append(part)
    return f"{{ {' '.join(parts)} }}"


class Error(Exception):
    """An error that is on its way up."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.shown = (path, message)


@dataclass
class Model:
    """One execution. `errors` are (path, message) in the order of the answer."""

    scene: Scene
    on_error: ErrorBehavior
    errors: list[tuple[Any, str]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def run(self, keyword: str, selected: Sequence[Selected]) -> Any:
        """The answer's data."""
        data = {}
        try:
            for name, key, inner in selected:
                number = int(key.removeprefix("root"))
                if keyword == "mutation":
                    self.log.append(f"touch {number}")
                spot = Spot(self.scene, number)
                data[key] = self.place(name, ROOTS[name], spot, inner, (key,))
        except Error as error:
            self.errors.append(error.shown)
            return None
        return data

    def place(
        self,
        name: str,
        type_: Type,
        value: Any,
        below: Sequence[Selected],
        path: tuple[str | int, ...],
    ) -> Any:
        """The value of one position; raises `Error` if that above it must be null."""
        try:
            return self._value(name, type_, value, below, path)
        except Error as error:
            if self.on_error is HALT or (self.on_error is PROPAGATE and type_.nonnull):
                raise
            self.errors.append(error.shown)
            return None

    def _value(
        self,
        name: str,
        type_: Type,
        value: Any,
        below: Sequence[Selected],
        path: tuple[str | int, ...],
    ) -> Any:
        if isinstance(value, Fault):
            raise Error(path, str(value))
        if value is None:
            if type_.nonnull:
                raise Error(path, f"Cannot return null for non-nullable field Thing.{name}.")
            return None
        if type_.item is not None:
            return [
                self.place(name, type_.item, item, below, (*path, index))
                for index, item in enumerate(value)
            ]
        if not isinstance(value, Spot):
            return value
        return {
            each.key: self.place(
                each.name,
                (OBJECTS if each.below else LEAVES)[each.name],
                getattr(value, each.name),
                each.below,
                (*path, each.key),
            )
            for each in below
        }


# --- the comparison ------------------------------------------------------------------------------


async def run(
    text: str, scene: Scene, on_error: ErrorBehavior, engine: str = "batch"
) -> tuple[Any, list[tuple[Any, str]]]:
    """Data and errors of an operation by one engine."""
    planner = planner_of(SCHEMA._schema)
    usual, planner.serialized_after = planner.serialized_after, 0
    try:
        result: Executed = await execute(
            SCHEMA._schema,
            parse(text),
            context_value=scene,
            standard=engine == "standard",
            serialized=engine == "serialized",
            on_error=on_error,
        )
    finally:
        planner.serialized_after = usual
    assert result.engine == ("standard" if engine == "standard" else "batch")
    errors = [(tuple(error.path or ()), error.message) for error in result.errors or ()]
    return read(result.data), errors


ENGINES = ["batch", "serialized", "standard"]


async def check(seed: int, on_error: ErrorBehavior, engine: str) -> int:
    """One document in one world; how many failures it meets."""
    random = Random(seed)
    keyword = random.choice(["query", "mutation"])
    names = ["touch", "try_touch"] if keyword == "mutation" else ["one"]
    selected = [
        Selected(random.choice(names), f"root{number}", drawn(random, 3)) for number in range(3)
    ]
    text = f"{keyword} {text_of(selected)}"
    rate = random.choice([0, 20, 60, 200])
    model = Model(Scene(seed, rate), on_error)
    expected = model.run(keyword, selected)
    everything = Model(Scene(seed, rate), NULL)
    everything.run(keyword, selected)
    scene = Scene(seed, rate)
    data, errors = await run(text, scene, on_error, engine)
    assert data == expected, text
    assert [line.replace("try_", "") for line in scene.log] == model.log, text
    # A position that is null has one error at most.
    assert len({path for path, _ in errors}) == len(errors)
    if on_error is NULL:
        assert sorted(errors, key=repr) == sorted(model.errors, key=repr)
    # What failed first, and what failed below a null, depends on the order of execution.
    assert set(errors) <= set(everything.errors)
    assert bool(errors) == bool(model.errors)
    if on_error is HALT:
        assert len(errors) <= 1
    elif engine != "standard":
        assert errors == model.errors, text
    return len(everything.errors)


# graphql-core leaves resolvers unawaited when a sibling has failed; the batch engine awaits all.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("on_error", ErrorBehavior)
async def test_both_engines_agree_with_the_model(on_error: ErrorBehavior, engine: str) -> None:
    failures = [await check(seed, on_error, engine) for seed in range(60)]
    # What was not awaited is collected here, where its warnings are ignored.
    gc.collect()
    assert sum(map(bool, failures)) > 20
    assert 0 in failures


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("on_error", ErrorBehavior)
async def test_with_halt_nothing_begins_after_the_first_failure(
    on_error: ErrorBehavior, engine: str
) -> None:
    scene = Scene()
    text = "{ one(number: 1) { slow { noted } broken { name } } }"
    data, errors = await run(text, scene, on_error, engine)
    assert errors == [(("one", "broken"), "broken")]
    if on_error is HALT:
        assert (data, scene.log) == (None, [])
    else:
        expected = {"one": {"slow": {"noted": "noted"}, "broken": None}}
        assert (data, scene.log) == (expected, ["noted"])
