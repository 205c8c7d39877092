"""Hostile documents, by every transport, beside somebody who just wants an answer."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson
import pytest
import websockets

from tests.conftest import LiveServer

INFO = "{ serverInfo { name } }"

_FRAGMENTS = " ".join(f"fragment F{n} on Task {{ ...F{n + 1} ...F{n + 1} }}" for n in range(12))
_BOMB = f"{{ tasks {{ nodes {{ ...F0 }} }} }} {_FRAGMENTS} fragment F12 on Task {{ id title }}"
_MILLION = """
{ projects(first: 100) { nodes { tasks(first: 100) { nodes {
  comments(first: 100) { nodes { id } } } } } } }
"""
ATTACKS: dict[str, tuple[str, str]] = {
    "a megabyte of tokens": ("{ " + "a " * 400_000 + "}", "characters"),
    "1,500 fields of one name": ("{ " + "serverInfo { name } " * 750 + "}", "tokens"),
    "3,000 unused fragments": (
        INFO + " ".join(f"fragment U{n} on Task{{id}}" for n in range(3_000)), "characters"
    ),
    "a bomb of fragments": (
        _BOMB,
        "fields",
    ),
    "fifty levels": ("{ tasks " + "{ nodes " * 50 + "{ id } " + "} " * 50 + "}", "levels"),
    "a hundred aliases": (
        "{ " + " ".join(f"a{n}: serverInfo {{ name }}" for n in range(100)) + " }", "aliases"
    ),
    "a heap of directives": (
        "{ serverInfo " + "@include(if: true) " * 200 + "{ name } }", "directives"
    ),
    "tokens in arguments": (
        "{ tasks(filter: {id: {in: [" + "1 " * 4_000 + "]}}) { nodes { id } } }", "tokens"
    ),
    "a million rows": (
        _MILLION,
        "points",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_is_refused_and_disturbs_nobody(live_server: LiveServer, name: str) -> None:
    text, limit = ATTACKS[name]
    async with httpx.AsyncClient(base_url=live_server.url, timeout=60) as http:

        async def attack(accept: str) -> None:
            for _ in range(5):
                response = await http.post(
                    "/graphql", json={"query": text}, headers={"Accept": accept}
                )
                assert response.status_code == 400, response.text[:300]
                refused(response.json()["errors"], limit)

        async def canary() -> None:
            for _ in range(20):
                response = await http.post("/graphql", json={"query": INFO})
                assert response.json()["data"]["serverInfo"]["name"] == "Taskloom"

        await asyncio.gather(attack("application/json"), attack("text/event-stream"), canary())


@pytest.mark.parametrize("name", ATTACKS)
async def test_over_a_socket_it_is_an_error_of_its_own(live_server: LiveServer, name: str) -> None:
    text, limit = ATTACKS[name]
    address = live_server.url.replace("http://", "ws://") + "/graphql"
    async with websockets.connect(address, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]

        async def say(message: dict[str, Any]) -> None:
            await socket.send(orjson.dumps(message).decode())

        async def heard() -> dict[str, Any]:
            message: dict[str, Any] = orjson.loads(await socket.recv())
            return message

        await say({"type": "connection_init"})
        assert (await heard())["type"] == "connection_ack"
        await say({"type": "subscribe", "id": "attack", "payload": {"query": text}})
        answer = await heard()
        assert (answer["id"], answer["type"]) == ("attack", "error")
        refused(answer["payload"], limit)
        # The socket is as good as before.
        await say({"type": "subscribe", "id": "canary", "payload": {"query": INFO}})
        answer = await heard()
        assert (answer["id"], answer["type"]) == ("canary", "next")
        assert answer["payload"]["extensions"]["cost"]["charged"] == 1


def refused(errors: list[dict[str, Any]], limit: str) -> None:
    (error,) = errors
    extensions = error["extensions"]
    assert (extensions["code"], extensions["limit"]) == ("OPERATION_TOO_COMPLEX", limit)
    assert extensions["actual"] > extensions["maximum"]
