"""GraphQL over HTTP, as its draft and its audit suite want it, on real sockets: answers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.accounts import House
from tests.web.http_calls import JSON, RESPONSE, code, post

# What is answered, and in which form


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (RESPONSE, RESPONSE),
        (JSON, JSON),
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (f"{JSON}, {RESPONSE}", JSON),
        (f"{RESPONSE}, {JSON};q=0.9", RESPONSE),
        (f"{JSON};q=0.1, {RESPONSE};q=0.2", RESPONSE),
        # What urql sends: JSON stands first, so it is no event stream.
        (f"{RESPONSE}, application/graphql+json, {JSON}, text/event-stream", RESPONSE),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),
        (f"{RESPONSE}; charset=utf-8", RESPONSE),
        (f"{JSON};q=0, */*", RESPONSE),
        (f"{RESPONSE};q=0, */*", JSON),
        (f"{RESPONSE}; charset=iso-8859-1, {JSON}", JSON),
    ],
)
async def test_the_first_acceptable_type_is_answered(
    http: httpx.AsyncClient, accept: str | None, media_type: str
) -> None:
    request = http.build_request("POST", "/graphql", json={"query": "{ hello }"})
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    response = await http.send(request)
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert response.json()["data"] == {"hello": "hello world"}


@pytest.mark.parametrize("accept", [RESPONSE, JSON])
async def test_what_will_be_removed_is_told_in_headers(
    http: httpx.AsyncClient, accept: str
) -> None:
    response = await post(http, accept, query="{ hello ... on Query { old: greeting } }")
    assert response.headers["sunset"] == "Tue, 01 Jun 2027 00:00:00 GMT"
    # Half a year earlier: 2026-11-30.
    assert response.headers["deprecation"] == "@1795996800"
    lasting = await post(http, accept, query="{ hello }")
    assert not {"sunset", "deprecation"} & set(lasting.headers)


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        f"{JSON};q=0",
        "image/png, text/plain",
        f"{JSON};q=0, {RESPONSE};q=0, */*",
    ],
)
async def test_what_nobody_can_read_is_refused(http: httpx.AsyncClient, accept: str) -> None:
    response = await post(http, accept, query="{ hello }")
    assert response.status_code == 406
    assert response.headers["content-type"].startswith(JSON)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"query": "{ hello"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "{ hello }", "operationName": "other"}, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "query a { hello } query b { hello }"}, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "fragment f on Query { hello }"}, "GRAPHQL_VALIDATION_FAILED"),
        (
            {"query": "query ($n: Int!) { count(to: $n) }", "variables": {"n": "x"}},
            "BAD_USER_INPUT",
        ),
        ({"query": "query ($n: Int!) { count(to: $n) }"}, "BAD_USER_INPUT"),
    ],
)
async def test_a_refused_document_is_400_without_data_or_200_for_older_clients(
    http: httpx.AsyncClient, body: dict[str, Any], expected: str
) -> None:
    new = await post(http, RESPONSE, **body)
    old = await post(http, JSON, **body)
    assert (new.status_code, old.status_code) == (400, 200)
    for response in (new, old):
        assert code(response) == expected
        assert "data" not in response.json()
        assert response.json()["extensions"]["requestId"] == response.headers["x-request-id"]


async def test_an_executed_operation_is_200_with_its_errors_inside(http: httpx.AsyncClient) -> None:
    response = await post(http, RESPONSE, query="{ hello missing }")
    assert response.status_code == 200
    assert response.json()["data"] == {"hello": "hello world", "missing": None}
    (error,) = response.json()["errors"]
    assert error["path"] == ["missing"]
    assert error["extensions"] == {"code": "NOT_FOUND", "argumentPath": ["taskId"]}


async def test_data_is_null_where_a_failure_reaches_the_root(http: httpx.AsyncClient) -> None:
    response = await post(http, RESPONSE, query="{ hello sure }")
    assert response.status_code == 200
    assert response.json()["data"] is None


async def test_in_development_a_header_names_the_engine(http: httpx.AsyncClient) -> None:
    response = await post(http, query="{ hello }")
    assert response.headers["x-taskloom-engine"] == "batch"


# Credentials


async def test_the_header_says_who_asks(http: httpx.AsyncClient, house: House) -> None:
    person = await house.person()
    http.headers["Authorization"] = person.header
    response = await post(http, query="{ me }")
    assert response.json()["data"] == {"me": str(person.id)}


@pytest.mark.parametrize("value", ["Bearer nonsense", "Basic eDp5", "Bearer", "", "Bearer a b"])
async def test_bad_credentials_are_401(http: httpx.AsyncClient, value: str) -> None:
    http.headers["Authorization"] = value
    for accept in (JSON, RESPONSE):
        response = await post(http, accept, query="{ hello }")
        assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.headers["content-type"].startswith(accept)


# Errors and limits


async def test_a_fault_tells_nothing_but_its_request_id(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await post(http, query="{ broken }")
    assert response.status_code == 200
    assert "password" not in response.text
    (error,) = response.json()["errors"]
    request_id = response.headers["x-request-id"]
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": request_id}
    record = next(record for record in caplog.records if request_id in record.getMessage())
    assert record.exc_info is not None
    assert "SELECT password" in str(record.exc_info[1])


async def test_variables_are_not_repeated_in_errors(http: httpx.AsyncClient) -> None:
    query = "query ($w: Words!) { words(words: $w) }"
    response = await post(http, query=query, variables={"w": {"more": "my password", "txt": "x"}})
    assert code(response) == "BAD_USER_INPUT"
    assert "my password" not in response.text
    assert "None" not in response.text


@pytest.mark.parametrize(
    "body",
    [
        {"query": '{ words(words: {text: "a", more: null}) }'},
        {
            "query": "query ($w: Words!) { words(words: $w) }",
            "variables": {"w": {"text": "a", "more": None}},
        },
        {
            "query": 'query ($m: String) { words(words: {text: "a", more: $m}) }',
            "variables": {"m": None},
        },
    ],
)
async def test_a_null_where_only_absence_is_allowed(
    http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    response = await post(http, **body)
    assert code(response) in {"BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"}
    assert "Maybe" not in response.text
    assert "str" not in response.text
    assert "Omit it" in response.text


async def test_an_expected_failure_says_where(http: httpx.AsyncClient) -> None:
    response = await post(http, query='{ words(words: {text: "bad"}) }')
    (error,) = response.json()["errors"]
    assert error["message"] == "That is a bad word."
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argumentPath": ["words", "text"]}


async def test_at_most_twenty_errors(http: httpx.AsyncClient) -> None:
    names = " ".join(f"x{n}" for n in range(101))
    response = await post(http, RESPONSE, query=f"{{ {names} }}")
    assert response.status_code == 400
    assert len(response.json()["errors"]) == 20


async def test_a_slow_operation_is_cut(http: httpx.AsyncClient) -> None:
    response = await post(http, query="{ slow(seconds: 30) }")
    assert response.status_code == 200
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "TIMEOUT"
    assert error["extensions"]["maximum"] == 1.0


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("{" + " ".join(f"a{n}: hello" for n in range(31)) + "}", "aliases"),
        ("{" + "again {" * 15 + "hello" + "}" * 16, "levels"),
        ("{" + "hello @skip(if: false) " * 21 + "}", "directives"),
        ("{" + "hello " * 501 + "}", "fields"),
        ("{" + "again { hello } " * 501 + "}", "tokens"),
        ("{ hello } #" + "x" * 20_000, "characters"),
    ],
)
async def test_documents_over_a_limit(http: httpx.AsyncClient, query: str, limit: str) -> None:
    for accept in (JSON, RESPONSE):
        response = await post(http, accept, query=query)
        assert (response.status_code, code(response)) == (400, "OPERATION_TOO_COMPLEX")
        extensions = response.json()["errors"][0]["extensions"]
        assert extensions["limit"] == limit
        assert extensions["actual"] > extensions["maximum"]


async def test_the_standard_introspection_passes_and_is_answered_again(
    http: httpx.AsyncClient,
) -> None:
    from graphql import build_client_schema, get_introspection_query

    first = await post(http, query=get_introspection_query())
    second = await post(http, query=get_introspection_query())
    assert first.json()["data"] == second.json()["data"]
    assert first.json()["extensions"] != second.json()["extensions"]
    assert build_client_schema(first.json()["data"]).query_type is not None


async def test_no_cache_keeps_an_answer(http: httpx.AsyncClient) -> None:
    """Any operation, of any client."""
    query = {"query": "{ hello }"}
    answers = [
        await http.post("/graphql", json=query),
        await http.get("/graphql", params=query),
        await http.post("/graphql", json={"query": "{ nothing }"}),
        await http.post("/graphql", json=query, headers={"Authorization": "Bearer x"}),
        await http.post("/graphql", content=b"{", headers={"Content-Type": "application/json"}),
        await http.get("/graphql", params={"query": "mutation { add }"}),
        await http.delete("/graphql"),
        await http.options("/graphql"),
        await http.post("/graphql", json=query, headers={"Accept": "text/event-stream"}),
        await http.post("/auth/token", data={"grant_type": "password"}),
        await http.post("/auth/revoke", data={"token": "x"}),
    ]
    assert {answer.status_code for answer in answers} >= {200, 204, 400, 401, 405}
    for answer in answers:
        assert "no-store" in answer.headers["Cache-Control"], answer.request
