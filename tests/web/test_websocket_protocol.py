"""graphql-transport-ws with raw frames on a real socket: the handshake, and messages' form."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from app import create_app
from settings import Settings
from tests.accounts import House
from tests.servers import serving
from tests.web import toy
from tests.web.websocket_client import PROTOCOL, Open, opened
from web.websocket import GraphQLOverWebSocket

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
