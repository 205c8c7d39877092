"""Two server processes whose Redis is killed and comes back empty.

Redis holds nothing that must not be lost. What a process cannot hear, it asks the database; what it
has counted itself, it knows without Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import httpx
import pytest
from httpx_sse import aconnect_sse

from settings import Settings
from tests import servers

PASSWORD: Final = "correct horse 4 you"
REGISTER: Final = """
mutation ($n: String!, $m: String!, $p: String!) {
  userRegister(input: {username: $n, email: $m, password: $p}) { accessToken errors { code } }
}
"""
LOGIN: Final = """
mutation ($n: String!, $p: String!) {
  sessionCreate(input: {login: $n, password: $p}) { accessToken errors { code } }
}
"""
ME: Final = "{ viewer { user { id } credentials { session { id } } } }"
REVOKE: Final = "mutation ($id: ID!) { sessionRevoke(input: {id: $id}) { errors { code } } }"
PASSWORD_CHANGE: Final = """
mutation ($old: String!, $new: String!) {
  passwordChange(input: {currentPassword: $old, newPassword: $new}) { errors { code } }
}
"""
PROJECT: Final = """
mutation ($n: String!) { projectCreate(input: {name: $n}) { project { id } errors { code } } }
"""
CREATE: Final = """
mutation ($p: ID) {
  taskCreate(input: {title: "x", projectId: $p}) { task { id } errors { code } }
}
"""
BUDGET: Final = "{ rateLimit { limit remaining resetAt } }"
LISTEN: Final = "subscription { taskEvents { subject { ... on Task { id } } } }"
WATCH: Final = """
subscription ($id: ID!) { projectPresence(projectId: $id) { people { user { id } since } } }
"""
LOOK: Final = "mutation ($id: ID!) { presenceSet(input: {projectId: $id}) { errors { code } } }"
TASKS_AN_HOUR: Final = 10

pytestmark = pytest.mark.redis


@dataclass
class User:
    """A new account, its latest access token, and the ID of its session."""

    name: str
    token: str
    password: str = PASSWORD

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass
class Pair:
    """The addresses of both processes, and their Redis."""

    redis: servers.Redis
    urls: tuple[str, str]
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=30))

    async def ask(self, where: int, query: str, user: User | None, **variables: Any) -> Any:
        headers = {} if user is None else user.headers
        body = {"query": query, "variables": variables}
        reply = await self.http.post(f"{self.urls[where]}/graphql", json=body, headers=headers)
        return reply.json()

    async def good(self, where: int, query: str, user: User | None, **variables: Any) -> Any:
        """The payload or object of the only root field."""
        answer = await self.ask(where, query, user, **variables)
        assert "errors" not in answer, answer
        (found,) = answer["data"].values()
        assert not found.get("errors"), found
        return found

    async def user(self, where: int = 0) -> User:
        name = f"u{secrets.token_hex(6)}"
        made = await self.good(where, REGISTER, None, n=name, m=f"{name}@example.com", p=PASSWORD)
        return User(name, made["accessToken"])

    async def refused(self, where: int, user: User) -> bool:
        answer = await self.ask(where, ME, user)
        return "errors" in answer and (
            answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        )

    async def redis_is_used(self) -> None:
        """Wait until both processes use it, for limits too: they look twice a second."""
        for url in self.urls:
            await until(partial(self._checked, url))
        await asyncio.sleep(1)

    async def _checked(self, url: str) -> bool:
        checks = (await self.http.get(f"{url}/health/ready")).json()["checks"]
        used: bool = checks["redis"]["status"] == "ok"
        return used

    async def start_redis(self) -> None:
        await asyncio.to_thread(self.redis.start)

    def kill_redis(self) -> None:
        self.redis.kill()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def addresses(settings: Settings) -> Iterator[tuple[servers.Redis, tuple[str, str]]]:
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(servers.killable_redis())
        one, two = (
            stack.enter_context(
                servers.process(
                    settings,
                    REDIS_URL=redis.url,
                    TASKLOOM_LIMIT_TASK_CREATION=f"{TASKS_AN_HOUR}/hour",
                    TASKLOOM_LIMIT_COST_BUDGET="1000",
                )
            )[0]
            for _ in range(2)
        )
        yield redis, (one, two)


@pytest.fixture
async def pair(addresses: tuple[servers.Redis, tuple[str, str]]) -> AsyncIterator[Pair]:
    redis, urls = addresses
    made = Pair(redis, urls)
    async with made.http:
        await made.redis_is_used()
        yield made
    redis.kill()
    redis.start()


class Stream:
    """A subscription; `came` are the data of its deliveries."""

    def __init__(self) -> None:
        self.came: list[Any] = []

    async def follow(
        self, pair: Pair, where: int, user: User, query: str, **variables: Any
    ) -> None:
        body = {"query": query, "variables": variables}
        async with aconnect_sse(
            pair.http,
            "POST",
            f"{pair.urls[where]}/graphql",
            json=body,
            headers=user.headers,
            timeout=None,
        ) as source:
            async for event in source.aiter_sse():
                if event.event == "next":
                    self.came.append(event.json()["data"])


@contextlib.asynccontextmanager
async def followed(
    pair: Pair, where: int, user: User, query: str, **variables: Any
) -> AsyncIterator[list[Any]]:
    stream = Stream()
    task = asyncio.create_task(stream.follow(pair, where, user, query, **variables))
    try:
        yield stream.came
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("state", ["down", "just back"])
@pytest.mark.parametrize("by", ["revocation", "password"])
async def test_a_token_that_was_revoked_never_works_again(pair: Pair, state: str, by: str) -> None:
    for number in range(2):
        here, other = number % 2, 1 - number % 2
        user = await pair.user()
        mine = User(
            user.name, (await pair.good(here, LOGIN, None, n=user.name, p=PASSWORD))["accessToken"]
        )
        session = (await pair.good(other, ME, user))["credentials"]["session"]["id"]
        pair.kill_redis()
        if state == "just back":
            await pair.start_redis()
        # Whatever a process keeps of a session, it has now.
        for where in (here, other):
            assert not await pair.refused(where, user)
        if by == "revocation":
            await pair.good(here, REVOKE, mine, id=session)
        else:
            await pair.good(here, PASSWORD_CHANGE, mine, old=PASSWORD, new=f"{PASSWORD} 2")
        for _ in range(5):
            assert await pair.refused(other, user)
            assert await pair.refused(here, user)
        if state == "down":
            await pair.start_redis()
            for _ in range(20):
                for where in (here, other):
                    assert await pair.refused(where, user)
                await asyncio.sleep(0.05)


async def test_live_streams_in_both_processes_have_each_event_once(pair: Pair) -> None:
    user = await pair.user()
    made: list[str] = []

    async def create(count: int) -> None:
        for number in range(count):
            made.append((await pair.good(number % 2, CREATE, user))["task"]["id"])
            await asyncio.sleep(0.2)

    async with (
        followed(pair, 0, user, LISTEN) as one,
        followed(pair, 1, user, LISTEN) as two,
    ):
        await asyncio.sleep(1)

        async def all_came() -> bool:
            return min(len(one), len(two)) >= len(made)

        await create(2)
        pair.kill_redis()
        await create(3)
        await until(all_came)
        await pair.start_redis()
        await create(3)
        await until(all_came)
        await pair.redis_is_used()
        await create(2)
        await until(all_came)
        await asyncio.sleep(1.5)
        for came in (one, two):
            assert [event["taskEvents"]["subject"]["id"] for event in came] == made


async def created(pair: Pair, where: int, user: User, tries: int) -> int:
    """How many of so many new tasks were allowed."""
    allowed = 0
    for _ in range(tries):
        answer = await pair.ask(where, CREATE, user)
        if "errors" in answer:
            assert answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED", answer
        else:
            assert answer["data"]["taskCreate"]["errors"] == []
            allowed += 1
    return allowed


async def test_a_rate_that_was_used_up_is_used_up_without_redis_and_after_it_came_back(
    pair: Pair,
) -> None:
    used_up = await pair.user()
    assert await created(pair, 0, used_up, TASKS_AN_HOUR + 2) == TASKS_AN_HOUR
    assert await created(pair, 1, used_up, 1) == 0
    pair.kill_redis()
    assert await created(pair, 0, used_up, 2) == 0
    new = await pair.user()
    assert await created(pair, 0, new, TASKS_AN_HOUR + 2) == TASKS_AN_HOUR
    await pair.start_redis()
    await pair.redis_is_used()
    for user in (used_up, new):
        assert await created(pair, 0, user, 2) == 0
    # Both count together again.
    last = await pair.user()
    assert await created(pair, 0, last, 6) == 6
    assert await created(pair, 1, last, 6) == TASKS_AN_HOUR - 6


async def test_points_that_were_used_are_used_without_redis_and_after_it_came_back(
    pair: Pair,
) -> None:
    user = await pair.user()

    async def left(where: int) -> tuple[int, str]:
        found = await pair.good(where, BUDGET, user)
        return found["remaining"], found["resetAt"]

    for _ in range(3):
        # More than a tenth of the budget: a process asks Redis from there on.
        for _ in range(150):
            await pair.good(0, ME, user)
        before, minute = await left(0)
        pair.kill_redis()
        await pair.good(0, ME, user)
        without, _ = await left(0)
        await pair.start_redis()
        await pair.redis_is_used()
        after, same = await left(0)
        if same == minute:
            # Each of these questions has its price too.
            assert 1000 > before > without > after > 0
            return
    pytest.fail("each try was interrupted by the end of a minute")


async def test_presence_is_there_again(pair: Pair) -> None:
    ada, grace = await pair.user(), await pair.user(1)
    add = """
    mutation ($p: ID!, $u: ID!) { projectMemberAdd(
      input: {projectId: $p, userId: $u, role: VIEWER}) { errors { code } } }
    """
    project = (await pair.good(0, PROJECT, ada, n="Gates"))["project"]["id"]
    other = User(ada.name, (await pair.good(1, LOGIN, None, n=ada.name, p=PASSWORD))["accessToken"])

    her = (await pair.good(1, ME, grace))["user"]["id"]
    await pair.good(0, add, ada, p=project, u=her)
    async with followed(pair, 1, other, WATCH, id=project) as shown:

        async def people(count: int) -> bool:
            return bool(shown) and len(shown[-1]["projectPresence"]["people"]) == count

        await pair.good(0, LOOK, ada, id=project)
        await until(lambda: people(1))
        (before,) = shown[-1]["projectPresence"]["people"]
        pair.kill_redis()
        # Another process's people are not known without it.
        await pair.good(1, LOOK, grace, id=project)
        await until(lambda: people(1))
        await pair.start_redis()
        # Nobody says so again.
        await until(lambda: people(2))
        assert before in shown[-1]["projectPresence"]["people"]
