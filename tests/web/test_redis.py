"""What operations wait for of Redis, and that answers are right whatever becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app import create_app
from auth.viewer import Viewer
from db import models, redis
from graph.core import ids
from graph.request.preparation import GraphQLRequest
from settings import Settings, load_settings
from tests import servers
from tests.accounts import Person
from tests.factories import World, gid, world_of

CREATE: Final = """
mutation ($t: String!, $p: ID!) {
  taskCreate(input: {title: $t, projectId: $p}) { task { id } errors { code } }
}
"""
STATS: Final = "query ($p: ID!) { project(id: $p) { stats { total } } taskStats { total } }"
COUNTS: Final = """
query ($p: ID!) { project(id: $p) { stats { total completed } } taskStats { total completed } }
"""
PROJECT: Final = """
mutation { projectCreate(input: {name: "Gates"}) { project { id } errors { code } } }
"""
DONE: Final = """
mutation ($id: ID!) { taskUpdate(input: {id: $id, status: COMPLETED}) { errors { code } } }
"""
DELETE: Final = "mutation ($id: ID!) { taskDelete(input: {id: $id}) { errors { code } } }"
RESTORE: Final = "mutation ($id: ID!) { taskRestore(input: {id: $id}) { errors { code } } }"
MOVE: Final = """
mutation ($id: ID!) { taskMove(input: {id: $id, projectId: null}) { errors { code } } }
"""
REVOKE: Final = "mutation ($id: ID!) { sessionRevoke(input: {id: $id}) { errors { code } } }"
LISTEN: Final = "subscription { taskEvents { id } }"
ME: Final = "{ viewer { user { id } } }"

pytestmark = pytest.mark.redis


class Line:
    """A connection to Redis that counts what is sent, and can be frozen and cut."""

    def __init__(self, redis: str, path: Path) -> None:
        self.url = f"unix://{path}"
        self.sent: list[bytes] = []
        self._redis = redis.removeprefix("unix://")
        self._path = path
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._accept, self._path)

    async def cut(self) -> None:
        """End all connections, and accept none."""
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    def freeze(self) -> None:
        self._open.clear()

    def thaw(self) -> None:
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            there, back = await asyncio.open_unix_connection(self._redis)
            await asyncio.gather(
                self._copy(reader, back, self.sent.append), self._copy(there, writer, None)
            )
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(UnboundLocalError):
                back.close()

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        note: Callable[[bytes], None] | None,
    ) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            if note is not None:
                note(data)
            writer.write(data)
        writer.close()


class Two:
    """Two processes of a server, each with its own line to the same Redis."""

    def __init__(self, lines: list[Line], worlds: list[World]) -> None:
        self.lines = lines
        self.one, self.two = worlds


@pytest.fixture
async def both(settings: Settings, redis_url: str) -> AsyncIterator[Two]:
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="taskloom-line-")))
        prefix = f"t{secrets.token_hex(4)}:"
        lines, worlds = [], []
        for number in range(2):
            line = Line(redis_url, folder / str(number))
            await line.start()
            stack.push_async_callback(line.cut)
            redis = settings.redis.model_copy(update={"url": line.url, "prefix": prefix})
            limits = load_settings({"DATABASE_URL": "postgres://nowhere/x"}, env_file=None).limits
            own = settings.model_copy(update={"redis": redis, "limits": limits})
            app = create_app(own)
            services = await stack.enter_async_context(app.lifespan())
            await until(services.bus.ready)
            worlds.append(await stack.enter_async_context(world_of(app)))
            lines.append(line)
        yield Two(lines, worlds)
        for line in lines:
            line.thaw()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)


async def ask(world: World, person: Person, query: str, **variables: Any) -> dict[str, Any]:
    """Over HTTP: with the budget, and with the session as the process knows it."""
    reply = await world.http.post(
        "/graphql",
        json={"query": query, "variables": variables},
        headers={"Authorization": person.header},
    )
    answer: dict[str, Any] = reply.json()
    return answer


async def test_a_warm_read_waits_for_no_answer_of_redis(both: Two) -> None:
    ada = await both.one.person()
    line = both.lines[0]
    await ask(both.one, ada, ME)
    line.sent.clear()
    began = time.monotonic()
    for _ in range(40):
        assert "errors" not in await ask(both.one, ada, ME)
    tenths = (time.monotonic() - began) * 10
    # What was charged is sent at most ten times a second, however many operations there are.
    assert len(line.sent) <= tenths + 2
    await until(lambda: _spent(both, ada, 41))


async def _spent(both: Two, person: Person, points: int) -> bool:
    """Whether the other process knows what was charged. It is charged 1 for each question too."""
    reply = await ask(both.two, person, "{ rateLimit { remaining limit } }")
    left = reply["data"]["rateLimit"]
    spent: bool = left["limit"] - left["remaining"] >= points
    return spent


async def test_a_create_waits_for_one_answer(both: Two) -> None:
    ada = await both.one.person()
    project = await both.one.project(ada)
    variables = {"t": "one", "p": gid(project)}
    await ask(both.one, ada, CREATE, **variables)
    await asyncio.sleep(0.3)
    line = both.lines[0]
    line.sent.clear()
    await ask(both.one, ada, CREATE, **variables)
    await asyncio.sleep(0.3)
    # The limit of new tasks; after the answer, the news of the log (and a wake of the worker), and
    # what was charged.
    counted = [sent for sent in line.sent if b"EVALSHA" in sent]
    assert len(counted) == 1
    assert 2 <= len(line.sent) <= 4
    known = (b"EVALSHA", b"PUBLISH", b"INCRBY")
    assert all(any(word in sent for word in known) for sent in line.sent)


async def test_a_delivery_asks_redis_nothing(both: Two) -> None:
    ada = await both.one.person()
    project = await both.one.project(ada)
    news: asyncio.Queue[Any] = asyncio.Queue()

    executor, context = both.two.executors["batch"], both.two.context(ada)

    async def current() -> Viewer:
        return context.viewer

    async def listen() -> None:
        prepared = await executor.prepare(GraphQLRequest(query=LISTEN), request_id="listening")
        stream = await executor.subscribe(prepared, context, current)
        async with contextlib.aclosing(stream) as answers:
            async for answer in answers:
                news.put_nowait(answer)

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.5)
    both.lines[1].sent.clear()
    await ask(both.one, ada, CREATE, t="one", p=gid(project))
    async with asyncio.timeout(10):
        assert (await news.get()).values is not None
    listening.cancel()
    assert not [sent for sent in both.lines[1].sent if b"PING" not in sent]


async def test_a_session_that_ended_in_one_process_is_refused_in_the_other(both: Two) -> None:
    for _ in range(20):
        ada = await both.one.person()
        session_id = ada.viewer.session_id
        assert session_id is not None
        session = ids.encode(models.Session, session_id)
        assert "errors" not in await ask(both.two, ada, ME)
        await ask(both.one, ada, REVOKE, id=session)
        refused = await ask(both.two, ada, ME)
        assert refused["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("state", ["frozen", "away"])
async def test_answers_are_right_without_redis(both: Two, state: str) -> None:
    ada = await both.one.person()
    project = await both.one.project(ada)
    variables = {"p": gid(project)}
    await ask(both.one, ada, STATS, **variables)
    for line in both.lines:
        if state == "frozen":
            line.freeze()
        else:
            await line.cut()
    for number in range(3):
        # Only the first may wait until it is known that Redis does not answer.
        async with asyncio.timeout(8):
            created = await ask(both.one, ada, CREATE, t=f"{number}", **variables)
        assert created["data"]["taskCreate"]["errors"] == []
        for world in (both.one, both.two):
            read = await ask(world, ada, STATS, **variables)
            assert read["data"]["project"]["stats"]["total"] == number + 1
            assert read["data"]["taskStats"]["total"] == number + 1
    began = time.monotonic()
    for _ in range(20):
        await ask(both.one, ada, ME)
    # None of them waited for the timeout of a second.
    assert time.monotonic() - began < 15
    for line in both.lines:
        if state == "frozen":
            line.thaw()
        else:
            await line.start()
    for world in (both.one, both.two):
        await until(world.services.bus.ready)
    created = await ask(both.one, ada, CREATE, t="last", **variables)
    read = await ask(both.two, ada, STATS, **variables)
    assert read["data"]["taskStats"]["total"] == 4


async def test_two_processes(settings: Settings, redis_url: str) -> None:
    """The same with processes of their own."""
    async with httpx.AsyncClient(timeout=30) as client:
        with contextlib.ExitStack() as stack:
            one, two = (
                stack.enter_context(servers.process(settings, REDIS_URL=redis_url))[0]
                for _ in range(2)
            )

            async def sent(url: str, query: str, token: str | None, **variables: Any) -> Any:
                headers = {} if token is None else {"Authorization": f"Bearer {token}"}
                body = {"query": query, "variables": variables}
                return (await client.post(f"{url}/graphql", json=body, headers=headers)).json()

            name = f"u{secrets.token_hex(5)}"
            register = """
            mutation ($n: String!, $m: String!) { userRegister(input: {
              username: $n, email: $m, password: "correct horse 4 you"}) {
              accessToken errors { message } } }
            """
            made = await sent(one, register, None, n=name, m=f"{name}@example.com")
            token = made["data"]["userRegister"]["accessToken"]
            made = await sent(one, PROJECT, token)
            project = made["data"]["projectCreate"]["project"]["id"]
            where, other = one, two

            async def write(mutation: str, **variables: Any) -> Any:
                """Write in one process, next time in the other."""
                nonlocal where, other
                where, other = other, where
                (payload,) = (await sent(where, mutation, token, **variables))["data"].values()
                assert not payload["errors"]
                return payload

            async def counted() -> tuple[int, int, int, int]:
                """Tasks and finished ones, of the user and of the project, in the other process."""
                found = (await sent(other, COUNTS, token, p=project))["data"]
                mine, its = found["taskStats"], found["project"]["stats"]
                return mine["total"], mine["completed"], its["total"], its["completed"]

            for _ in range(3):
                assert await counted() == (0, 0, 0, 0)
                task = (await write(CREATE, t="x", p=project))["task"]["id"]
                assert await counted() == (1, 0, 1, 0)
                await write(DONE, id=task)
                assert await counted() == (1, 1, 1, 1)
                await write(DELETE, id=task)
                assert await counted() == (0, 0, 0, 0)
                await write(RESTORE, id=task)
                assert await counted() == (1, 1, 1, 1)
                await write(MOVE, id=task)
                assert await counted() == (1, 1, 0, 0)
                await write(DELETE, id=task)
            mine = await sent(two, "{ viewer { credentials { session { id } } } }", token)
            session = mine["data"]["viewer"]["credentials"]["session"]["id"]
            await sent(one, REVOKE, token, id=session)
            refused = await sent(two, ME, token)
            assert refused["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_redis_that_refuses_is_asked_less_and_less(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is full, and answers a ping all the same: the log would have a line each half second."""
    monkeypatch.setattr(redis, "_AGAIN_SECONDS", 0.01)
    pauses = []
    with servers.killable_redis() as full:
        client = redis.connect(full.url)
        await client.config_set("maxmemory", 1)
        availability = redis.Availability(client, "nothing is counted")
        for _ in range(4):
            with pytest.raises(redis.failures()) as raised:
                await client.set("x", 1)
            availability.failed(raised.value)
            pauses.append(availability._pause)
            async with asyncio.timeout(30):
                while availability.away:
                    await asyncio.sleep(0.01)
        await availability.close()
        await client.aclose()
    assert pauses == sorted(set(pauses))
    assert caplog.text.count("nothing is counted") == 4
