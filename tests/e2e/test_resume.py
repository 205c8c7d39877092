"""Live updates as clients receive them: over WebSocket and event stream, cut and resumed, and from
one server process to another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx
import pytest
from gql import Client, gql
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport
from httpx_sse import aconnect_sse

from app import create_app
from settings import Settings
from tests import servers
from tests.accounts import Person
from tests.factories import World, gid

LISTEN = """
subscription Listen($after: String, $filter: EventFilter) {
  taskEvents(after: $after, filter: $filter) {
    id cursor kind requestId subject { ... on Task { id title } }
  }
}
"""
CREATE = gql(
    "mutation ($input: TaskCreateInput!)"
    " { taskCreate(input: $input) { task { id } errors { code } } }"
)
UPDATE = gql(
    "mutation ($input: TaskUpdateInput!) { taskUpdate(input: $input) { errors { code } } }"
)
START = gql("query { eventCursor tasks(first: 100) { nodes { id title } } }")


@contextlib.asynccontextmanager
async def _http(url: str, person: Person) -> AsyncIterator[Any]:
    transport = HTTPXAsyncTransport(
        f"{url}/graphql", headers={"Authorization": person.header}, timeout=20
    )
    async with Client(transport=transport, execute_timeout=20) as session:
        yield session


@contextlib.asynccontextmanager
async def _websocket(url: str, person: Person, **variables: Any) -> AsyncIterator[Any]:
    """The events of a subscription over graphql-transport-ws; the connection is cut at the end."""
    transport = WebsocketsTransport(
        f"{url.replace('http', 'ws', 1)}/graphql",
        init_payload={"Authorization": person.header},
        subprotocols=["graphql-transport-ws"],
    )
    async with Client(transport=transport) as session:
        request = gql(LISTEN)
        request.variable_values = variables
        events = session.subscribe(request)
        yield (result["taskEvents"] async for result in events)
        await events.aclose()


@contextlib.asynccontextmanager
async def _sse(url: str, person: Person, **variables: Any) -> AsyncIterator[Any]:
    """The events of a subscription over server-sent events."""
    async with (
        httpx.AsyncClient(timeout=httpx.Timeout(20)) as client,
        aconnect_sse(
            client,
            "POST",
            f"{url}/graphql",
            json={"query": LISTEN, "variables": variables},
            headers={"Authorization": person.header, "Accept": "text/event-stream"},
        ) as source,
    ):

        async def events() -> AsyncGenerator[Any, None]:
            async for message in source.aiter_sse():
                if message.event == "next":
                    yield message.json()["data"]["taskEvents"]

        yield events()


TRANSPORTS = pytest.mark.parametrize("listen", [_websocket, _sse], ids=["websocket", "sse"])


async def _take(events: Any, count: int) -> list[Any]:
    async with asyncio.timeout(30):
        return [await anext(events) for _ in range(count)]


async def _rename(session: Any, task_id: str, title: str) -> None:
    request = UPDATE
    request.variable_values = {"input": {"id": task_id, "title": title}}
    result = await session.execute(request)
    assert result["taskUpdate"]["errors"] == []


@pytest.fixture(scope="module")
async def url(settings: Settings) -> AsyncIterator[str]:
    """A separate process on a real port; the application that tests share is not affected."""
    async with servers.serving(create_app(settings)) as address:
        yield address


@TRANSPORTS
async def test_a_list_stays_current_through_a_cut(url: str, world: World, listen: Any) -> None:
    """Like a single-page application: cursor and page in one request, then live, then a cut during
    20 changes, then a subscription from the last cursor: all 20, once, in order.
    """
    ada, bob = await world.people(2)
    project = await world.project(ada, viewers=[bob])
    task = await world.task(ada, "0", project_id=project.id)
    async with _http(url, ada) as as_ada, _http(url, bob) as as_bob:
        start = await as_bob.execute(START)
        assert [node["title"] for node in start["tasks"]["nodes"]] == ["0"]
        # Changes between the page and the subscription come first.
        await _rename(as_ada, gid(task), "between")
        async with listen(url, bob, after=start["eventCursor"]) as events:
            (event,) = await _take(events, 1)
            assert event["subject"]["title"] == "between"
            await _rename(as_ada, gid(task), "live")
            (event,) = await _take(events, 1)
            assert event["subject"]["title"] == "live"
        made = []
        for number in range(20):
            CREATE.variable_values = {
                "input": {"title": f"missed {number}", "projectId": gid(project)}
            }
            result = await as_ada.execute(CREATE)
            made.append(result["taskCreate"]["task"]["id"])
        async with listen(url, bob, after=event["cursor"]) as events:
            missed = await _take(events, 20)
            assert [one["subject"]["id"] for one in missed] == made
            assert {one["kind"] for one in missed} == {"TASK_CREATED"}
            await _rename(as_ada, gid(task), "on and on")
            (event,) = await _take(events, 1)
            assert event["subject"]["title"] == "on and on"
            assert event["id"] not in {one["id"] for one in missed}


@TRANSPORTS
async def test_both_members_receive_events_and_a_stranger_does_not(
    url: str, world: World, listen: Any
) -> None:
    ada, bob, eve = await world.people(3)
    project = await world.project(ada, editors=[bob])
    task = await world.task(ada, "0", project_id=project.id)
    own = await world.task(eve, "0")
    async with _http(url, ada) as as_ada, _http(url, eve) as as_eve:
        # The cursor where all begin, so that it does not matter when each stream is open.
        since = (await world.run("{ eventCursor }", ada)).good["eventCursor"]
        async with (
            listen(url, ada, after=since) as to_ada,
            listen(url, bob, after=since) as to_bob,
            listen(url, eve, after=since) as to_eve,
        ):
            await _rename(as_ada, gid(task), "seen by members")
            await _rename(as_eve, gid(own), "seen by eve")
            for events in (to_ada, to_bob):
                (event,) = await _take(events, 1)
                assert event["subject"]["title"] == "seen by members"
            (event,) = await _take(to_eve, 1)
            assert event["subject"]["title"] == "seen by eve"


@pytest.mark.redis
async def test_a_change_in_one_process_arrives_in_another(
    settings: Settings, world: World, redis_url: str
) -> None:
    ada = await world.person()
    task = await world.task(ada, "0")
    since = (await world.run("{ eventCursor }", ada)).good["eventCursor"]
    with contextlib.ExitStack() as stack:
        one, two = [
            stack.enter_context(servers.process(settings, REDIS_URL=redis_url))[0] for _ in range(2)
        ]
        async with _http(one, ada) as session, _websocket(two, ada, after=since) as events:
            for number in range(5):
                await _rename(session, gid(task), f"change {number}")
                (event,) = await _take(events, 1)
                assert event["kind"] == "TASK_UPDATED"
