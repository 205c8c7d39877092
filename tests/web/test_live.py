"""The real schema over real sockets: what one person does arrives where another listens."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.accounts import PASSWORD, House
from tests.conftest import LiveServer
from tests.factories import World
from tests.web.test_event_stream import STREAM, events
from tests.web.websocket_client import opened

SIGN_IN = """
mutation ($login: String!, $password: String!) {
  sessionCreate(input: {login: $login, password: $password}) {
    accessToken refreshToken errors { code message }
  }
}
"""
CREATE = """
mutation ($title: String!) {
  taskCreate(input: {title: $title}) { task { id title } errors { code message } }
}
"""
LISTEN = "subscription { taskEvents { kind requestId subject { ... on Task { title } } } }"
REFRESH = """
mutation ($token: String!) {
  sessionRefresh(input: {refreshToken: $token}) { accessToken errors { code } }
}
"""


async def run(http: httpx.AsyncClient, query: str, **variables: Any) -> Any:
    response = await http.post("/graphql", json={"query": query, "variables": variables})
    assert "errors" not in response.json(), response.text
    return response.json()["data"]


@pytest.fixture
async def signed_in(live_url: str, house: House) -> Any:
    """An HTTP client of a new person, and their tokens."""
    person = await house.person()
    async with httpx.AsyncClient(base_url=live_url, timeout=30) as http:
        data = await run(http, SIGN_IN, login=person.username, password=PASSWORD)
        grant = data["sessionCreate"]
        assert grant["errors"] == []
        http.headers["Authorization"] = f"Bearer {grant['accessToken']}"
        yield http, grant


async def test_a_change_arrives_over_a_websocket(live_url: str, signed_in: Any) -> None:
    http, grant = signed_in
    async with opened(live_url, init={"Authorization": f"Bearer {grant['accessToken']}"}) as ws:
        await ws.subscribe(LISTEN, id_="events")
        # Renewing goes over the same connection; its answer shows that the subscription began.
        await ws.subscribe(REFRESH, id_="renew", variables={"token": grant["refreshToken"]})
        renewed = await ws.until_complete("renew")
        assert renewed[0]["data"]["sessionRefresh"]["errors"] == []
        token = renewed[0]["data"]["sessionRefresh"]["accessToken"]
        http.headers["Authorization"] = f"Bearer {token}"
        await run(http, CREATE, title="Over a socket")
        event = (await ws.receive())["payload"]["data"]["taskEvents"]
        assert (event["kind"], event["subject"]["title"]) == ("TASK_CREATED", "Over a socket")


async def test_a_change_arrives_over_an_event_stream(signed_in: Any) -> None:
    http, _ = signed_in
    async with http.stream("POST", "/graphql", json={"query": LISTEN}, headers=STREAM) as response:
        lines = response.aiter_lines()
        # Says that the subscription stands.
        assert await anext(lines) == ":"
        headers = {"X-Request-Id": "my-own-echo-1"}
        body = {"query": CREATE, "variables": {"title": "Over a stream"}}
        await http.post("/graphql", json=body, headers=headers)
        _, payload = await anext(events(lines))
        event = payload["data"]["taskEvents"]
        assert event["subject"]["title"] == "Over a stream"
        # A client knows its own change by the request's id.
        assert event["requestId"] == "my-own-echo-1"


async def test_a_stream_token_for_a_browsers_event_source(live_url: str, signed_in: Any) -> None:
    http, _ = signed_in
    data = await run(http, "mutation { streamTokenCreate(input: {}) { token errors { code } } }")
    token = data["streamTokenCreate"]["token"]
    params = {"query": "subscription { taskEvents { id } }", "token": token}
    async with (
        httpx.AsyncClient(base_url=live_url) as browser,
        browser.stream("GET", "/graphql", params=params, headers=STREAM) as response,
    ):
        assert response.status_code == 200
        assert await anext(response.aiter_bytes()) == b":\n\n"


async def test_what_the_signed_out_are_told(live_server: LiveServer) -> None:
    async with httpx.AsyncClient(base_url=live_server.url) as http:
        response = await http.post("/graphql", json={"query": "{ tasks { nodes { id } } }"})
        assert response.status_code == 200
        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] == "UNAUTHENTICATED"
        config = (await http.get("/explorer/config.json")).json()
        assert config["demo"]["login"] == live_server.demo_login


# What happens to every application one day.
FAILING = """{
    viewer { user { username } }
    good: tasks(first: 1) { nodes { title } }
    cursor: tasks(after: "garbage") { nodes { title } }
    search(query: "") { totalCount }
    filter: taskStats(filter: {id: {eq: "x"}}) { total }
    log: adminAuditLog { nodes { id } }
    unknown: task(id: "task_00000000000000000000000000000000") { title }
}"""
BOOT = "{ viewer { user { username } } serverInfo { name } tasks { totalCount } }"


async def test_errors_of_one_field_over_http_and_a_socket(live_url: str, world: World) -> None:
    ada = await world.person()
    await world.task(ada, "Mend the gate")
    nothing = dict.fromkeys(["cursor", "search", "filter", "log", "unknown"])
    expected = {
        "viewer": {"user": {"username": ada.username}},
        "good": {"nodes": [{"title": "Mend the gate"}]},
        **nothing,
    }
    over_http = await world.post(FAILING, ada)
    assert (over_http.status, over_http.data) == (200, expected)
    assert [error["path"] for error in over_http.errors] == [[name] for name in nothing]
    async with opened(live_url, init={"Authorization": ada.header}) as socket:
        await socket.subscribe(FAILING)
        (payload,) = await socket.until_complete()
    assert payload["data"] == expected
    codes = [error["extensions"]["code"] for error in payload["errors"]]
    assert codes == over_http.codes


async def test_a_signed_out_application_can_start(live_url: str, world: World) -> None:
    """`viewer` tells whether one is signed in, and is no error."""
    expected = {"viewer": None, "serverInfo": {"name": "Taskloom"}, "tasks": None}
    reply = await world.post(BOOT, None)
    assert (reply.status, reply.data, reply.codes) == (200, expected, ["UNAUTHENTICATED"])
    assert reply.errors[0]["path"] == ["tasks"]
    async with opened(live_url) as socket:
        await socket.subscribe(BOOT)
        (payload,) = await socket.until_complete()
    assert payload["data"] == expected
