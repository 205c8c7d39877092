"""Rights are those of each operation, on every transport, however long the connection is open.

Each party opens everything while they are an administrator; then something ends that. What they may
do afterwards is tried from outside, and read from the database.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, update
from websockets.exceptions import ConnectionClosed

from app import Application, create_app
from db import models
from domain.accounts import api_key, session, user
from domain.tasks import comment
from domain.tasks.task_creation import create
from domain.tasks.task_values import NewTask
from graph.core import ids
from settings import Settings
from tests.accounts import PASSWORD, House, Person
from tests.servers import serving
from tests.web.test_event_stream import STREAM
from tests.web.websocket_client import Client, opened

# The promise; what is done in the same process holds at once.
WITHIN = 5.0
READ = "{ adminUsers(first: 1) { nodes { email } } }"
WRITE = """
mutation ($id: ID!) { adminUserUpdate(input: {id: $id, isAdmin: true, fullName: "promoted"}) {
  errors { code } } }
"""
# The network address of somebody else, which administrators alone may read.
LISTEN = "subscription { taskEvents { actor { username } ip } }"


@dataclass
class Party:
    """An administrator with everything open, by a session or by a key."""

    person: Person
    colleague: Person
    task_id: UUID
    header: str
    socket: Client
    http: httpx.AsyncClient
    heard: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return ids.encode(models.User, self.person.id)

    def is_address(self, line: str) -> bool:
        """Whether a delivery shows where the colleague's request came from."""
        return self.colleague.username in line and "203.0.113.9" in line

    async def over_http(self, query: str) -> str:
        body = {"query": query, "variables": {"id": self.id} if "$id" in query else {}}
        answer = await self.http.post("/graphql", json=body, headers={"Authorization": self.header})
        return answer.text

    async def over_socket(self, query: str) -> str:
        """The answer, or the close code."""
        variables = {"id": self.id} if "$id" in query else {}
        try:
            await self.socket.subscribe(query, "probe", variables=variables)
            while True:
                message = await self.socket.receive()
                if message.get("id") == "probe" and message["type"] in {"next", "error"}:
                    return json.dumps(message)
                if message.get("id") == "live":
                    self.heard.append(json.dumps(message))
        except ConnectionClosed as closed:
            return f"closed with {closed.rcvd.code if closed.rcvd else None}"

    async def drained(self) -> None:
        """Hear what the socket has still to say."""
        try:
            async with asyncio.timeout(1):
                while True:
                    self.heard.append(json.dumps(await self.socket.receive()))
        except (TimeoutError, ConnectionClosed):
            pass


@dataclass
class Fixtures:
    """A server, and the process that makes the changes: the same one, or another one."""

    app: Application
    url: str
    house: House
    stack: AsyncExitStack
    listeners: set[asyncio.Task[None]] = field(default_factory=set)

    async def party(self, *, by_key: bool) -> Party:
        colleague = await self.house.person()
        person = await self.house.admin()
        header = person.header
        if by_key:
            scopes = ["read", "write", "admin:read", "admin:write"]
            made = await self.house.do(person.viewer, api_key.create, name="x", scopes=scopes)
            header = f"Bearer {made.key.text}"
        socket = await self.stack.enter_async_context(
            opened(self.url, init={"Authorization": header})
        )
        http = await self.stack.enter_async_context(
            httpx.AsyncClient(base_url=self.url, timeout=60)
        )
        task = NewTask(title="ours", assignee_id=person.id)
        task_id = (await self.house.do(colleague.viewer, create, task)).id
        party = Party(person, colleague, task_id, header, socket, http)
        await socket.subscribe(LISTEN, "live")
        await socket.alive()
        await self._listen(party, "POST", json={"query": LISTEN}, headers={"Authorization": header})
        if not by_key:
            token = self.house.auth.mint_stream_token(person.viewer).token
            await self._listen(party, "GET", params={"query": LISTEN, "token": token})
        return party

    async def _listen(self, party: Party, method: str, **options: Any) -> None:
        headers = {**STREAM, **options.pop("headers", {})}
        response = await self.stack.enter_async_context(
            party.http.stream(method, "/graphql", headers=headers, **options)
        )
        assert response.status_code == 200
        lines = response.aiter_lines()
        # Says that the subscription stands.
        assert await anext(lines) == ":"

        async def listen() -> None:
            async for line in lines:
                party.heard.append(line)

        self.listeners.add(asyncio.create_task(listen()))

    async def something_happens(self, party: Party) -> None:
        """To a task that the party sees, done by the colleague."""
        await self.house.do(party.colleague.viewer, comment.create, party.task_id, "news")

    async def is_admin(self, party: Party) -> bool:
        async with self.house.database.session() as session_:
            return (await session_.get_one(models.User, party.person.id)).is_admin


async def _by_admin(house: House, operation: Any, *arguments: Any) -> None:
    await house.do((await house.admin()).viewer, operation, house.auth, *arguments)


async def _change_password(house: House, person: Person) -> None:
    elsewhere = (await house.login(person)).viewer
    passwords = {"current_password": PASSWORD, "new_password": PASSWORD + "!"}
    await house.do(elsewhere, user.change_password, house.auth, **passwords)


async def _revoke_key(house: House, person: Person) -> None:
    async with house.database.session() as session_:
        key = select(models.ApiKey.id).where(models.ApiKey.user_id == person.id)
        key_id = await session_.scalar(key)
    assert key_id is not None
    await house.do((await house.login(person)).viewer, api_key.revoke, house.auth, key_id)


async def _narrow_key(house: House, person: Person) -> None:
    async with house.work() as work:
        keys = update(models.ApiKey).where(models.ApiKey.user_id == person.id)
        await work.session.execute(keys.values(scopes=["tasks:read"]))
    house.auth.forget(user_id=person.id)


Ending = Callable[[House, Person], Awaitable[object]]
DEMOTED: Ending = lambda house, person: _by_admin(  # noqa: E731 - one of a table
    house, user.administer, person.id, {"is_admin": False}
)
DEACTIVATED: Ending = lambda house, person: _by_admin(  # noqa: E731 - one of a table
    house, user.deactivate, person.id
)
# What ends, and whether the party holds an API key.
ENDINGS: dict[str, tuple[Ending, bool]] = {
    "session, demoted": (DEMOTED, False),
    "session, deactivated": (DEACTIVATED, False),
    "session, revoked": (
        lambda house, person: house.do(person.viewer, session.revoke, house.auth),
        False,
    ),
    "session, password changed": (_change_password, False),
    "key, demoted": (DEMOTED, True),
    "key, deactivated": (DEACTIVATED, True),
    "key, revoked": (_revoke_key, True),
    "key, scopes taken away": (_narrow_key, True),
}


@pytest.fixture(params=["same process", "another process"])
async def fixtures(
    request: pytest.FixtureRequest, settings: Settings, house: House
) -> AsyncIterator[Fixtures]:
    app = create_app(settings)
    async with serving(app) as url, AsyncExitStack() as stack:
        if request.param == "same process":
            house.auth.close()
            house.auth = app.runtime.services.authenticator
            house.bus = app.runtime.services.bus
        made = Fixtures(app, url, house, stack)
        yield made
        for listener in made.listeners:
            listener.cancel()
        await asyncio.gather(*made.listeners, return_exceptions=True)


async def test_nothing_is_done_with_rights_that_have_ended(
    fixtures: Fixtures, request: pytest.FixtureRequest
) -> None:
    parties = {name: await fixtures.party(by_key=by_key) for name, (_, by_key) in ENDINGS.items()}
    for name, party in parties.items():
        # While they last they hold, everywhere.
        await fixtures.something_happens(party)
        assert "@" in await party.over_http(READ), name
        assert "@" in await party.over_socket(READ), name
        async with asyncio.timeout(30):
            streams = 1 if ENDINGS[name][1] else 2
            while sum(map(party.is_address, party.heard)) < streams + 1:
                await party.over_socket("{ __typename }")
                await asyncio.sleep(0.05)
    for name, (end, _) in ENDINGS.items():
        await end(fixtures.house, parties[name].person)
    if "another" in request.node.callspec.id:
        await asyncio.sleep(WITHIN)
    for party in parties.values():
        party.heard.clear()
    for party in parties.values():
        await fixtures.something_happens(party)
    for name, party in parties.items():
        for answer in (await party.over_socket(WRITE), await party.over_socket(READ)):
            assert "@" not in answer, name
            assert any(word in answer for word in ("FORBIDDEN", "UNAUTHENTICATED", "4403")), answer
        for query in (WRITE, READ):
            answer = await party.over_http(query)
            assert "FORBIDDEN" in answer or "UNAUTHENTICATED" in answer, (name, answer)
        async with fixtures.house.database.session() as session_:
            row = await session_.get_one(models.User, party.person.id)
            assert row.full_name != "promoted", name
    await asyncio.sleep(1)
    for name, party in parties.items():
        await party.drained()
        assert not any(map(party.is_address, party.heard)), name


async def test_a_change_of_rights_ends_a_subscription_and_not_the_connection(
    fixtures: Fixtures,
) -> None:
    party = await fixtures.party(by_key=False)
    await DEMOTED(fixtures.house, party.person)
    await asyncio.sleep(WITHIN)
    await fixtures.something_happens(party)
    message = await party.socket.receive()
    assert (message["type"], message["id"]) == ("error", "live")
    assert message["payload"][0]["extensions"]["code"] == "FORBIDDEN"
    assert '"username"' in await party.over_socket("{ viewer { user { username } } }")
