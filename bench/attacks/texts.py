"""Hostile texts: every form of text in every position of the schema that accepts one.

Positions are found by walking the schema, so that a new field is included automatically. A request
goes through the whole application, without a socket in between. Measured is the longest time for
which it blocked the event loop, in seconds of processor time, which do not depend on other load.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from graphql import (
    GraphQLField,
    GraphQLInputType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_enum_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    is_required_argument,
    is_required_input_field,
)
from starlette.types import ASGIApp, Message

from app import create_app
from bench.target import Failed
from db import migrate
from db.embedded import EmbeddedPostgres
from settings import load_settings

# The placeholder for the text in a request.
HERE: Final = "HERE"
# The bytes that a body has for the text, besides its document.
SIZE: Final = 990_000
_VALUES: Final[dict[str, Any]] = {
    "String": "text",
    # A placeholder; `Position.body` replaces it with the id of an existing object.
    "ID": "ID",
    "Int": 1,
    "Float": 1.0,
    "Boolean": True,
    "DateTime": "2026-11-20T09:30:00Z",
    "Date": "2026-11-20",
    "JSON": {},
}


def _repeated(unit: str) -> Callable[[int], str]:
    """A function that repeats the unit up to a number of bytes of JSON."""
    length = len(json.dumps(unit, ensure_ascii=False).encode()) - 2
    return lambda size: unit * (size // length)


FORMS: Final[dict[str, Callable[[int], str]]] = {
    "letters": _repeated("a"),
    "combining marks": lambda size: "a" + _repeated("\u0301\u0316")(size - 1),
    "marks in marks": _repeated("\u0f73"),
    "short runs of marks": _repeated("a" + "\u0301" * 30),
    "brackets": _repeated("["),
    "links": _repeated("http://a."),
    "tables": _repeated("a|b\n-|-\n|\n"),
    "backslashes": _repeated("\\"),
    "quotes": _repeated('"'),
    "regular expressions": _repeated("(a+)+$"),
    "backslash at the end": lambda size: "a" * (size - 2) + "\\",
    "messages": _repeated("Did you mean found; "),
    "right to left": _repeated("\u202e\u05d0"),
    "words": _repeated("a "),
    "lines": _repeated("a,b;c \n"),
    "dots": _repeated("a."),
    "digits": _repeated("1"),
    "blanks": lambda size: " " * (size - 1) + "a",
    "emoji": _repeated("\U0001f468\u200d"),
}


@dataclass(frozen=True, slots=True)
class Position:
    """A position for a text: its name, and the request with `HERE` as the placeholder."""

    name: str
    query: str
    variables: dict[str, Any]

    def body(self, text: str, ids: Mapping[str, str]) -> bytes:
        """The request with the text. `ids`: ids of existing objects, by noun, since the server
        would refuse an unknown object before it examines a text.
        """
        variables = _with_ids(self.variables, self.query, ids)
        template = json.dumps({"query": self.query, "variables": variables})
        return template.replace(json.dumps(HERE), json.dumps(text, ensure_ascii=False)).encode()


def _with_ids(value: Any, noun: str, ids: Mapping[str, str]) -> Any:
    """The value with an id wherever one is needed: by the field's name, or the operation's."""
    if isinstance(value, dict):
        return {
            name: _with_ids(inner, name if name.endswith("Id") else noun, ids)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_with_ids(inner, noun, ids) for inner in value]
    if value != "ID":
        return value
    return next((id_ for of, id_ in ids.items() if of in noun), next(iter(ids.values())))


# --- finding them --------------------------------------------------------------------------------


def positions(schema: GraphQLSchema) -> list[Position]:
    """Every argument and input field whose value can be written as text, once."""
    seen: set[str] = set()
    found: list[Position] = []
    roots = {
        "query": schema.query_type,
        "mutation": schema.mutation_type,
        "subscription": schema.subscription_type,
    }
    for kind, root in roots.items():
        assert root is not None
        for name, field in root.fields.items():
            found += _of_field(_Asked(kind, (), root.name, name, field), seen)
    for path, type_ in _ways(schema):
        for name, field in type_.fields.items():
            found += _of_field(_Asked("query", path, type_.name, name, field), seen)
    return found


def _ways(schema: GraphQLSchema) -> Iterator[tuple[tuple[str, ...], GraphQLObjectType]]:
    """Each type below the root, with the shortest path to it that needs no argument."""
    assert schema.query_type is not None
    known = {schema.query_type.name}
    waiting: list[tuple[tuple[str, ...], GraphQLObjectType]] = [((), schema.query_type)]
    for path, type_ in waiting:
        # Lists first: a list contains objects, while a single object must be named.
        for name, field in sorted(type_.fields.items(), key=lambda one: "first" not in one[1].args):
            below = get_named_type(field.type)
            if not is_object_type(below) or below.name in known:
                continue
            if not any(is_required_argument(argument) for argument in field.args.values()):
                known.add(below.name)
                waiting.append(((*path, name), below))
                yield waiting[-1]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A field, and the path to it."""

    kind: str
    path: tuple[str, ...]
    parent: str
    name: str
    field: GraphQLField

    def operation(self, given: set[str]) -> str:
        """The operation that selects the field, with a variable for each of these arguments."""
        arguments = {one: self.field.args[one] for one in sorted(given)}
        declared = ", ".join(f"${one}: {argument.type}" for one, argument in arguments.items())
        passed = ", ".join(f"{one}: ${one}" for one in arguments)
        selected = ""
        named = get_named_type(self.field.type)
        if not is_leaf_type(named):
            fields = getattr(named, "fields", {})
            selected = " { errors { code message } }" if "errors" in fields else " { __typename }"
        body = f"{self.name}({passed}){selected}"
        for step in reversed(self.path):
            body = f"{step} {{ {body} }}"
        return f"{self.kind} ({declared}) {{ {body} }}"


def _of_field(asked: _Asked, seen: set[str]) -> Iterator[Position]:
    arguments = asked.field.args
    given = {
        name: _value(argument.type)
        for name, argument in arguments.items()
        if is_required_argument(argument)
    }
    for name, argument in arguments.items():
        place = f"{asked.parent}.{asked.name}({name})"
        for inner, value in _texts(place, argument.type, seen):
            query = asked.operation({*given, name})
            yield Position(inner, query, {**given, name: value})


def _texts(name: str, type_: GraphQLInputType, seen: set[str]) -> Iterator[tuple[str, Any]]:
    """The texts in a value: the name of each, and the smallest value that contains it."""
    if is_non_null_type(type_):
        yield from _texts(name, type_.of_type, seen)
    elif is_list_type(type_):
        for place, value in _texts(name, type_.of_type, seen):
            yield place, [value]
    elif is_input_object_type(type_):
        for field_name, field in type_.fields.items():
            place = f"{type_.name}.{field_name}"
            # All mutations have this field, and one function handles it.
            key = field_name if field_name == "idempotencyKey" else place
            if key in seen:
                continue
            seen.add(key)
            required = {} if type_.is_one_of else {
                other: _value(one.type)
                for other, one in type_.fields.items()
                if is_required_input_field(one)
            }  # fmt: skip
            for inner, value in _texts(place, field.type, seen):
                yield inner, {**required, field_name: value}
    elif get_named_type(type_).name != "Upload":
        yield name, HERE


def _value(type_: GraphQLInputType) -> Any:
    """The smallest value of a type."""
    if is_non_null_type(type_):
        return _value(type_.of_type)
    if is_list_type(type_):
        return [_value(type_.of_type)]
    if is_enum_type(type_):
        return next(iter(type_.values))
    if is_input_object_type(type_):
        if type_.is_one_of:
            name, field = next(iter(type_.fields.items()))
            return {name: _value(field.type)}
        return {
            name: _value(field.type)
            for name, field in type_.fields.items()
            if is_required_input_field(field)
        }
    return _VALUES.get(get_named_type(type_).name)


# --- measuring -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taken:
    """The cost of a request: seconds in total, and the longest time the loop was blocked."""

    status: int
    seconds: float
    pause: float
    answer: bytes


class Pauses:
    """Measures the longest time that the event loop was blocked, in seconds of processor time."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self.longest = 0.0

    async def __aenter__(self) -> Self:
        """Start measuring."""
        self._task = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Measure a last time."""
        assert self._task is not None
        await asyncio.sleep(0)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest, last = max(self.longest, now - last), now


async def send(
    app: ASGIApp,
    path: str,
    *,
    body: bytes = b"",
    method: str = "POST",
    query: bytes = b"",
    headers: dict[str, bytes] | None = None,
) -> Taken:
    """Send one request to the application, with its body in the chunks of a socket. The client
    leaves a stream after a second.
    """
    pieces = [body[start : start + 65_536] for start in range(0, len(body), 65_536)] or [b""]
    waiting = list(reversed(pieces))
    sent: list[Message] = []

    async def receive() -> Message:
        if not waiting:
            await asyncio.sleep(1)
            return {"type": "http.disconnect"}
        piece = waiting.pop()
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    async def answer(message: Message) -> None:
        sent.append(message)

    given = {"content-type": b"application/json", **(headers or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(name.encode(), value) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    begun = time.perf_counter()
    async with Pauses() as pauses:
        await app(scope, receive, answer)
    seconds = time.perf_counter() - begun
    text = b"".join(message.get("body", b"") for message in sent)
    return Taken(sent[0]["status"], seconds, pauses.longest, text)


# --- attacking -----------------------------------------------------------------------------------

_MADE: Final = {
    "comment": (
        'mutation ($task: ID!) { made: commentCreate(input: {taskId: $task, body: "x"}) '
        "{ made: comment { id } } }"
    ),
    "timeEntry": (
        'mutation { made: timeEntryCreate(input: {time: {day: {day: "2026-01-01", '
        "duration: 60}}}) { made: timeEntry { id } } }"
    ),
    "reminder": (
        "mutation ($task: ID!) { made: reminderCreate(input: {taskId: $task, channels: [IN_APP], "
        'rule: {once: {at: "2099-01-01T00:00:00Z"}}}) { made: reminder { id } } }'
    ),
    "webhook": (
        'mutation { made: webhookCreate(input: {url: "https://hooks.example.com/"}) '
        "{ made: webhook { id } } }"
    ),
}  # fmt: skip
_PROJECT: Final = (
    'mutation { made: projectCreate(input: {name: "Attacked"}) { made: project { id } } }'
)
_REGISTER: Final = (
    'mutation { userRegister(input: {username: "attacker", email: "attacker@example.com", '
    'password: "a stranger comes by"}) { accessToken } }'
)
_TASK: Final = (
    'mutation ($project: ID!) { made: taskCreate(input: {title: "x", projectId: $project}) '
    "{ made: task { id } } }"
)


class Attacker:
    """An attacker who is signed in and has one object of each kind."""

    def __init__(self, app: ASGIApp, authorization: str) -> None:
        self._app = app
        self._headers = {"authorization": authorization.encode()}
        self._ids: dict[str, str] = {}

    async def prepare(self) -> None:
        """Create the objects."""
        project = await self._made(_PROJECT)
        task = await self._made(_TASK, project=project)
        made = {"project": project, "task": task}
        for noun, query in _MADE.items():
            made[noun] = await self._made(query, **({"task": task} if "$task" in query else {}))
        # An operation begins with its noun, and the name of an id contains it; longest noun first.
        for noun in sorted(made, key=len, reverse=True):
            self._ids[noun] = self._ids[noun[0].upper() + noun[1:]] = made[noun]

    async def _made(self, query: str, **variables: str) -> str:
        body = json.dumps({"query": query, "variables": variables}).encode()
        answer = json.loads(
            (await send(self._app, "/graphql", body=body, headers=self._headers)).answer
        )
        try:
            id_: str = answer["data"]["made"]["made"]["id"]
        except (KeyError, TypeError):
            raise Failed(f"{query}: {answer}") from None
        return id_

    async def attack(self, position: Position, text: str) -> Taken:
        """Send the text in this position. Raises `Failed` if that causes an internal error."""
        body = position.body(text, self._ids)
        accept = b"text/event-stream" if position.query.startswith("subscription") else b"*/*"
        headers = {**self._headers, "accept": accept}
        taken = await send(self._app, "/graphql", body=body, headers=headers)
        if taken.status >= 500 or b"INTERNAL_SERVER_ERROR" in taken.answer:
            raise Failed(f"{position.name}: {taken.answer[:300]!r}")
        return taken


async def attack_with_texts(environment: Mapping[str, str], only: str = "") -> None:
    """Print for each position the form that blocked the loop longest, and the longest request."""
    with EmbeddedPostgres.temporary() as database, tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            {
                **environment,
                "DATABASE_URL": database.dsn(),
                "TASKLOOM_STORAGE_URL": Path(folder).as_uri(),
                "TASKLOOM_LIMIT_COST_BUDGET": "1000000000",
            },
            env_file=None,
        )
        await migrate.upgrade(settings.database)
        app = create_app(settings)
        async with app.lifespan():
            registered = await send(app, "/graphql", body=json.dumps({"query": _REGISTER}).encode())
            token = json.loads(registered.answer)["data"]["userRegister"]["accessToken"]
            attacker = Attacker(app, f"Bearer {token}")
            await attacker.prepare()
            print(f"{'loop ms':>9}{'ms':>9}  position, form of the text")
            for position in positions(app.runtime.executor.schema):
                if only in position.name:
                    await _print_worst(attacker, position)


async def _print_worst(attacker: Attacker, position: Position) -> None:
    taken = {name: await attacker.attack(position, form(SIZE)) for name, form in FORMS.items()}
    worst = max(taken, key=lambda name: taken[name].pause)
    longest = max(one.seconds for one in taken.values())
    milliseconds = f"{1000 * taken[worst].pause:9.1f}{1000 * longest:9.1f}"
    print(f"{milliseconds}  {position.name}, {worst}", flush=True)
