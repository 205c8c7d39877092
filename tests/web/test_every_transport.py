"""One request over every transport: the same answer, and the same said about it.

What a request means is decided in one place, but each transport has frames, statuses and headers of
its own. So requests of every kind are sent over all of them, and compared.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import httpx
import pytest

from app import Application
from tests.accounts import House
from tests.uploads import PREFLIGHT
from tests.web.http_calls import RESPONSE
from tests.web.test_event_stream import STREAM
from tests.web.websocket_client import opened

NAMED = 'query A($n: String = "x") { hello(name: $n) } query B { again { hello } }'
TEXT = "Zo\u00eb \u2028 \U0001f600"
NOWHERE = "0" * 64
REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "query": {"query": "{ hello }"},
    "variables": {
        "query": NAMED,
        "operationName": "A",
        "variables": {"n": "Zoë \u2028 \U0001f600"},
    },
    "default": {"query": NAMED, "operationName": "A"},
    "empty name": {"query": "{ hello }", "operationName": ""},
    "no operation of this name": {"query": NAMED, "operationName": "C"},
    "several operations": {"query": NAMED},
    "failure": {"query": "{ hello missing }"},
    "fault": {"query": "{ hello broken }"},
    "fault at the root": {"query": "{ hello sure }"},
    "fault with NULL": {"query": "{ hello again { sure } }", "onError": "NULL"},
    "failure with HALT": {"query": "{ hello missing }", "onError": "HALT"},
    "wrong onError": {"query": "{ hello }", "onError": "never"},
    "syntax": {"query": "{ hello"},
    "validation": {"query": "{ nothing }"},
    "no document": {"query": ""},
    "wrong variable": {"query": "query ($n: Int!) { count(to: $n) }", "variables": {"n": "one"}},
    "missing variable": {"query": "query ($n: Int!) { count(to: $n) }"},
    "cost": {"query": "{ hello }", "extensions": {"costOnly": True}},
    "cost of a subscription": {
        "query": "subscription { upto(to: 3) }",
        "extensions": {"costOnly": True},
    },
    "wrong flag": {"query": "{ hello }", "extensions": {"costOnly": 1}},
    "too many aliases": {"query": "{ " + " ".join(f"a{n}: hello" for n in range(60)) + " }"},
    "too many values": {
        "query": "query ($w: [Words!]!) { "
        + " ".join(f"a{n}: words(words: $w) {{ again {{ hello }} }}" for n in range(3))
        + " }",
        "variables": {"w": [{"text": "x"}] * 2},
    },
    "unknown document": {"documentId": f"sha256:{NOWHERE}"},
    "wrong identifier": {"documentId": "sha256:0"},
    "two documents": {"query": "{ hello }", "documentId": f"sha256:{NOWHERE}"},
    "unknown hash": {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": NOWHERE}}},
    "deprecated": {"query": "{ greeting }"},
    "beside the schema": {"query": '{ hello __type(name: "Query") { name } }'},
    "the schema alone": {"query": '{ __type(name: "Query") { name } }'},
}
SLOW: Final = {"query": "{ slow(seconds: 30) }"}
TOLD: Final = ("ratelimit-policy", "deprecation", "sunset")

# The answer; and the headers around it, where there are some.
Sent = tuple[Any, httpx.Headers | None]
Send = Callable[[httpx.AsyncClient, dict[str, Any]], Awaitable[Sent]]


def _read(response: httpx.Response) -> Sent:
    return response.json(), response.headers


async def _post(http: httpx.AsyncClient, request: dict[str, Any]) -> Sent:
    return _read(await http.post("/graphql", json=request, headers={"Accept": RESPONSE}))


async def _plain(http: httpx.AsyncClient, request: dict[str, Any]) -> Sent:
    return _read(await http.post("/graphql", json=request))


async def _get(http: httpx.AsyncClient, request: dict[str, Any]) -> Sent:
    parameters = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in request.items()
    }
    return _read(await http.get("/graphql", params=parameters))


async def _form(http: httpx.AsyncClient, request: dict[str, Any]) -> Sent:
    files = {"operations": (None, json.dumps(request)), "map": (None, "{}")}
    return _read(await http.post("/graphql", files=files, headers=PREFLIGHT))


async def _stream(http: httpx.AsyncClient, request: dict[str, Any]) -> Sent:
    response = await http.post("/graphql", json=request, headers=STREAM)
    if not response.headers["content-type"].startswith("text/event-stream"):
        return _read(response)
    # Other separators of lines, such as U+2028, end none; comments keep the connection open.
    event, data, *end = [line for line in response.text.split("\n") if line not in {"", ":"}]
    assert (event, end) == ("event: next", ["event: complete", "data:"])
    return json.loads(data.removeprefix("data: ")), response.headers


async def _hashed(http: httpx.AsyncClient, request: dict[str, Any]) -> Sent:
    given = dict(request)
    if given.get("query") and "documentId" not in given:
        digest = hashlib.sha256(given["query"].encode()).hexdigest()
        persisted = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
        given["extensions"] = {**given.get("extensions", {}), **persisted}
    return await _post(http, given)


async def _identified(http: httpx.AsyncClient, request: dict[str, Any]) -> Sent:
    """By the identifier, if the document is valid and so was kept when it came with its hash."""
    answer, headers = await _hashed(http, request)
    text = request.get("query")
    if not text or "documentId" in request or _code(answer) in _OF_DOCUMENTS:
        return answer, headers
    digest = hashlib.sha256(text.encode()).hexdigest()
    rest = {name: value for name, value in request.items() if name != "query"}
    return await _post(http, {**rest, "documentId": f"sha256:{digest}"})


_OF_DOCUMENTS: Final = {
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "OPERATION_TOO_COMPLEX",
    "BAD_REQUEST",
}


async def _socket(http: httpx.AsyncClient, request: dict[str, Any]) -> Sent:
    init = {"Authorization": http.headers["Authorization"]}
    async with opened(str(http.base_url).rstrip("/"), init=init) as socket:
        await socket.send({"id": "1", "type": "subscribe", "payload": request})
        message = await socket.receive()
        if message["type"] == "error":
            # The protocol has only errors here.
            return {"errors": message["payload"]}, None
        assert (await socket.receive())["type"] == "complete"
        return message["payload"], None


WAYS: Final[tuple[Send, ...]] = (_plain, _get, _form, _stream, _hashed, _identified, _socket)


def _code(answer: Any) -> Any:
    return answer["errors"][0]["extensions"]["code"] if answer.get("errors") else None


def _essence(answer: Any) -> Any:
    """What must not depend on the transport."""
    request_id = answer.get("extensions", {}).get("requestId")
    cost = answer.get("extensions", {}).get("cost", {})
    for passing in ("remaining", "resetAt"):
        cost.pop(passing, None)
    text = json.dumps(answer)
    return json.loads(text if request_id is None else text.replace(request_id, "ID"))


@pytest.fixture
async def signed(http: httpx.AsyncClient, house: House) -> httpx.AsyncClient:
    """Files are accepted from users only, so a user sends everything."""
    http.headers["Authorization"] = (await house.person()).header
    return http


@pytest.mark.parametrize("name", REQUESTS)
async def test_the_same_answer_and_headers(name: str, signed: httpx.AsyncClient) -> None:
    request = REQUESTS[name]
    answer, headers = await _post(signed, request)
    expected = _essence(answer)
    for send in WAYS:
        answer, others = await send(signed, request)
        found = _essence(answer)
        if send is _socket and "data" not in expected:
            assert found == {"errors": expected["errors"]}
            continue
        assert found == expected, send
        if others is not None and headers is not None:
            assert _told(others, TOLD) == _told(headers, TOLD), send


def _told(headers: httpx.Headers, names: Iterable[str]) -> list[str | None]:
    return [headers.get(name) for name in names]


async def test_an_operation_that_takes_too_long(signed: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(send(signed, SLOW) for send in (_post, _stream, _socket)))
    post, *others = [_essence(answer) for answer, _ in answers]
    assert _code(post) == "TIMEOUT"
    assert others == [post, post]


# --- what operators are told ----------------------------------------------------------------------


def _outcomes(app: Application, transport: str) -> dict[str, float]:
    """How many operations of this transport ended in which way."""
    found: dict[str, float] = {}
    for family in app.runtime.metrics.registry.collect():
        for sample in family.samples:
            if sample.name == "taskloom_operations_total":
                labels = sample.labels
                if labels["transport"] == transport:
                    found[labels["outcome"]] = found.get(labels["outcome"], 0) + sample.value
    return found


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("{ hello }", ("ok", None)),
        ("{ missing }", ("errors", ["NOT_FOUND"])),
        ("{ broken }", ("errors", ["INTERNAL_SERVER_ERROR"])),
        ("query ($n: Int!) { count(to: $n) }", ("refused", ["BAD_USER_INPUT"])),
        ("subscription { upto(to: 1) }", ("ok", None)),
        ("subscription { refused }", ("refused", ["BAD_USER_INPUT"])),
        ("subscription { breaks }", ("refused", ["INTERNAL_SERVER_ERROR"])),
    ],
)
async def test_the_same_outcome_in_the_log_and_the_metrics(
    query: str,
    told: tuple[str, list[str] | None],
    signed: httpx.AsyncClient,
    toy_app: Application,
    caplog: pytest.LogCaptureFixture,
) -> None:
    outcome, codes = told
    streams = query.startswith("subscription")

    async def by_http() -> None:
        await _post(signed, {"query": query})

    async def by_stream() -> None:
        await signed.post("/graphql", json={"query": query}, headers=STREAM)

    async def by_socket() -> None:
        init = {"Authorization": signed.headers["Authorization"]}
        async with opened(str(signed.base_url).rstrip("/"), init=init) as socket:
            await socket.subscribe(query)
            while (await socket.receive())["type"] == "next":
                pass

    caplog.set_level("INFO", "taskloom.access")
    ways = {"sse": by_stream, "ws": by_socket} | ({} if streams else {"http": by_http})
    for transport, send in ways.items():
        before = _outcomes(toy_app, transport)
        caplog.clear()
        await send()
        async with asyncio.timeout(10):
            # Both are written after the answer.
            while not (lines := [one.msg for one in caplog.records if "hash" in one.msg]):
                await asyncio.sleep(0.01)
        after = _outcomes(toy_app, transport)
        assert after == {**before, outcome: before.get(outcome, 0) + 1}, transport
        (line,) = lines
        assert isinstance(line, dict)
        assert (line["outcome"], line.get("codes")) == (outcome, codes), transport
        level = "warning" if codes == ["INTERNAL_SERVER_ERROR"] else "info"
        assert line["level"] == level, transport
