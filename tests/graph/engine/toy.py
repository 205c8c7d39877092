"""A small schema with every kind of field and place, over a world with planned faults.

A `World` is made from a seed: rows with nulls where none may be, values of wrong types, converters
and batch functions that raise. What goes wrong depends on the seed, the field and the object alone,
so both engines meet the same faults.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, NewType
from zlib import crc32

import strawberry
from strawberry.schema.config import StrawberryConfig

from graph.core.fields import BatchInfo, arg, attribute, batch, column, derived, root


class ToyRow(tuple[Any, ...]):
    """As `db.statements.Row`: a tuple whose columns are attributes too."""

    __slots__ = ()
    labels: tuple[str, ...] = ()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class PersonRow(ToyRow):
    __slots__ = ()
    labels = ("id", "name", "email", "age", "score", "role", "active", "born", "nicknames",
              "money", "shy")  # fmt: skip


class TaskRow(ToyRow):
    __slots__ = ()
    labels = ("id", "title", "done", "tags", "points", "assignee_id", "matrix")


class CommentRow(ToyRow):
    __slots__ = ()
    labels = ("id", "body", "author_id", "task_id")


for row_class in (PersonRow, TaskRow, CommentRow):
    for index, label in enumerate(row_class.labels):
        setattr(row_class, label, property(itemgetter(index)))


class Fault(Exception):  # noqa: N818 - reads better where it is planned
    """A planned one."""


class Odd:
    """A value that no scalar expects."""

    def __str__(self) -> str:
        return "odd"

    __repr__ = __str__


ODD = Odd()


@strawberry.enum
class Role(Enum):
    BOSS = "boss"
    HAND = "hand"


Shy = NewType("Shy", object)
SCALARS: dict[Any, Any] = {
    Shy: strawberry.scalar(
        name="Shy",
        description="Writes one of its values as null, which it may not.",
        serialize=lambda value: None if value == "gone" else value,
    )
}


@dataclass
class World:
    """The data, and which of it is faulty: about `rate` in a thousand values."""

    seed: int = 0
    rate: int = 0
    people: list[PersonRow] = field(init=False)
    tasks: list[TaskRow] = field(init=False)
    comments: list[CommentRow] = field(init=False)

    def __post_init__(self) -> None:
        self.people = [
            PersonRow(
                self.bend(f"Person.{label}", number, value)
                for label, value in zip(
                    PersonRow.labels,
                    (
                        f"person_{number}",
                        f"Name {number}",
                        f"p{number}@example.org" if number % 3 else None,
                        20 + number if number % 4 else None,
                        number / 2,
                        "boss" if number % 5 == 0 else Role.HAND,
                        number % 2 == 0,
                        dt.date(1990, 1, 1 + number),
                        [f"n{number}", "x"] if number % 2 else None,
                        Decimal(number) / 4,
                        number if number != 6 else "gone",
                    ),
                    strict=True,
                )
            )
            for number in range(9)
        ]
        self.tasks = [
            TaskRow(
                self.bend(f"Task.{label}", number, value)
                for label, value in zip(
                    TaskRow.labels,
                    (
                        f"task_{number}",
                        f"Title {number}",
                        number % 2 == 1,
                        tuple(f"tag{tag}" for tag in range(number % 3)),
                        number * 1000,
                        number % 7,
                        [[number, None], None, []],
                    ),
                    strict=True,
                )
            )
            for number in range(14)
        ]
        self.comments = [
            CommentRow((f"comment_{number}", f"Body {number}", number % 4, number % 14))
            for number in range(40)
        ]

    def bend(self, name: str, key: object, value: Any) -> Any:
        """The value, or what is planned to stand in its place."""
        chance = crc32(f"{self.seed} {name} {key}".encode())
        if chance % 1000 >= self.rate:
            return value
        faults = (None, Fault(f"{name} of {key}"), ODD, 2**40, float("nan"), "boom")
        return faults[chance // 1000 % len(faults)]

    def person(self, number: object) -> Any:
        return self.people[number % len(self.people)] if isinstance(number, int) else None


class Parts:
    """One object of each class, as `graph.core.context.Context` keeps them."""

    def of(self, kind: Any) -> Any:
        made: dict[Any, Any] = self.__dict__.setdefault("parts", {})
        if kind not in made:
            made[kind] = kind(self)
        return made[kind]


@dataclass
class ToyContext(Parts):
    world: World
    loaders: dict[Any, Any] = field(default_factory=dict)
    selection_index: Any = None
    log: list[str] = field(default_factory=list)


def bent(info: BatchInfo, parents: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """A batch function's values, some of them faulty; or none, where it is to fail as a whole."""
    world: World = info.context.world  # type: ignore[attr-defined]
    name = info.field.qualified_name
    if world.rate and crc32(f"{world.seed} {name}".encode()) % 2000 < world.rate:
        raise Fault(f"{name} fails")
    return [
        world.bend(name, getattr(parent, "id", "root"), value)
        for parent, value in zip(parents, values, strict=True)
    ]


def shout(value: Any) -> Any:
    if value == "boom" or value is ODD:
        raise Fault("no shouting")
    return f"{value}!"


def world_of(info: BatchInfo) -> World:
    return info.context.world  # type: ignore[attr-defined, no-any-return]


# --- batch functions -----------------------------------------------------------------------------

First = Annotated[int, arg("how many")]


async def person_manager(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    await asyncio.sleep(0)
    people = world_of(info).people
    return bent(info, parents, [people[0] if row is not people[0] else None for row in parents])


async def person_tasks(parents: Sequence[Any], info: BatchInfo, first: First = 3) -> list[Any]:
    world = world_of(info)
    return bent(
        info,
        parents,
        [
            [task for task in world.tasks if task.assignee_id == world.people.index(row)][:first]
            for row in parents
        ],
    )


async def task_assignee(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    world = world_of(info)
    return bent(info, parents, [world.person(row.assignee_id) for row in parents])


async def task_comments(
    parents: Sequence[Any],
    info: BatchInfo,
    first: Annotated[int | None, arg("how many")] = None,
) -> list[Any]:
    await asyncio.sleep(0)
    world = world_of(info)
    places = [world.tasks.index(row) for row in parents]
    found = [
        [comment for comment in world.comments if comment.task_id == place] for place in places
    ]
    return bent(info, parents, [comments[:first] for comments in found])


async def comment_author(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    await asyncio.sleep(0)
    world = world_of(info)
    return bent(info, parents, [world.person(row.author_id) for row in parents])


async def comment_task(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    world = world_of(info)
    return bent(info, parents, [world.tasks[row.task_id] for row in parents])


async def person_related(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    world = world_of(info)
    things = [
        [world.tasks[0], world.people[1], Stats(count=7), world.comments[len(row.name or "")], None]
        if isinstance(row.name, str)
        else []
        for row in parents
    ]
    return bent(info, parents, things)


async def person_stats(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    return bent(info, parents, [Stats(count=world_of(info).people.index(row)) for row in parents])


# --- types ---------------------------------------------------------------------------------------


@strawberry.interface
class Node:
    id: strawberry.ID = column("id", "the id")


@strawberry.interface
class Named:
    label: str = derived(["name"], lambda row: shout(row[1]), "name, loudly")


def rows_of(kind: type, name: str = "") -> Any:
    """Rows of this class, or mappings that say so themselves."""
    return classmethod(
        lambda _, value, __: (
            value["kind"] == name if isinstance(value, dict) else isinstance(value, kind)
        )
    )


@strawberry.type
class Person(Node, Named):
    name: str = column("name", "the name")
    loud: str | None = column("name", "the name, loudly", convert=shout)
    email: str | None = column("email", "the address")
    age: int | None = column("age", "in years")
    score: float = column("score", "a number")
    role: Role = column("role", "the role")
    rank: Role | None = column("role", "the role, from its value", convert=Role)
    active: bool | None = column("active", "whether active")
    born: dt.date | None = column("born", "the day")
    money: Decimal | None = column("money", "an amount")
    shy: Shy | None = column("shy", "sometimes nothing")
    nicknames: list[str] | None = column("nicknames", "other names")
    manager: Person | None = batch(person_manager, "the manager")
    boss: Person = batch(person_manager, "the manager, without fail")
    tasks: list[Task] = batch(person_tasks, "tasks")
    maybe_tasks: list[Task | None] | None = batch(person_tasks, "tasks, perhaps")
    related: list[Thing | None] = batch(person_related, "other things")
    nodes: list[Node | None] | None = batch(person_related, "other nodes; not all are")
    stats: Stats = batch(person_stats, "numbers")

    is_type_of = rows_of(PersonRow)


@strawberry.type
class Task(Node):
    title: str = column("title", "the title")
    done: bool = column("done", "whether done")
    tags: list[str] = column("tags", "tags")
    points: int = column("points", "points")
    matrix: list[list[int | None] | None] | None = column("matrix", "numbers")
    assignee: Person | None = batch(task_assignee, "who does it")
    owner: Person = batch(task_assignee, "who does it, without fail")
    comments: list[Comment] = batch(task_comments, "comments")

    is_type_of = rows_of(TaskRow, "task")

    @strawberry.field
    def slug(self: Any, times: int = 1) -> str | None:
        if self.title == "boom":
            raise Fault("slug")
        return f"{self.title}-" * times

    @strawberry.field
    async def later(self: Any, info: strawberry.Info) -> str:
        await asyncio.sleep(0)
        if info.context.world.bend("Task.later", self.id, 1) != 1:
            raise Fault("later")
        return f"{self.title} later"


@strawberry.type
class Comment(Node):
    body: str = column("body", "the text")
    author: Person | None = batch(comment_author, "who wrote it")
    writer: Person = batch(comment_author, "who wrote it, without fail")
    task: Task = batch(comment_task, "the task")

    is_type_of = rows_of(CommentRow, "comment")


@strawberry.type
class Stats:
    count: int = attribute("how many")

    @strawberry.field
    def double(self) -> int:
        return self.count * 2

    @strawberry.field
    def spread(self, to: int = 2) -> list[Stats]:
        return [Stats(count=self.count + step) for step in range(to)]

    @strawberry.field
    def generated(self) -> list[int]:
        return (number for number in range(self.count))  # type: ignore[return-value]

    @strawberry.field
    def streamed(self) -> list[int]:
        async def stream() -> AsyncIterator[int]:
            for number in range(self.count):
                if number == 6:
                    raise Fault("the stream broke")
                yield number

        return stream()  # type: ignore[return-value]


@strawberry.type
class Crate:
    count: int = attribute("how many")


Thing = Annotated[Person | Task | Stats | Crate | Comment, strawberry.union("Thing")]


@strawberry.input
class Wish:
    name: str
    times: int = 1
    role: Role | None = None


# --- roots ---------------------------------------------------------------------------------------


async def query_people(info: BatchInfo, first: First = 4) -> Any:
    world = world_of(info)
    return bent(info, [None], [world.people[:first]])[0]


async def query_person(info: BatchInfo, number: Annotated[int, arg("which")] = 1) -> Any:
    return world_of(info).person(number)


async def query_things(info: BatchInfo, first: First = 5) -> Any:
    world = world_of(info)
    mixed: list[Any] = [
        world.tasks[1], world.people[2], Stats(count=3), world.comments[4], world.tasks[5], None
    ]  # fmt: skip
    return mixed[:first]


@dataclass
class Box:
    """Says itself what type it is to be."""

    count: int = 5
    title: str = "boxed"


async def query_odd_things(info: BatchInfo, cast: Annotated[bool, arg("which")] = False) -> Any:
    """Objects of one Python class and several types."""
    if cast:
        return [strawberry.cast(Stats, Box()), strawberry.cast(Crate, Box(count=6))]
    return [{"kind": "task"}, {"kind": "comment"}]


async def query_node(info: BatchInfo, id: Annotated[strawberry.ID, arg("which")]) -> Any:  # noqa: A002
    world = world_of(info)
    rows: tuple[Any, ...] = (*world.people, *world.tasks, *world.comments)
    return next((row for row in rows if row.id == id), None)


async def query_echo(info: BatchInfo, wish: Annotated[Wish, arg("what")]) -> str:
    return f"{wish.name} {wish.times} {wish.role}"


@strawberry.type
class Query:
    people: list[Person] = root(query_people, "people")
    maybe_people: list[Person | None] | None = root(query_people, "people, perhaps")
    person: Person | None = root(query_person, "one")
    someone: Person = root(query_person, "one, without fail")
    things: list[Thing | None] | None = root(query_things, "this and that")
    odd_things: list[Thing | None] | None = root(query_odd_things, "things that say what they are")
    node: Node | None = root(query_node, "anything")
    echo: str = root(query_echo, "what was said")

    @strawberry.field
    def stats(self, info: strawberry.Info, count: int = 3) -> Stats | None:
        return info.context.world.bend("Query.stats", count, Stats(count=count))  # type: ignore[no-any-return]

    @strawberry.field
    async def late_stats(self) -> list[Stats]:
        await asyncio.sleep(0)
        return [Stats(count=1), Stats(count=2)]

    @strawberry.field
    def hidden(self, info: strawberry.Info) -> str | None:
        return str(info.path.key)


@dataclass
class Written:
    log: list[str]


async def mutate_note(
    info: BatchInfo, text: Annotated[str, arg("what")], fail: Annotated[bool, arg("raise")] = False
) -> Any:
    log: list[str] = info.context.log  # type: ignore[attr-defined]
    log.append(f"begin {text}")
    await asyncio.sleep(0)
    if fail:
        raise Fault(f"note {text}")
    log.append(f"end {text}")
    return Written(list(log))


async def strict_notes(
    _: Sequence[Any],
    info: BatchInfo,
    text: Annotated[str, arg("what")],
    fail: Annotated[bool, arg("raise")] = False,
) -> list[Any]:
    return [await mutate_note(info, text, fail)]


async def note_person(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    info.context.log.append("person")  # type: ignore[attr-defined]
    return [world_of(info).people[0] for _ in parents]


@strawberry.type
class Note:
    log: list[str] = attribute("what happened until then")
    person: Person | None = batch(note_person, "somebody")


@strawberry.type
class Mutation:
    note: Note | None = root(mutate_note, "write it down")
    # Not a `root`, which would be nullable.
    strict_note: Note = batch(strict_notes, "write it down, without fail")


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def people_changed(self, info: strawberry.Info) -> AsyncIterator[Person]:
        for person in info.context.world.people[:3]:
            yield person


def make_schema() -> strawberry.Schema:
    """The schema, with the batch engine in the place of Strawberry's executor."""
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[Person, Task, Comment],
        config=StrawberryConfig(scalar_map=SCALARS),
    )
