"""graphql-transport-ws with raw frames on a real socket: operations, limits, ends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from app import Application, create_app
from graph.request.deadlines import Deadlines
from settings import Settings
from tests.accounts import House
from tests.servers import serving
from tests.web import toy
from tests.web.http_calls import persist
from tests.web.websocket_client import PATIENCE, Open, opened
from web import websocket

# Operations


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": ""}, "BAD_REQUEST"),
        ({"documentId": "sha256:0"}, "BAD_REQUEST"),
        ({"documentId": f"sha256:{'0' * 64}", "query": "{ hello }"}, "BAD_REQUEST"),
        ({"documentId": f"sha256:{'0' * 64}"}, "PERSISTED_QUERY_NOT_FOUND"),
        ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "{ hello }", "operationName": "other"}, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "query ($n: Int!) { count(to: $n) }"}, "BAD_USER_INPUT"),
        ({"query": "subscription ($n: Int!) { upto(to: $n) }"}, "BAD_USER_INPUT"),
        ({"query": "{" + "again {" * 15 + "hello" + "}" * 16}, "OPERATION_TOO_COMPLEX"),
        ({"query": "subscription { a: forever b: silent }"}, "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_what_is_wrong_with_one_operation_harms_no_other(
    ws: Open, payload: dict[str, Any], expected: str
) -> None:
    async with ws() as client:
        await client.send({"id": "1", "type": "subscribe", "payload": payload})
        assert await client.error() == expected
        await client.alive()


async def test_queries_and_mutations_have_one_result(ws: Open) -> None:
    async with ws() as client:
        await client.subscribe("query ($n: String!) { hello(name: $n) }", variables={"n": "ws"})
        (payload,) = await client.until_complete()
        assert payload["data"] == {"hello": "hello ws"}
        done = toy.Mutation.done
        await client.subscribe("mutation { add }")
        (payload,) = await client.until_complete()
        assert payload["data"] == {"add": done + 1}


async def test_a_subscription_by_its_identifier(ws: Open, http: httpx.AsyncClient) -> None:
    known = await persist(http, "subscription { upto(to: 2) }")
    async with ws() as client:
        await client.send({"id": "1", "type": "subscribe", "payload": {"documentId": known}})
        payloads = await client.until_complete()
        assert [payload["data"] for payload in payloads] == [{"upto": 0}, {"upto": 1}]


async def test_every_operation_and_delivery_has_a_context_of_its_own(ws: Open) -> None:
    async with ws() as client:
        await client.subscribe("{ contextId requestId }")
        await client.subscribe("{ contextId requestId }", id_="2")
        first, _, second, _ = [await client.receive() for _ in range(4)]
        assert first["payload"]["data"]["requestId"] != second["payload"]["data"]["requestId"]
        await client.subscribe("subscription { step { me contextId hello } }", id_="3")
        for _ in range(3):
            assert (await client.receive())["payload"]["data"]["step"]["hello"] == "hello world"


async def test_a_subscription_runs_to_its_end(ws: Open) -> None:
    async with ws() as client:
        await client.subscribe("subscription { upto(to: 3) }")
        payloads = await client.until_complete()
        assert [payload["data"]["upto"] for payload in payloads] == [0, 1, 2]


async def test_operations_run_beside_each_other(ws: Open) -> None:
    async with ws() as client:
        await client.subscribe("{ slow(seconds: 0.5) }", id_="slow")
        await client.subscribe("{ hello }", id_="quick")
        assert len(await client.until_complete("quick")) == 1
        assert len(await client.until_complete("slow")) == 1


async def test_complete_ends_a_subscription_on_the_server(ws: Open) -> None:
    async with ws() as client:
        before = toy.Subscription.open
        await client.subscribe("subscription { forever }")
        await client.receive()
        assert toy.Subscription.open == before + 1
        await client.send({"type": "complete", "id": "1"})
        async with asyncio.timeout(PATIENCE):
            while toy.Subscription.open != before:
                await asyncio.sleep(0.01)


async def test_complete_for_an_unknown_id_is_no_matter(ws: Open) -> None:
    async with ws() as client:
        await client.send({"type": "complete", "id": "never seen"})
        await client.alive()


async def test_a_closed_connection_ends_its_subscriptions(ws: Open, toy_app: Application) -> None:
    before = toy.Subscription.open
    async with ws() as client:
        await client.subscribe("subscription { silent }")
        await client.subscribe("subscription { forever }", id_="2")
        await client.receive()
        assert toy.Subscription.open == before + 2
    async with asyncio.timeout(PATIENCE):
        while toy.Subscription.open != before:
            await asyncio.sleep(0.01)


async def test_a_mutation_goes_on_when_its_client_leaves(ws: Open) -> None:
    done = toy.Mutation.done
    async with ws() as client:
        await client.subscribe("mutation { addSlowly(seconds: 0.3) }")
        await client.alive()
    async with asyncio.timeout(PATIENCE):
        while toy.Mutation.done == done:
            await asyncio.sleep(0.01)


async def test_complete_silences_a_mutation_and_does_not_stop_it(ws: Open) -> None:
    """It may be half done. Its id is in use until it has ended."""
    toy.Mutation.gate.clear()
    begun, done = toy.Mutation.begun, toy.Mutation.done
    async with ws() as client:
        await client.subscribe("mutation { wait }")
        async with asyncio.timeout(PATIENCE):
            while toy.Mutation.begun == begun:
                await asyncio.sleep(0.01)
        await client.send({"type": "complete", "id": "1"})
        await client.alive()
        toy.Mutation.gate.set()
        async with asyncio.timeout(PATIENCE):
            while toy.Mutation.done == done:
                await asyncio.sleep(0.01)
        # Nothing of it arrives, and what comes next does.
        await client.subscribe("{ hello }", id_="2")
        assert len(await client.until_complete("2")) == 1


async def test_the_id_of_a_silenced_mutation_is_in_use_until_it_ends(ws: Open) -> None:
    toy.Mutation.gate.clear()
    begun = toy.Mutation.begun
    async with ws() as client:
        await client.subscribe("mutation { wait }")
        async with asyncio.timeout(PATIENCE):
            while toy.Mutation.begun == begun:
                await asyncio.sleep(0.01)
        await client.send({"type": "complete", "id": "1"})
        await client.subscribe("{ hello }")
        assert await client.closed() == (4409, "Subscriber for 1 already exists")
    toy.Mutation.gate.set()


async def test_the_id_of_a_query_is_free_once_the_client_wants_no_more(ws: Open) -> None:
    async with ws() as client:
        await client.subscribe("{ slow(seconds: 60) }")
        await client.send({"type": "complete", "id": "1"})
        await client.subscribe("{ hello }")
        assert len(await client.until_complete()) == 1


@pytest.mark.parametrize(
    ("field", "expected"),
    [("expires", "CURSOR_EXPIRED"), ("breaks", "INTERNAL_SERVER_ERROR")],
)
async def test_a_stream_that_fails_says_why(ws: Open, field: str, expected: str) -> None:
    async with ws() as client:
        await client.subscribe(f"subscription {{ {field} }}")
        assert (await client.receive())["payload"]["data"] == {field: 0}
        message = await client.receive()
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == expected
        assert "secret" not in json.dumps(message)
        await client.alive()


async def test_a_stream_that_is_refused_at_once(ws: Open) -> None:
    async with ws() as client:
        await client.subscribe("subscription { refused }")
        assert await client.error() == "BAD_USER_INPUT"


async def test_faults_tell_nothing(ws: Open) -> None:
    async with ws() as client:
        await client.subscribe("{ broken hello }")
        (payload,) = await client.until_complete()
        assert payload["data"] == {"broken": None, "hello": "hello world"}
        assert payload["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
        assert "password" not in json.dumps(payload)


async def test_a_slow_query_is_cut(ws: Open) -> None:
    async with ws() as client:
        await client.subscribe("{ slow(seconds: 30) }")
        (payload,) = await client.until_complete()
        assert payload["errors"][0]["extensions"]["code"] == "TIMEOUT"


# Limits, credentials that end, the server's end


async def test_fifty_subscriptions_on_one_connection(ws: Open) -> None:
    async with ws() as client:
        for number in range(50):
            await client.subscribe("subscription { silent }", id_=f"s{number}")
        await client.subscribe("subscription { silent }", id_="one more")
        assert await client.error("one more") == "LIMIT_EXCEEDED"
        await client.send({"type": "complete", "id": "s7"})
        await client.subscribe("{ hello }", id_="room again")
        assert len(await client.until_complete("room again")) == 1


async def test_twenty_connections_of_one_user(ws: Open, house: House) -> None:
    person = await house.person()
    params = {"Authorization": person.header}
    connections = [ws(init=params) for _ in range(20)]
    for connection in connections:
        await connection.__aenter__()
    async with ws(init=None) as refused:
        await refused.send({"type": "connection_init", "payload": params})
        code, reason = await refused.closed()
        assert code == 1013
        assert "20" in reason
    await connections.pop().__aexit__(None, None, None)
    async with ws(init=params) as client:
        await client.alive()
    for connection in connections:
        await connection.__aexit__(None, None, None)


async def test_expired_credentials_end_the_connection(ws: Open, house: House) -> None:
    lifetime = house.settings.auth.access_token_seconds
    house.clock.forward(seconds=2 - lifetime)
    person = await house.person()
    async with ws(init={"Authorization": person.header}) as client:
        await client.subscribe("subscription { silent }")
        code, reason = await client.closed()
        assert code == 4403
        assert "sign in" in reason


async def test_renewed_credentials_keep_it_open(ws: Open, house: House) -> None:
    lifetime = house.settings.auth.access_token_seconds
    house.clock.forward(seconds=3 - lifetime)
    person = await house.person()
    async with ws(init={"Authorization": person.header}) as client:
        await client.subscribe("subscription { silent }", id_="still there")
        house.clock.forward(seconds=lifetime - 3)
        grant = await house.login(person)
        await client.subscribe(
            "mutation ($t: String!) { renew(token: $t) }", variables={"t": grant.access_token}
        )
        assert (await client.until_complete())[0]["data"] == {"renew": True}
        await asyncio.sleep(5)
        await client.alive()


async def test_a_revoked_session_ends_the_connection(ws: Open, house: House) -> None:
    from domain.accounts import session

    person = await house.person()
    async with ws(init={"Authorization": person.header}) as client:
        await client.subscribe("subscription { silent }")
        await house.do(
            person.viewer, session.revoke, house.auth, session_id=person.viewer.session_id
        )
        assert (await client.closed())[0] == 4403


async def test_a_server_that_stops_says_goodbye(settings: Settings) -> None:
    app = create_app(settings, schema=toy.schema)
    async with serving(app) as url, opened(url) as client:
        await client.subscribe("subscription { silent }")
        app.runtime.connections.stop()
        code, reason = await client.closed()
        assert code == 1001
        assert "connect again" in reason


@pytest.mark.parametrize("size", [125, 126, 65_535, 65_536])
async def test_a_message_of_any_length_arrives(toy_url: str, size: int) -> None:
    async with opened(toy_url) as client:
        empty = len(b'{"type":"pong","payload":{"text":""}}')
        payload = {"text": "x" * (size - empty)}
        await client.send({"type": "ping", "payload": payload})
        assert await client.receive() == {"type": "pong", "payload": payload}


async def test_a_client_that_reads_nothing_is_let_go(settings: Settings) -> None:
    app = create_app(settings, schema=toy.schema)
    app.runtime.sending = Deadlines(0.5)
    async with serving(app) as url, opened(url) as client:
        client.connection.transport.pause_reading()
        await client.subscribe("subscription { large }")
        async with asyncio.timeout(PATIENCE):
            while len(app.runtime.connections):
                await asyncio.sleep(0.05)
        client.connection.transport.abort()


async def test_a_silent_client_is_pinged_and_then_let_go(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "PING_SECONDS", 0.5)
    monkeypatch.setattr(websocket, "SILENCE_SECONDS", 1.5)
    app = create_app(settings, schema=toy.schema)
    async with serving(app) as url, opened(url) as client:
        assert await client.receive() == {"type": "ping"}
        await client.send({"type": "pong"})
        assert await client.receive() == {"type": "ping"}
        assert (await client.closed())[0] == 4499


async def test_bytes_that_are_no_websocket(toy_url: str) -> None:
    host, port = httpx.URL(toy_url).host, httpx.URL(toy_url).port
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /graphql HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n")
    line = await asyncio.wait_for(reader.readline(), PATIENCE)
    assert line.split()[1] in {b"400", b"426"}
    writer.close()
