"""Hostile operations, by every transport, beside somebody who just wants an answer. How long each
takes is for `bench.walls`, which the operations are from.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from bench.walls import ATTACKS, INFO, check
from tests.accounts import House
from tests.conftest import LiveServer
from tests.web.test_websocket import opened

# Messages that are deeper than any may be are not read, and so are no operation's fault.
UNREADABLE = "variables nested deeply"
# Executed: what is wrong with them is seen by the field that takes the filter, if anything is.
WITHIN = {name for name, attack in ATTACKS.items() if attack.refused is None}
WITHIN |= {"a megabyte to search for", "as many input objects as there may be"}


@pytest.fixture(scope="module")
async def http(live_server: LiveServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=live_server.url, timeout=60) as client:
        yield client


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_is_refused_and_disturbs_nobody(
    http: httpx.AsyncClient, house: House, name: str
) -> None:
    credentials = {"Authorization": (await house.person()).header}

    async def attack(accept: str) -> None:
        headers = {"Accept": accept, **credentials}
        for _ in range(3):
            response = await http.post("/graphql", json=ATTACKS[name].request, headers=headers)
            if name in WITHIN:
                assert response.status_code == 200
            else:
                # The new media type has its status for whatever is wrong with a document.
                assert response.status_code == 400
                refused(name, response.json())

    async def canary() -> None:
        for _ in range(20):
            response = await http.post("/graphql", json={"query": INFO})
            assert response.json()["data"]["serverInfo"]["name"] == "Taskloom"

    new = "application/graphql-response+json"
    await asyncio.gather(attack(new), attack(f"{new}, text/event-stream"), canary())


@pytest.mark.parametrize("name", ATTACKS)
async def test_within_a_stream_too(http: httpx.AsyncClient, house: House, name: str) -> None:
    headers = {"Accept": "text/event-stream", "Authorization": (await house.person()).header}
    response = await http.post("/graphql", json=ATTACKS[name].request, headers=headers)
    assert response.status_code in ({200} if name in WITHIN else {200, 400})
    if response.status_code == 400:
        refused(name, response.json())
    else:
        data = next(line for line in response.text.splitlines() if line.startswith("data: "))
        check(name, ATTACKS[name], httpx.Response(200, text=data[6:]).json())


@pytest.mark.parametrize("name", ATTACKS)
async def test_over_a_socket_it_is_an_error_of_its_own(
    live_server: LiveServer, house: House, name: str
) -> None:
    params = {"Authorization": (await house.person()).header}
    async with opened(live_server.url, init=params) as socket:
        await socket.send({"id": "attack", "type": "subscribe", "payload": ATTACKS[name].request})
        if name == UNREADABLE:
            code, reason = await socket.closed()
            assert (code, "levels deep" in reason) == (4400, True)
            return
        if name in WITHIN:
            (answer,) = await socket.until_complete("attack")
            check(name, ATTACKS[name], answer)
        else:
            message = await socket.receive()
            assert (message["id"], message["type"]) == ("attack", "error")
            refused(name, {"errors": message["payload"]})
        # The socket is as good as before.
        await socket.subscribe(INFO, id_="canary")
        (answer,) = await socket.until_complete("canary")
        assert answer["extensions"]["cost"]["charged"] == 1


def refused(name: str, answer: dict[str, Any]) -> None:
    check(name, ATTACKS[name], answer)
    extensions = answer["errors"][0]["extensions"]
    if "limit" in extensions:
        assert extensions["code"] in {"OPERATION_TOO_COMPLEX", "BAD_REQUEST"}
        assert extensions["actual"] > extensions["maximum"]
