"""graphql-transport-ws, rule by rule, with raw frames on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from app import Application, create_app
from graph.request.deadlines import Deadlines
from settings import Settings
from tests.accounts import House
from tests.servers import serving
from tests.web import toy
from tests.web.test_http import persist
from web import websocket
from web.websocket import GraphQLOverWebSocket

PROTOCOL = Subprotocol("graphql-transport-ws")
PATIENCE = 10


class Client:
    """Speaks the protocol by hand."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, *messages: Any) -> None:
        for message in messages:
            await self.connection.send(json.dumps(message))

    async def receive(self) -> Any:
        return json.loads(await asyncio.wait_for(self.connection.recv(), PATIENCE))

    async def closed(self) -> tuple[int, str]:
        """Wait for the end; its code and reason."""
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(self._drain(), PATIENCE)
        frame = caught.value.rcvd
        assert frame is not None, "dropped without a close frame"
        return frame.code, frame.reason

    async def _drain(self) -> None:
        while True:
            await self.connection.recv()

    async def subscribe(self, query: str, id_: str = "1", **payload: Any) -> None:
        await self.send({"id": id_, "type": "subscribe", "payload": {"query": query, **payload}})

    async def until_complete(self, id_: str = "1") -> list[Any]:
        """The payloads of an operation's results."""
        payloads = []
        while (message := await self.receive())["type"] == "next":
            assert message["id"] == id_
            payloads.append(message["payload"])
        assert message == {"type": "complete", "id": id_}
        return payloads

    async def error(self, id_: str = "1") -> str:
        """The code in the error message that is next."""
        message = await self.receive()
        assert (message["type"], message["id"]) == ("error", id_)
        code = message["payload"][0]["extensions"]["code"]
        assert isinstance(code, str)
        return code

    async def alive(self) -> None:
        """Fails unless the server still answers."""
        await self.send({"type": "ping"})
        assert (await self.receive())["type"] == "pong"


@asynccontextmanager
async def opened(url: str, *, init: Any = "plain", **options: Any) -> AsyncIterator[Client]:
    address = f"{url.replace('http', 'ws', 1)}/graphql"
    options.setdefault("subprotocols", [PROTOCOL])
    async with connect(address, max_size=None, **options) as connection:
        client = Client(connection)
        if init is not None:
            message: dict[str, Any] = {"type": "connection_init"}
            if init != "plain":
                message["payload"] = init
            await client.send(message)
            assert await client.receive() == {"type": "connection_ack"}
        yield client


Open = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def ws(toy_url: str) -> Open:
    return lambda **options: opened(toy_url, **options)


# The handshake


async def _handshake(url: str, origin: str) -> int:
    """The status of a handshake from a page of this origin."""
    try:
        async with opened(url, init=None, origin=origin):
            return 101
    except InvalidStatus as refused:
        body = json.loads(refused.response.body or b"")
        assert body["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert "TASKLOOM_CORS_ORIGINS" in body["errors"][0]["message"]
        return refused.response.status_code


async def test_a_handshake_is_logged_as_a_request_and_without_its_address(
    toy_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    secret = "token=of-somebody"
    address = f"{toy_url.replace('http', 'ws', 1)}/graphql?{secret}"
    async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]):
        pass
    with pytest.raises(InvalidStatus):
        async with connect(address, origin=Origin("https://evil.example.com")):
            pass
    assert secret not in caplog.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    (line,) = [record for record in caplog.records if "FORBIDDEN" in record.getMessage()]
    assert line.levelname == "INFO"
    assert "403" in line.getMessage()


async def test_pages_of_other_origins_may_not_connect(settings: Settings) -> None:
    listed = "https://app.example.com"
    for production in (True, False):
        changes: dict[str, Any] = {"cors_origins": (listed,)}
        if production:
            changes["env"] = "production"
        server = settings.server.model_copy(update=changes)
        app = create_app(settings.model_copy(update={"server": server}), schema=toy.schema)
        async with serving(app) as url:
            # Its own, by the address that was connected to and by the public one; one of the list.
            for origin in (url, settings.server.public_url, listed):
                assert await _handshake(url, origin) == 101, origin
            for origin in (
                "https://evil.example.com",
                "null",
                f"{listed}.evil.example",
                f"{listed}:8443",
                "http://app.example.com",
                "",
            ):
                assert await _handshake(url, origin) == 403, origin
            local = await _handshake(url, "http://localhost:5173")
            assert local == (403 if production else 101)
            # Programs send none.
            async with opened(url) as client:
                await client.alive()


async def test_another_subprotocol_is_not_acceptable(ws: Open) -> None:
    for offered in ([Subprotocol("graphql-ws")], None):
        async with ws(init=None, subprotocols=offered) as client:
            code, reason = await client.closed()
            assert code == 4406
            assert "graphql-transport-ws" in reason


async def test_the_protocol_is_chosen_among_several(ws: Open) -> None:
    async with ws(subprotocols=[Subprotocol("graphql-ws"), PROTOCOL]) as client:
        assert client.connection.subprotocol == PROTOCOL


async def test_without_init_the_connection_ends(settings: Settings) -> None:
    app = create_app(settings, schema=toy.schema)
    app._websocket = GraphQLOverWebSocket(app.runtime, init_seconds=0.2)
    async with serving(app) as url, opened(url, init=None) as client:
        assert await client.closed() == (4408, "Connection initialisation timeout")


async def test_with_init_it_does_not(settings: Settings) -> None:
    app = create_app(settings, schema=toy.schema)
    app._websocket = GraphQLOverWebSocket(app.runtime, init_seconds=0.2)
    async with serving(app) as url, opened(url) as client:
        await asyncio.sleep(0.5)
        await client.alive()


async def test_init_may_have_a_payload_of_null(ws: Open) -> None:
    async with ws(init=None) as client:
        await client.send({"type": "connection_init", "payload": None})
        assert await client.receive() == {"type": "connection_ack"}


@pytest.mark.parametrize("payload", [[], "x", 1, True, {"Authorization": 1}])
async def test_init_with_another_payload(ws: Open, payload: Any) -> None:
    async with ws(init=None) as client:
        await client.send({"type": "connection_init", "payload": payload})
        assert (await client.closed())[0] == 4400


async def test_credentials_that_are_no_text_are_no_fault_of_ours(
    ws: Open, caplog: pytest.LogCaptureFixture
) -> None:
    # Or anybody could fill the log with stacks.
    async with ws(init=None) as client:
        await client.send({"type": "connection_init", "payload": {"Authorization": ["x"]}})
        assert await client.closed() == (4400, "`Authorization` must be a string")
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_second_init_is_too_many(ws: Open) -> None:
    async with ws() as client:
        await client.send({"type": "connection_init"})
        assert await client.closed() == (4429, "Too many initialisation requests")


async def test_subscribe_before_init(ws: Open) -> None:
    async with ws(init=None) as client:
        await client.subscribe("{ hello }")
        code, reason = await client.closed()
        assert code == 4401
        assert reason.startswith("Unauthorized")


# Who asks


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
async def test_connection_params_say_who_asks(ws: Open, house: House, name: str) -> None:
    person = await house.person()
    async with ws(init={name: person.header}) as client:
        await client.subscribe("{ me }")
        (payload,) = await client.until_complete()
        assert payload["data"] == {"me": str(person.id)}


async def test_the_handshake_header_says_it_too(ws: Open, house: House) -> None:
    person = await house.person()
    async with ws(additional_headers={"Authorization": person.header}) as client:
        await client.subscribe("{ me }")
        (payload,) = await client.until_complete()
        assert payload["data"] == {"me": str(person.id)}


@pytest.mark.parametrize("value", ["Bearer nonsense", "Basic eDp5", "Bearer"])
async def test_bad_credentials_are_forbidden(ws: Open, value: str) -> None:
    async with ws(init=None) as client:
        await client.send({"type": "connection_init", "payload": {"Authorization": value}})
        code, reason = await client.closed()
        assert code == 4403
        assert reason.startswith("Forbidden: ")


# Frames that break the protocol


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        "null",
        "1",
        '"subscribe"',
        "true",
        "{}",
        '{"type": null}',
        '{"type": 1}',
        '{"type": []}',
        '{"type": {"subscribe": 1}}',
        '{"type": "start"}',
        '{"type": "connection_ack"}',
        '{"type": "next", "id": "1"}',
        '{"type": "ping", "payload": 1}',
        '{"type": "pong", "payload": []}',
        '{"type": "complete"}',
        '{"type": "complete", "id": 1}',
        '{"type": "subscribe"}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "1", "payload": null}',
        '{"type": "subscribe", "id": "1", "payload": []}',
        '{"type": "subscribe", "id": "1", "payload": {}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": null}}',
        '{"type": "subscribe", "id": "1", "payload": {"documentId": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "onError": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "variables": []}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "operationName": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "extensions": "x"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{hello}"}}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{hello}"}}',
        '{"type": "subscribe", "id": null, "payload": {"query": "{hello}"}}',
        '{"type": "subscribe", "payload": {"query": "{hello}"}}',
        '{"type": "subscribe", "id": "%s", "payload": {"query": "{hello}"}}' % ("x" * 300),
        '{"type": "ping", "payload": {"n": %s}}' % ("9" * 10_000),
        '{"type": "ping", "payload": %s}' % ("[" * 2_000 + "]" * 2_000),
        '{"type": "ping", "payload": {"a": %s}}' % ("[" * 30 + "]" * 30),
        '{"type": "ping", "payload": {"a": "\\ud800"}}',
        '{"type": "%s"}' % ("ü" * 200),
        b'{"type": "ping"}',
        b"",
    ],
)
async def test_frames_that_are_no_message_close_with_a_reason(ws: Open, frame: str | bytes) -> None:
    async with ws() as client:
        await client.connection.send(frame)
        code, reason = await client.closed()
        assert code == 4400
        assert reason


async def test_text_that_is_not_utf_8(ws: Open) -> None:
    async with ws() as client:
        await client.connection.send(b'{"type": "\xff"}', text=True)
        assert (await client.closed())[0] == 1007


async def test_a_message_over_a_megabyte(ws: Open) -> None:
    async with ws() as client:
        await client.connection.send(json.dumps({"type": "ping", "payload": {"x": "y" * 10**6}}))
        assert (await client.closed())[0] == 1009


async def test_an_id_that_is_in_use(ws: Open) -> None:
    async with ws() as client:
        await client.subscribe("subscription { silent }", id_="same")
        await client.subscribe("{ hello }", id_="same")
        assert await client.closed() == (4409, "Subscriber for same already exists")


async def test_an_id_is_free_again_after_its_operation(ws: Open) -> None:
    async with ws() as client:
        for _ in range(3):
            await client.subscribe("{ hello }")
            assert len(await client.until_complete()) == 1
            await client.subscribe("{ wrong }")
            assert await client.error() == "GRAPHQL_VALIDATION_FAILED"


async def test_an_id_has_up_to_255_characters(ws: Open) -> None:
    async with ws() as client:
        await client.subscribe("{ hello }", id_="x" * 255)
        assert len(await client.until_complete("x" * 255)) == 1
        await client.subscribe("{ hello }", id_="x" * 256)
        assert (await client.closed())[0] == 4400


async def test_pings_are_answered_with_their_payload(ws: Open) -> None:
    async with ws(init=None) as client:
        await client.send({"type": "ping", "payload": {"n": 1}}, {"type": "pong"})
        assert await client.receive() == {"type": "pong", "payload": {"n": 1}}
        await client.send({"type": "ping"})
        assert await client.receive() == {"type": "pong"}


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
