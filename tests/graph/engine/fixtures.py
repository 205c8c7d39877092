"""One small company in a database of its own, and two copies of it: one for each engine.

What mutations do to one copy they do to the other, so that every answer can be compared, those of
all that comes after included. Both processes share a clock that stands still during an operation.
What is made by chance all the same (ids, tokens, and cursors, which hold ids) is compared by
*renaming*: wherever one engine's answers have one such text, the other's must have one and the same
text of theirs.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from app import create_app
from auth.request import RequestInfo
from auth.viewer import NOBODY, Viewer
from files.upload import Upload
from graph.core.context import Context, Services
from graph.core.executed import ErrorBehavior, Executed
from graph.engine import execute
from graph.engine.executor import planner_of
from graph.request.answer import Answer, Refused
from graph.request.execution import Executor
from graph.request.preparation import GraphQLRequest
from graph.schema import schema
from settings import Settings
from tests import uploads
from tests.accounts import Clock, Person
from tests.databases import copied_database, migrated_database
from tests.factories import ENGINES, Engine, World, gid
from tests.graph.engine.differential import assert_agree, read
from tests.graph.engine.operations import CorpusOperation, at

RENAME = """
    mutation ($input: AccountUpdateInput!) { accountUpdate(input: $input) { viewer { id } } }
"""
# Ids, cursors, tokens (long, and without a space), and signed addresses.
_CHANCE = re.compile(r"[a-z_]+_[0-9a-f]{32}|[\w.+/=-]{20,}|https://\S+&signature=\S+")


@dataclasses.dataclass(slots=True)
class Scene:
    """The company as it is at first. `names`: see `tests.graph.engine.operations`."""

    database: str
    names: dict[str, str]
    people: dict[str, Person]
    now: dt.datetime

    def viewer(self, name: str) -> Viewer:
        """Who asks."""
        return NOBODY if name == "nobody" else self.people[name].viewer


@asynccontextmanager
async def scene(settings: Settings) -> AsyncIterator[Scene]:
    """Build the company."""
    async with migrated_database(settings) as database:
        clock = Clock()
        app = create_app(settings.with_database(database.dsn), clock=clock)
        async with app.lifespan():
            world = World(app)
            made = await _Company(world, clock).build()
            await world.http.aclose()
        yield Scene(urlsplit(database.dsn).path[1:], *made, clock.now)


class Twin:
    """A process of the server on a copy, with one of the engines."""

    def __init__(self, engine: Engine, services: Services, names: Mapping[str, str]) -> None:
        self.engine = engine
        self.services = services
        self.names = dict(names)
        self.results: list[Executed] = []
        # Whether what it executes is written, from the first run on.
        self.serialized = False
        # What failures of fields do to the answers.
        self.on_error = ErrorBehavior.PROPAGATE
        self._execute = partial(execute, standard=engine == "standard")
        self._executor = Executor(schema, engine=self._caught)

    async def _caught(self, *arguments: Any, **options: Any) -> Executed:
        """Executors format errors for clients; the contract is about the errors themselves."""
        own = {"serialized": self.serialized, "on_error": self.on_error}
        result = await self._execute(*arguments, **{**options, **own})
        result.data = read(result.data) if self.serialized else result.data
        self.results.append(result)
        return result

    async def run(
        self, operation: CorpusOperation, viewer: Viewer, number: int
    ) -> tuple[list[Answer], list[Executed]]:
        """The operation's answers, and the results that they were made from."""
        self.results.clear()
        text, variables = operation.filled(self.names)
        request = RequestInfo(id=f"corpus{number:06}", ip="203.0.113.8", user_agent="tests/1")

        def fresh() -> Context:
            return self.services.context(viewer, request)

        async def current() -> Viewer:
            return viewer

        try:
            prepared = await self._executor.prepare(
                GraphQLRequest(query=text, variables=variables), request_id=request.id
            )
            if operation.kind == "subscription":
                stream = await self._executor.subscribe(prepared, fresh(), current)
                answers = await _first(stream, operation.deliveries)
            else:
                answers = [await self._executor.execute(prepared, fresh())]
        except Refused as refused:
            answers = [refused.answer]
        for name, path in operation.keep.items():
            self.names[name] = at(answers[0].data, path)
            assert isinstance(self.names[name], str), f"there is nothing at {path}"
        if operation.kind == "subscription":
            # Events that wait are executed together, also those that nobody takes any more.
            made = [
                result
                for answer in answers
                for result in self.results
                if result.data is answer.data
            ]
            return answers, made
        return answers, list(self.results)


async def _first(stream: AsyncGenerator[Answer, None], count: int) -> list[Answer]:
    answers: list[Answer] = []
    async with aclosing(stream):
        while len(answers) < count:
            answers.append(await anext(stream))
    return answers


class Twins:
    """Both engines, side by side."""

    def __init__(self, scene: Scene, twins: dict[Engine, Twin], clock: Clock) -> None:
        self.scene = scene
        self._twins = twins
        self._clock = clock
        self._number = 0
        self._names: dict[str, str] = {}

    @contextmanager
    def behaving(self, on_error: ErrorBehavior) -> Iterator[None]:
        """Execute with this `onError` for as long as the block lasts."""
        for twin in self._twins.values():
            twin.on_error = on_error
        try:
            yield
        finally:
            for twin in self._twins.values():
                twin.on_error = ErrorBehavior.PROPAGATE

    async def compare(self, operation: CorpusOperation, *, serialized: bool = True) -> list[Answer]:
        """Run it by both engines and hold them to the contract; the batch engine's answers.

        `serialized`: queries also as the batch engine writes them.
        """
        self._number += 1
        self._clock.forward(seconds=1)
        answers, results = await self._run("batch", operation)
        others, expected = await self._run("standard", operation)
        assert len(results) == len(expected)
        for result, other in zip(results, expected, strict=True):
            assert isinstance(result, Executed)
            assert result.engine == "batch" or _introspects(operation)
            data = _timeless(result.data)
            renamed = self._renamed(_timeless(other.data), data)
            assert_agree(
                dataclasses.replace(result, data=data),
                Executed(renamed, other.errors, "standard"),
            )
        if serialized and operation.kind == "query":
            await self._compare_written(operation, results)
        if not results:
            assert [_codes(answer) for answer in answers] == [_codes(other) for other in others]
        return answers

    async def _compare_written(self, operation: CorpusOperation, plain: list[Executed]) -> None:
        self._twins["batch"].serialized = True
        try:
            _, results = await self._run("batch", operation)
        finally:
            self._twins["batch"].serialized = False
        if not results:
            return  # The answer was remembered.
        for result, other in zip(results, plain, strict=True):
            assert_agree(
                dataclasses.replace(result, data=_timeless(result.data)),
                Executed(_timeless(read(other.data)), other.errors, "batch"),
            )

    async def alone(self, engine: Engine, operation: CorpusOperation) -> Answer:
        """The answer of one of them to a query."""
        (answer,), _ = await self._run(engine, operation)
        return answer

    async def _run(
        self, engine: Engine, operation: CorpusOperation
    ) -> tuple[list[Answer], list[Executed]]:
        viewer = self.scene.viewer(operation.person)
        return await self._twins[engine].run(operation, viewer, self._number)

    def _renamed(self, value: Any, model: Any) -> Any:
        """The standard engine's answer with the batch engine's ids, where these are consistent."""
        if isinstance(value, dict) and isinstance(model, dict):
            return {key: self._renamed(inner, model.get(key)) for key, inner in value.items()}
        if isinstance(value, list) and isinstance(model, list) and len(value) == len(model):
            return [self._renamed(*pair) for pair in zip(value, model, strict=True)]
        if not isinstance(value, str) or not isinstance(model, str) or value == model:
            return value
        if not (_CHANCE.fullmatch(value) and _CHANCE.fullmatch(model)):
            return value
        if value not in self._names and model not in self._names.values():
            self._names[value] = model
        return self._names.get(value, value)


@asynccontextmanager
async def twins(
    settings: Settings, scene: Scene, *, engines: Sequence[Engine] = ENGINES
) -> AsyncIterator[Twins]:
    """Two copies of the company, and a process on each. `engines`: only these."""
    clock = Clock()
    clock.now = scene.now
    planner = planner_of(schema._schema)
    made: dict[Engine, Twin] = {}
    async with AsyncExitStack() as stack:
        for engine in engines:
            own = await stack.enter_async_context(copied_database(settings, scene.database))
            app = create_app(settings.with_database(own.dsn), clock=clock)
            services = await stack.enter_async_context(app.lifespan())
            made[engine] = Twin(engine, services, scene.names)
        stack.callback(setattr, planner, "serialized_after", planner.serialized_after)
        planner.serialized_after = 0
        yield Twins(scene, made, clock)


def _timeless(data: Any) -> Any:
    """An answer without its `eventCursor`.

    That is the present of the whole PostgreSQL server: whatever other tests write moves it on.
    """
    if isinstance(data, dict) and isinstance(data.get("eventCursor"), str):
        return data | {"eventCursor": "now"}
    return data


def _introspects(operation: CorpusOperation) -> bool:
    return "__schema" in operation.text or "__type(" in operation.text


def _codes(answer: Answer) -> list[str]:
    return [error["extensions"]["code"] for error in answer.errors]


def codes(answer: Answer) -> set[str]:
    """All codes of an answer: at the top, in payloads, and in the items of bulk payloads."""
    return {*_codes(answer), *_inner_codes(answer.data)}


def _inner_codes(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_inner_codes, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(_inner_codes, value.values()))
    return found | {error["code"] for error in value.get("errors") or () if "code" in error}


class _Company:
    """Makes it by the API itself, one thing a minute."""

    def __init__(self, world: World, clock: Clock) -> None:
        self.world = world
        self.clock = clock
        self.names: dict[str, str] = {}
        self.people: dict[str, Person] = {}

    async def build(self) -> tuple[dict[str, str], dict[str, Person]]:
        await self._register()
        await self._projects()
        await self._tasks()
        await self._comments()
        await self._attachments()
        await self._trash()
        return self.names, self.people

    async def do(self, who: str, mutation: str, **values: Any) -> Any:
        """One mutation, which has to succeed; gives its payload."""
        self.clock.forward(minutes=1)
        kind = f"{mutation[0].upper()}{mutation[1:]}Input"
        below = {
            "project": "project { id key }",
            "task": "task { id identifier version }",
            "projectMember": "projectMember { id }",
            "comment": "comment { id version }",
            "taskShare": "taskShare { id }",
            "attachment": "attachment { id }",
        }
        noun = re.match(r"projectMember|taskShare|[a-z]+", mutation)
        assert noun is not None
        selection = "errors { message }" if "Delete" in mutation else below[noun[0]]
        text = (
            f"mutation ($input: {kind}!) {{ {mutation}(input: $input) "
            f"{{ errors {{ code message path }} {selection} }} }}"
        )
        reply = await self.world.run(text, self.people[who], input=values)
        return reply.good[mutation]

    async def _register(self) -> None:
        for name in ("ada", "ben", "cleo", "dan", "eve", "fay"):
            self.clock.forward(minutes=1)
            person = await self.world.person()
            person.username = f"{name}_of_corpus"
            profile = {"username": person.username, "fullName": f"Corpus {name.title()}"}
            assert (await self.world.run(RENAME, person, input=profile)).good
            self.people[name] = person
        self.people["root"] = await self.world.house.admin()
        for name, person in self.people.items():
            self.names[name] = gid(person)
            self.names[f"{name}.email"] = person.email
            assert person.viewer.session_id is not None
            self.names[f"{name}.session"] = f"session_{person.viewer.session_id.hex}"
            self.names[f"{name}.token"] = person.grant.refresh_token
            self.names[f"{name}.username"] = person.username
        nouns = "task project comment user share member session event attachment"
        for noun in nouns.split():
            self.names[f"no.{noun}"] = f"{noun}_018f3a1c5b7e7d3e8f00112233445566"
            self.names[f"new.{noun}"] = f"{noun}_018f3a1c5b7e7d3e8f00112233445577"

    async def _projects(self) -> None:
        for name, owner, values in (
            ("atlas", "ada", {"description": "The *map* of everything.", "color": "#336699"}),
            ("boreas", "ben", {"color": "#aa0000"}),
            ("chronos", "ada", {"description": "Archived."}),
            ("dunes", "ada", {}),
            ("empty", "ada", {}),
        ):
            payload = await self.do(
                owner, "projectCreate", name=f"Project {name}", key=name.upper(), **values
            )
            self.names[name] = payload["project"]["id"]
        for project, owner, who, role in (
            ("atlas", "ada", "ben", "ADMIN"),
            ("atlas", "ada", "cleo", "EDITOR"),
            ("atlas", "ada", "dan", "VIEWER"),
            ("boreas", "ben", "ada", "EDITOR"),
            ("chronos", "ada", "ben", "ADMIN"),
        ):
            payload = await self.do(
                owner,
                "projectMemberAdd",
                projectId=self.names[project],
                userId=self.names[who],
                role=role,
            )
            self.names[f"{project}.{who}"] = payload["projectMember"]["id"]

    async def _tasks(self) -> None:
        late = (self.clock.now - dt.timedelta(days=3)).isoformat()
        soon = (self.clock.now + dt.timedelta(days=3)).isoformat()
        today = self.clock.now.date().isoformat()
        for name, owner, project, values in (
            ("fix", "ada", "atlas", {"description": "It **must** work.", "notes": "Soon.",
             "priority": "HIGH", "due": {"at": late}, "startAt": late, "estimate": 90,
             "tags": ["bug", "Urgent care"], "assigneeId": self.names["cleo"]}),
            ("idea", "ada", "atlas", {"priority": "LOW", "due": {"at": soon}, "tags": ["Idea"]}),
            ("done", "cleo", "atlas", {"status": "COMPLETED", "tags": ["bug"]}),
            ("dropped", "ben", "atlas", {"status": "CANCELLED", "priority": "URGENT"}),
            ("allday", "ben", "atlas", {"due": {"on": today}, "assigneeId": self.names["ada"],
             "status": "IN_PROGRESS", "estimate": 30}),
            ("wind", "ben", "boreas", {"tags": ["bug", "storm"], "priority": "MEDIUM"}),
            ("rest", "ada", "chronos", {"assigneeId": self.names["ben"]}),
            ("errand", "ada", None, {"due": {"at": soon}, "notes": "Milk."}),
            ("secret", "eve", None, {}),
            ("scrap", "ada", "atlas", {}),
        ):  # fmt: skip
            new = {"title": f"The {name} task", **values}
            if project is not None:
                new["projectId"] = self.names[project]
            await self._task(name, owner, new)
        for name in ("part", "piece"):
            await self._task(name, "ada", {"title": name, "parentId": self.names["fix"]})
        await self._task("crumb", "ada", {"title": "crumb", "parentId": self.names["part"]})
        await self.do("ada", "taskComplete", id=self.names["piece"])
        for number in range(12):
            new = {"title": f"Row {number % 5}", "projectId": self.names["dunes"]}
            if number % 3:
                new["assigneeId"] = self.names["ada"]
            await self._task(f"row{number}", "ada", new)
        for name, owner, who, values in (
            ("fix", "ada", "eve", {"permission": "VIEW"}),
            ("errand", "ada", "dan", {"permission": "EDIT", "expiresAt": soon}),
            ("errand", "ada", "fay", {"permission": "VIEW"}),
            ("secret", "eve", "ada", {"permission": "EDIT"}),
        ):
            payload = await self.do(
                owner, "taskShareCreate", taskId=self.names[name], userId=self.names[who], **values
            )
            self.names[f"{name}.{who}"] = payload["taskShare"]["id"]

    async def _task(self, name: str, owner: str, values: dict[str, Any]) -> None:
        payload = await self.do(owner, "taskCreate", **values)
        self.names[name] = payload["task"]["id"]

    async def _comments(self) -> None:
        for name, who, task, values in (
            ("remark", "cleo", "fix", {"body": "What of `this`? @ada_of_corpus"}),
            ("answer", "ada", "fix", {"parentId": "remark", "body": "Nothing."}),
            ("retort", "cleo", "fix", {"parentId": "remark", "body": "Indeed @ben_of_corpus."}),
            ("opener", "ada", "fix", {"body": "To be deleted."}),
            ("orphan", "cleo", "fix", {"parentId": "opener", "body": "It stays."}),
            ("hint", "ben", "idea", {"body": "A **bold** idea"}),
            ("gust", "ada", "wind", {"body": "It blows."}),
        ):
            new = {**values, "taskId": self.names[task]}
            if "parentId" in new:
                new["parentId"] = self.names[new["parentId"]]
            payload = await self.do(who, "commentCreate", **new)
            self.names[name] = payload["comment"]["id"]
        for text in ("First thought", "Second thought"):
            await self.do("ada", "commentUpdate", id=self.names["answer"], body=text)
        await self.do("ada", "commentDelete", id=self.names["opener"])

    async def _attachments(self) -> None:
        for name, who, task, filename, data in (
            ("picture", "ada", "fix", "atlas.png", uploads.image()),
            ("sketch", "cleo", "fix", "sketch.gif", uploads.image("GIF")),
            ("memo", "ben", "idea", "memo.txt", b"An idea"),
        ):
            upload = Upload(filename, 100_000)
            await upload.write(data)
            values = {"taskId": self.names[task], "file": upload}
            payload = await self.do(who, "attachmentUpload", **values)
            upload.close()
            self.names[name] = payload["attachment"]["id"]

    async def _trash(self) -> None:
        await self.do("ada", "taskDelete", id=self.names["scrap"])
        await self.do("ada", "projectArchive", id=self.names["chronos"])
        payload = await self.do("ada", "projectCreate", name="Gone", key="GONE")
        self.names["gone"] = payload["project"]["id"]
        await self.do("ada", "projectDelete", id=self.names["gone"])
