"""The TypeScript client against a server of its own: expired tokens, a SIGKILL, a restart.

Programs in `clients/typescript/tests` use the client and the libraries it has adapters for. They
run in Node.js, and say in JSON what they see; what should be seen is decided here.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import json
import os
import random
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from standardwebhooks import Webhook

from db.base import new_id
from events.cursor import Cursor
from graph.core.context import utc_now
from scripts.build_npm import npm_command
from tests.accounts import PASSWORD, House, Person
from tests.clients.conftest import Server
from tests.factories import World, gid

FOLDER = Path(__file__).resolve().parents[2] / "clients" / "typescript"
LISTENERS = ["websocket", "sse", "apollo", "urql", "relay"]
LONG = 120


class Program:
    """A program of `clients/typescript/tests/programs.ts` that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def say(self, value: Any) -> None:
        """Tell it something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value).encode() + b"\n")
        await self._process.stdin.drain()

    async def hear(self) -> Any:
        """What it says next."""
        assert self._process.stdout is not None
        async with asyncio.timeout(LONG):
            line = await self._process.stdout.readline()
        assert line, "the program has ended; what it printed is above"
        return json.loads(line)


@functools.cache
def node() -> list[str]:
    """How to run Node.js, after the programs were compiled like those of a user."""
    if not (FOLDER / "dist").exists():
        pytest.skip("The TypeScript client is not built: make test builds it from npm.")
    _, environment = npm_command()
    found = shutil.which("node", path=environment["PATH"])
    assert found is not None
    for tool in (["graphql-codegen", "--config", "tests/codegen.ts"], ["tsc", "-p", "tests"]):
        command = [found, str(FOLDER / "node_modules" / ".bin" / tool[0]), *tool[1:]]
        done = subprocess.run(
            command, cwd=FOLDER, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return [found]


@contextlib.asynccontextmanager
async def program(name: str, server: Server, *told: Any) -> AsyncIterator[Program]:
    """Start a program, and tell it something."""
    command = await asyncio.to_thread(node)
    process = await asyncio.create_subprocess_exec(
        *command,
        str(FOLDER / "tests" / "build" / "programs.js"),
        name,
        env={**os.environ, "SERVER": server.url},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    made = Program(process)
    try:
        for value in told:
            await made.say(value)
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def tokens_of(person: Person) -> dict[str, str]:
    return {
        "accessToken": person.grant.access_token,
        "refreshToken": person.grant.refresh_token,
    }


def test_the_generated_types_are_those_of_the_schema() -> None:
    node()

    def types(folder: Path) -> str:
        return (folder / "graphql.ts").read_text(encoding="utf-8")

    fresh = FOLDER / "tests" / "generated"
    client = types(fresh / "client").replace("@graphql-typed-document-node/core", "../documents.ts")
    assert types(FOLDER / "src" / "generated") == client, "run `make client-types`"
    board = FOLDER.parent / "board" / "src" / "generated"
    assert types(board) == types(fresh / "board"), "run `make client-types`"


async def test_reading_changing_and_uploading(server: Server, ada: Person) -> None:
    told = {"login": ada.username, "password": PASSWORD, "missing": f"task_{uuid4().hex}"}
    async with program("requests", server, told) as running:
        said = await running.hear()
        titles = [f"task {number}" for number in range(5)]
        assert said["titles"] == [*titles, *titles[3:]]
        assert said["wrong"] == "INVALID_CREDENTIALS"
        assert said["conflict"] == ["theirs", ["title"]]
        assert said["notFound"]["origin"] == "request"
        assert said["notFound"]["path"] == ["task"]
        assert sorted(said["invalid"]) == [["input", "estimate"], ["input", "title"]]
        assert said["invalidDocument"] == "GRAPHQL_VALIDATION_FAILED"
        said = await running.hear()
        size = 2_200_000
        assert said["attachment"]["byteSize"] == size
        assert said["steps"] == sorted(said["steps"])
        assert len(said["steps"]) > 3
        assert said["steps"][-1] == size
        assert said["aborted"] == "AbortError"
        assert said["refused"] == "FILE_TYPE_MISMATCH"
        assert await running.hear() == {"signedIn": False, "after": True}


async def test_subscriptions_begin_without_a_cursor(server: Server, ada: Person) -> None:
    """An export with its latest change; a timer also for a key that may not see other events."""
    create = (
        'mutation { apiKeyCreate(input: {name: "timer", scopes: [TIME_READ, TIME_WRITE]}) '
        "{ secret } }"
    )
    headers = {"Authorization": f"Bearer {ada.grant.access_token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        made = await http.post("/graphql", json={"query": create})
    key = made.json()["data"]["apiKeyCreate"]["secret"]
    async with program("firsts", server, {"tokens": tokens_of(ada), "key": key}) as running:
        assert await running.hear() is True
        assert await running.hear() is True


async def test_an_expired_token_is_renewed_once_for_all_requests(
    server: Server, expired: Person
) -> None:
    async with program("expired", server, {"tokens": tokens_of(expired)}) as running:
        assert await running.hear() == {"names": [expired.username] * 8, "writes": 1}


async def test_two_programs_renew_one_session(
    server: Server, expired: Person, tmp_path: Path
) -> None:
    """At once, with the tokens in a file."""
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps(tokens_of(expired)), encoding="utf-8")
    told = {"file": str(file)}
    async with program("shared", server, told) as one, program("shared", server, told) as other:
        assert [await one.hear(), await other.hear()] == ["ready", "ready"]
        await asyncio.gather(one.say("ask"), other.say("ask"))
        said = list(await asyncio.gather(one.hear(), other.hear()))
        assert said == [{"name": expired.username, "ended": []}] * 2
    stored = json.loads(file.read_text(encoding="utf-8"))
    assert stored["refreshToken"] != expired.grant.refresh_token
    async with httpx.AsyncClient() as http:
        reply = await http.post(
            f"{server.url}/graphql",
            json={"query": "{ viewer { user { username } } }"},
            headers={"Authorization": f"Bearer {stored['accessToken']}"},
        )
    assert reply.json()["data"]["viewer"]["user"]["username"] == expired.username


async def test_a_lost_answer_changes_nothing_twice(server: Server, ada: Person) -> None:
    """The server is killed among forty creates, and started again."""
    told = {"login": ada.username, "password": PASSWORD}
    async with program("creating", server, told) as running:
        acknowledged = [await running.hear()]
        server.kill()
        await asyncio.to_thread(server.start)
        acknowledged += [await running.hear() for _ in range(39)]
        found = (await running.hear())["found"]
    assert sorted(id_ for id_, _ in found) == sorted(acknowledged)
    assert len({title for _, title in found}) == 40


async def test_streams_continue_after_everything(
    server: Server, expiring: Person, world: World
) -> None:
    """While tasks are created, the token expires and the server is killed."""
    titles = [f"task {number}" for number in range(24)]
    told = {
        "tokens": tokens_of(expiring),
        "count": len(titles),
        "names": [*LISTENERS, "plain"],
        "late": "late",
    }
    async with program("streams", server, told) as running:
        assert await running.hear() == "listening"
        for number, title in enumerate(titles):
            await world.task(expiring, title)
            await asyncio.sleep(0.25)
            if number == 15:
                server.kill()
            if number == 17:
                await asyncio.to_thread(server.start)
        hearing = asyncio.create_task(running.hear())
        while not (await asyncio.wait([hearing], timeout=1))[0]:
            # Those that were interrupted without a cursor see one of these.
            await world.task(expiring, "late")
        said = await hearing
    plain = said["results"].pop("plain")["seen"]
    assert plain == [*(title for title in titles if title in plain), "late"]
    assert said["results"] == {name: {"seen": titles, "error": None} for name in LISTENERS}
    assert said["writes"] == 1


async def test_a_cursor_of_another_epoch_has_expired(server: Server, ada: Person) -> None:
    cursor = str(Cursor(uuid4(), 1, 1))
    told = {"tokens": tokens_of(ada), "cursor": cursor, "count": 1, "names": LISTENERS}
    async with program("streams", server, told) as running:
        assert await running.hear() == "listening"
        said = await running.hear()
    assert said["results"] == {
        name: {"seen": [], "error": "CursorExpiredError"} for name in LISTENERS
    }


async def test_libraries_read_and_change(server: Server, ada: Person) -> None:
    async with program("libraries", server, {"tokens": tokens_of(ada)}) as running:
        assert await running.hear() == {
            "apollo": ["new", 1, "CombinedGraphQLErrors"],
            "urql": ["new", 2, 1],
            "relay": ada.username,
        }


async def test_lost_answers_and_busy_servers(server: Server, ada: Person) -> None:
    """Through a proxy that loses answers, cuts connections, and says when to come back."""
    async with program("faults", server, {"tokens": tokens_of(ada)}) as running:
        said = await running.hear()
    assert said["first"].pop("waited") >= 1000
    assert said == {
        "first": {"title": "once", "seen": ["busy", "lose", "pass"]},
        "second": {"unavailable": True, "seen": ["lose"]},
        "third": {"titles": ["once", "perhaps"], "seen": ["cut", "cut", "pass"]},
        "aborted": "AbortError",
        "codes": ["UNAVAILABLE", "UNAVAILABLE"],
        "fourth": {"code": "RATE_LIMITED", "retryAfter": 3000, "seen": ["full"]},
    }


async def test_a_renewal_that_meets_something_else(
    server: Server, expired: Person, house: House
) -> None:
    """A limit, somebody who signs out, somebody else who signs in."""
    sessions = [tokens_of(expired)]
    for _ in range(2):
        expired.grant = await house.login(expired)
        sessions.append(tokens_of(expired))
    house.clock.forward(seconds=1 + house.settings.auth.access_token_seconds)
    other = await house.person()
    told = {"expired": sessions, "other": {"login": other.username, "password": PASSWORD}}
    async with program("renewing", server, told) as running:
        assert await running.hear() == {
            "first": {"code": "RATE_LIMITED", "isSignedIn": True},
            "second": {"ended": True, "isSignedIn": False},
            "third": {"ended": True, "name": other.username},
            "soon": "RATE_LIMITED",
            "keys": [False, True],
        }


async def test_streams_go_on_with_other_rights_and_as_another_user(
    server: Server, ada: Person, house: House
) -> None:
    admin, other = await house.admin(), await house.person()
    told = {
        "tokens": tokens_of(ada),
        "admin": tokens_of(admin),
        "user": f"user_{ada.id.hex}",
        "other": {"login": other.username, "password": PASSWORD},
    }
    async with program("rights", server, told) as running:
        titles = ["before", "with other rights", "as another user"]
        assert await running.hear() == [titles, titles]


async def test_one_socket_too_many_waits(server: Server, ada: Person) -> None:
    async with program("crowd", server, {"tokens": tokens_of(ada)}) as running:
        assert await running.hear() == {
            "statuses": ["waiting", "connected"],
            "title": "seen by all",
        }


async def test_edits_of_a_list(server: Server) -> None:
    async with program("edits", server) as running:
        assert await running.hear() == []


OPEN = {"isOpen": True}


class Story:
    """Random changes of a project's tasks, made by its owner over HTTP."""

    def __init__(
        self, http: httpx.AsyncClient, owner: Person, project: str, other: str, seed: int
    ) -> None:
        self._http = http
        self._owner = owner
        self._project, self._other = project, other
        self._random = random.Random(seed)
        self._tasks: list[str] = []
        self._deleted: list[str] = []

    async def begin(self, count: int) -> None:
        """Make the tasks that are there at the beginning."""
        for _ in range(count):
            await self._create()

    async def marker(self, title: str) -> None:
        """A task that is in every list, or behind its last page."""
        await self._do("taskCreate", "task { id }", title=title, **self._at_home)

    async def step(self) -> None:
        """One change."""
        steps = [self._create, self._update, self._update, self._assign, self._move, self._move]
        steps += [self._delete, self._restore, self._comment, self._leave]
        await self._random.choice(steps)()

    async def lists(self, filter_: Any, order: Any) -> list[Any]:
        """What the server lists."""
        query = (
            "query ($filter: TaskFilter, $order: [TaskOrder!]) "
            "{ tasks(filter: $filter, orderBy: $order, first: 100) { nodes { id version title "
            "status priority dueAt createdAt position tags commentCount assignee { username } } } }"
        )
        data = await self._post(query, filter=filter_, order=order)
        nodes: list[Any] = data["tasks"]["nodes"]
        return nodes

    @property
    def _at_home(self) -> dict[str, str]:
        return {"projectId": self._project, "assigneeId": gid(self._owner)}

    async def _create(self) -> None:
        home = self._at_home if self._random.random() < 0.8 else {"projectId": self._project}
        payload = await self._do(
            "taskCreate", "task { id }", title=self._title(), priority=self._priority(), **home
        )
        self._tasks.append(payload["task"]["id"])

    async def _update(self) -> None:
        # The due times have fractions of seconds, or none.
        due = f"2027-01-01T00:00:{self._random.choice(['00', '00.5', '00.25', '01'])}Z"
        values: dict[str, Any] = {
            "title": self._title(),
            "priority": self._priority(),
            "status": self._random.choice(["TODO", "IN_PROGRESS", "COMPLETED", "CANCELLED"]),
            "due": self._random.choice([{"at": due}, None]),
            "tags": self._random.sample(["a", "b", "c"], 2),
        }
        name = self._random.choice(sorted(values))
        await self._do("taskUpdate", id=self._task(), **{name: values[name]})

    async def _assign(self) -> None:
        assignee = self._random.choice([gid(self._owner), None])
        await self._do("taskUpdate", id=self._task(), assigneeId=assignee)

    async def _move(self) -> None:
        place = {self._random.choice(["before", "after"]): self._task()}
        await self._do("taskMove", id=self._task(), place=place)

    async def _leave(self) -> None:
        """To the other project, or back from it."""
        home = self._random.choice([self._project, self._other])
        await self._do("taskMove", id=self._task(), projectId=home)

    async def _delete(self) -> None:
        task = self._task()
        await self._do("taskDelete", id=task)
        self._tasks.remove(task)
        self._deleted.append(task)

    async def _restore(self) -> None:
        if self._deleted:
            task = self._deleted.pop()
            await self._do("taskRestore", id=task)
            self._tasks.append(task)

    async def _comment(self) -> None:
        await self._do("commentCreate", taskId=self._task(), body="A word.")

    async def _do(self, mutation: str, selection: str = "", **input_: Any) -> Any:
        kind = mutation[0].upper() + mutation[1:]
        query = (
            f"mutation ($input: {kind}Input!) "
            f"{{ {mutation}(input: $input) {{ {selection} errors {{ code path message }} }} }}"
        )
        payload = (await self._post(query, input=input_))[mutation]
        # A task cannot be moved beside itself, or beside one of another project.
        codes = {error["code"] for error in payload["errors"]}
        assert codes <= {"BAD_USER_INPUT", "NOT_FOUND"}, payload
        return payload

    async def _post(self, query: str, **variables: Any) -> Any:
        headers = {"Authorization": self._owner.header}
        body = {"query": query, "variables": variables}
        answer = (await self._http.post("/graphql", json=body, headers=headers)).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def _task(self) -> str:
        return self._random.choice(self._tasks)

    def _title(self) -> str:
        return (
            "".join(self._random.choices("aAbBzZäÄéßøŁ 1_-ς中🙂", k=self._random.randint(1, 3)))
            + "."
        )

    def _priority(self) -> str:
        return self._random.choice(["NONE", "LOW", "MEDIUM", "HIGH", "URGENT"])


async def test_lists_follow_a_story_of_changes(server: Server, ada: Person, world: World) -> None:
    """The server's own list, read after every few changes, is what each list must show: its pages,
    down to the last one that was read.
    """
    project, other = [await world.project(ada) for _ in range(2)]
    seed = int(os.environ.get("STORY", "1"))
    here = {"project": {"id": {"eq": gid(project)}}}
    wanted: list[dict[str, Any]] = [
        {"filter": here, "order": [{"position": "ASC"}], "first": 100},
        {"filter": {**here, **OPEN}, "order": [{"title": "ASC"}], "first": 5},
        # Its cursor has expired, so it reads again.
        {
            "filter": here,
            "order": [{"priority": "DESC"}, {"title": "DESC"}],
            "first": 6,
            "cursor": str(Cursor(uuid4(), 1, 1)),
        },
        {"filter": here, "order": [{"dueAt": "ASC"}, {"createdAt": "DESC"}], "first": 4},
        {
            "filter": {**here, "assignee": {"isMe": True}},
            "order": [{"status": "ASC"}, {"dueAt": "DESC_NULLS_FIRST"}],
            "first": 7,
        },
    ]
    choices = random.Random(seed)
    sizes = set()
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=LONG) as http,
        program("lists", server, {"tokens": tokens_of(ada)}) as running,
    ):
        story = Story(http, ada, gid(project), gid(other), seed)
        await story.begin(25)
        await running.say(wanted)
        assert await running.hear() == "ready"

        async def tell(said: str, **more: Any) -> None:
            await running.say({"said": said, **more})

        for number in range(1, 121):
            await story.step()
            if number % 5 == 0:
                await tell("more", list=choices.randrange(len(wanted)))
                assert await running.hear() == "ready"
            if number % 4 == 0:
                breaks = choices.choice([None, None, "conflict", "input"])
                title, chosen = f"changed {number}", choices.randrange(len(wanted))
                await tell("change", list=chosen, title=title, breaks=breaks)
                assert await running.hear() == "ready"
            if number % 30 == 0:
                # The marker is the last change of all.
                await tell("settle")
                assert await running.hear() == "ready"
                await story.marker(f"marker {number}")
                await tell("compare", marker=f"marker {number}")
                said = await running.hear()
                assert await running.hear() == "ready"
                assert said["flaws"] == []
                for one, shown in zip(wanted, said["lists"], strict=True):
                    nodes = await story.lists(one["filter"], one["order"])
                    assert shown["error"] is None
                    assert shown["items"]
                    sizes.add(shown["hasNextPage"])
                    size = len(shown["items"]) if shown["hasNextPage"] else len(nodes)
                    assert shown["items"] == nodes[:size], (number, one["order"])
        await tell("end")
    assert sizes == {True, False}


async def test_webhooks_are_verified(server: Server) -> None:
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    id_, body, now = str(new_id(utc_now())), b'{"kind":"TASK_CREATED"}', utc_now()
    headers = {
        "Webhook-Id": id_,
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": "v1,bm8= " + Webhook(secret).sign(id_, now, body.decode()),
    }
    good, bad = {"json": {"kind": "TASK_CREATED"}}, {"error": "WebhookError"}
    async with program("webhooks", server) as running:
        for secrets, given, content, at, said in (
            (secret, headers, body, None, good),
            ([other, secret], headers, body, None, good),
            (other, headers, body, None, bad),
            (secret, headers, body + b" ", None, bad),
            (secret, headers, body, now.timestamp() + 301, bad),
            (secret, {**headers, "Webhook-Id": "another"}, body, None, bad),
            (secret, {**headers, "Webhook-Signature": "v1,%%%"}, body, None, bad),
            (secret, {}, body, None, bad),
        ):
            encoded = base64.b64encode(content).decode()
            await running.say({"secrets": secrets, "headers": given, "body": encoded, "now": at})
            assert await running.hear() == said
