"""`onError` over every transport. What it does to answers is in `test_error_behaviors`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.web import toy
from tests.web.http_calls import RESPONSE, code, post
from tests.web.test_event_stream import PATIENCE, STREAM, events
from tests.web.websocket_client import Open, opened

QUERY = "{ hello again { sure hello } missing }"
HELLO = {"hello": "hello world"}
ANSWERS: dict[str | None, Any] = {
    None: None,
    "PROPAGATE": None,
    "NULL": {**HELLO, "again": {"sure": None, **HELLO}, "missing": None},
    "HALT": None,
}
EVERY_BEHAVIOR = pytest.mark.parametrize("on_error", ANSWERS)
LISTEN = "subscription { step { hello sure } }"
DELIVERIES: dict[str | None, Any] = {
    None: None,
    "PROPAGATE": None,
    "NULL": {"step": {**HELLO, "sure": None}},
    "HALT": None,
}


@pytest.fixture
def ws(toy_url: str) -> Open:
    return lambda **options: opened(toy_url, **options)


def paths(answer: Any) -> list[Any]:
    return [error["path"] for error in answer.get("errors", ())]


def is_right(answer: Any, on_error: str | None) -> None:
    assert answer["data"] == ANSWERS[on_error]
    # HALT says only what came first. Further errors below a null are optional.
    assert ["again", "sure"] in paths(answer)
    if on_error == "NULL":
        assert paths(answer) == [["again", "sure"], ["missing"]]
    elif on_error == "HALT":
        assert len(answer["errors"]) == 1


@EVERY_BEHAVIOR
async def test_over_http(on_error: str | None, http: httpx.AsyncClient) -> None:
    sent = {"query": QUERY} | ({} if on_error is None else {"onError": on_error})
    for response in (
        await http.post("/graphql", json=sent, headers={"Accept": RESPONSE}),
        await http.get("/graphql", params=sent, headers={"Accept": RESPONSE}),
    ):
        assert response.status_code == 200
        is_right(response.json(), on_error)
    nothing = await http.post("/graphql", json={"query": QUERY, "onError": None})
    is_right(nothing.json(), None)


@EVERY_BEHAVIOR
async def test_by_the_engine_that_operations_fall_back_to(
    on_error: str | None, http: httpx.AsyncClient
) -> None:
    query = QUERY.replace("hello again", "hello __schema { __typename } again")
    response = await post(http, query=query, onError=on_error)
    assert response.headers["x-taskloom-engine"] == "standard"
    answer = response.json()
    if answer["data"] is not None:
        del answer["data"]["__schema"]
    is_right(answer, on_error)


@EVERY_BEHAVIOR
async def test_over_a_websocket(on_error: str | None, ws: Open) -> None:
    async with ws() as client:
        await client.subscribe(QUERY, onError=on_error)
        (payload,) = await client.until_complete()
        is_right(payload, on_error)
        await client.subscribe(LISTEN, onError=on_error)
        for _ in range(3):
            # An error ends no subscription, whatever the behavior.
            message = await client.receive()
            assert message["type"] == "next"
            assert message["payload"]["data"] == DELIVERIES[on_error]
            assert paths(message["payload"]) == [["step", "sure"]]


@EVERY_BEHAVIOR
async def test_over_an_event_stream(on_error: str | None, http: httpx.AsyncClient) -> None:
    once = {"query": QUERY, "onError": on_error}
    response = await http.post("/graphql", json=once, headers=STREAM)
    line = next(line for line in response.text.splitlines() if line.startswith("data: "))
    is_right(json.loads(line.removeprefix("data: ")), on_error)
    sent = {"query": LISTEN, "onError": on_error}
    async with (
        asyncio.timeout(PATIENCE),
        http.stream("POST", "/graphql", json=sent, headers=STREAM) as stream,
    ):
        found = 0
        async for event, data in events(stream.aiter_lines()):
            assert (event, data["data"]) == ("next", DELIVERIES[on_error])
            assert paths(data) == [["step", "sure"]]
            found += 1
            if found == 3:
                return
    pytest.fail("the stream ended")


@pytest.mark.parametrize("wrong", ["", "null", "Null", "ABORT", "NO_PROPAGATE", 1, True, ["NULL"]])
async def test_another_value_is_told_the_three(wrong: Any, http: httpx.AsyncClient) -> None:
    done = toy.Mutation.done
    response = await post(http, query="mutation { add }", onError=wrong)
    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")
    assert "data" not in response.json()
    message = "`onError` must be NULL, PROPAGATE or HALT."
    assert response.json()["errors"][0]["message"] == message
    assert toy.Mutation.done == done


async def test_another_value_harms_no_other_operation(ws: Open, http: httpx.AsyncClient) -> None:
    async with ws() as client:
        await client.subscribe("{ hello }", onError="ABORT")
        assert await client.error() == "BAD_REQUEST"
        await client.alive()
    stream = await http.post("/graphql", json={"query": LISTEN, "onError": "ABORT"}, headers=STREAM)
    assert (stream.status_code, code(stream)) == (400, "BAD_REQUEST")
    twice = await http.get("/graphql?query=%7Bhello%7D&onError=NULL&onError=HALT")
    assert (twice.status_code, code(twice)) == (400, "BAD_REQUEST")


@EVERY_BEHAVIOR
async def test_what_is_refused_stays_refused(on_error: str | None, http: httpx.AsyncClient) -> None:
    for query in ("query ($n: Int!) { count(to: $n) }", "{ nothing }", "{"):
        response = await post(http, RESPONSE, query=query, onError=on_error)
        assert response.status_code == 400
        assert "data" not in response.json()


async def test_of_several_mutations_those_after_the_first_error_do_not_run(
    http: httpx.AsyncClient,
) -> None:
    query = "mutation ($t: String!) { a: add fails: renew(token: $t) b: add }"

    async def run(on_error: str) -> tuple[Any, int]:
        done = toy.Mutation.done
        response = await post(http, query=query, onError=on_error, variables={"t": "nonsense"})
        assert paths(response.json()) == [["fails"]]
        return response.json()["data"], toy.Mutation.done - done

    before = toy.Mutation.done
    assert await run("NULL") == ({"a": before + 1, "fails": None, "b": before + 2}, 2)
    assert await run("HALT") == (None, 1)
    # The field is non-null, so its error ends a mutation anyway.
    assert await run("PROPAGATE") == (None, 1)


async def test_what_a_stopped_mutation_answers(http: httpx.AsyncClient) -> None:
    query = "mutation { a: add slow: addSlowly(seconds: 30) b: add }"

    async def run(on_error: str) -> tuple[Any, list[Any]]:
        answer = (await post(http, query=query, onError=on_error)).json()
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"TIMEOUT"}
        return answer["data"], [error.get("path") for error in answer["errors"]]

    done = toy.Mutation.done
    assert await run("NULL") == ({"a": done + 1, "slow": None, "b": None}, [["slow"], ["b"]])
    assert await run("HALT") == (None, [None])
