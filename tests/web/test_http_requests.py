"""GraphQL over HTTP, as its draft and its audit suite want it, on real sockets: requests."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.web import toy
from tests.web.http_calls import JSON, RESPONSE, code, post

# Bodies


@pytest.mark.parametrize("body", ["null", "1", "[]", '"{ hello }"', "true", "{}", '{"query": 1}'])
async def test_bodies_that_are_no_request(http: httpx.AsyncClient, body: str) -> None:
    response = await http.post("/graphql", content=body, headers={"Content-Type": JSON})
    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "fields",
    [
        {"query": ["{ hello }"]},
        {"query": None},
        {"query": ""},
        {"query": "{ hello }", "variables": []},
        {"query": "{ hello }", "variables": "{}"},
        {"query": "{ hello }", "operationName": 1},
        {"query": "{ hello }", "extensions": [1]},
    ],
)
async def test_fields_of_the_wrong_type(http: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    for accept in (JSON, RESPONSE):
        response = await post(http, accept, **fields)
        assert (response.status_code, code(response)) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"query": "\xff"}',
        b'{"query": "\\ud800"}',
        b'{"query": "{ hello }", "variables": {"n": NaN}}',
        b'{"query": "{ hello }", "variables": {"n": ' + b"1" * 10_000 + b"}}",
        b'{"query": "{ hello }", "variables": {"n": 1e99999}}',
        b'{"variables": ' + b'{"a":' * 21 + b"1" + b"}" * 21 + b', "query": "{ hello }"}',
        b'{"variables": ' + b"[" * 100_000,
        b"[" * 500 + b"]" * 500,
    ],
)
async def test_json_that_is_broken_or_hostile(http: httpx.AsyncClient, content: bytes) -> None:
    response = await http.post("/graphql", content=content, headers={"Content-Type": JSON})
    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")


async def test_json_of_twenty_levels_is_read(http: httpx.AsyncClient) -> None:
    deep: Any = 1
    for _ in range(18):
        deep = [deep]
    response = await post(http, query="{ hello }", variables={"x": deep})
    assert response.status_code == 200
    response = await post(http, query="{ hello }", variables={"x": [deep]})
    assert response.status_code == 400
    (error,) = response.json()["errors"]
    assert error["extensions"] == {
        "code": "BAD_REQUEST", "limit": "levels of JSON", "actual": 21, "maximum": 20
    }  # fmt: skip


async def test_json_too_deep_to_be_parsed_is_told_so_too(http: httpx.AsyncClient) -> None:
    content = b'{"query": "{ hello }", "variables": %s}' % (b"[" * 5_000 + b"]" * 5_000)
    response = await http.post("/graphql", content=content, headers={"Content-Type": JSON})
    assert response.status_code == 400
    (error,) = response.json()["errors"]
    assert "levels deep; at most 20 are allowed" in error["message"]
    assert (error["extensions"]["limit"], error["extensions"]["maximum"]) == ("levels of JSON", 20)
    assert error["extensions"]["actual"] > 1_000


async def test_integers_beyond_64_bits_are_bad_input(http: httpx.AsyncClient) -> None:
    content = b'{"query": "query($n: Int!) { count(to: $n) }", "variables": {"n": %s}}' % (
        b"9" * 30
    )
    response = await http.post("/graphql", content=content, headers={"Content-Type": JSON})
    assert code(response) == "BAD_USER_INPUT"


async def test_a_literal_of_ten_thousand_digits(http: httpx.AsyncClient) -> None:
    response = await post(http, RESPONSE, query="{ count(to: %s) }" % ("9" * 10_000))
    assert (response.status_code, code(response)) == (400, "GRAPHQL_VALIDATION_FAILED")


async def test_a_body_over_a_megabyte_is_refused(http: httpx.AsyncClient) -> None:
    body = json.dumps({"query": "{ hello }", "variables": {"x": "y" * 1_000_000}})
    response = await http.post("/graphql", content=body, headers={"Content-Type": JSON})
    assert (response.status_code, code(response)) == (413, "BAD_REQUEST")
    (error,) = response.json()["errors"]
    assert error["extensions"] == {
        "code": "BAD_REQUEST", "limit": "bytes", "actual": len(body), "maximum": 1_000_000
    }  # fmt: skip


async def test_a_body_of_a_megabyte_is_read(http: httpx.AsyncClient) -> None:
    body = json.dumps({"query": "{ hello }"}).ljust(1_000_000)
    response = await http.post("/graphql", content=body, headers={"Content-Type": JSON})
    assert response.json()["data"] == {"hello": "hello world"}


async def test_a_body_of_unknown_length_is_measured_as_it_comes(http: httpx.AsyncClient) -> None:
    async def chunks() -> Any:
        for _ in range(20):
            yield b" " * 100_000

    response = await http.post("/graphql", content=chunks(), headers={"Content-Type": JSON})
    assert response.status_code == 413


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/graphql",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/jsonp",
    ],
)
async def test_only_json_is_read_so_that_no_form_can_post(
    http: httpx.AsyncClient, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    done = toy.Mutation.done
    body = json.dumps({"query": "mutation { add }"})
    response = await http.post("/graphql", content=body.encode(), headers=headers)
    assert response.status_code == 415
    assert response.headers["content-type"].startswith(JSON)
    assert toy.Mutation.done == done


async def test_a_form_with_files_needs_a_header_that_no_form_can_set(
    http: httpx.AsyncClient,
) -> None:
    done = toy.Mutation.done
    body = json.dumps({"query": "mutation { add }"})
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = await http.post("/graphql", content=body.encode(), headers=headers)
    assert response.status_code == 400
    assert response.headers["content-type"].startswith(JSON)
    assert toy.Mutation.done == done


@pytest.mark.parametrize("charset", ["; charset=utf-8", ';charset="UTF-8"', ""])
async def test_utf_8_is_read_whether_named_or_not(http: httpx.AsyncClient, charset: str) -> None:
    body = json.dumps({"query": '{ hello(name: "Zoë 🌍") }'}, ensure_ascii=False).encode()
    headers = {"Content-Type": f"application/json{charset}"}
    response = await http.post("/graphql", content=body, headers=headers)
    assert response.json()["data"] == {"hello": "hello Zoë 🌍"}


# Methods


async def test_a_query_by_get(http: httpx.AsyncClient) -> None:
    response = await http.get(
        "/graphql",
        params={
            "query": "query A($name: String!) { hello(name: $name) } query B { __typename }",
            "operationName": "A",
            "variables": '{"name": "GET"}',
        },
    )
    assert response.json()["data"] == {"hello": "hello GET"}


async def test_mutations_are_not_for_get(http: httpx.AsyncClient) -> None:
    done = toy.Mutation.done
    response = await http.get("/graphql", params={"query": "mutation { add }"})
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert toy.Mutation.done == done


@pytest.mark.parametrize(
    "query",
    [
        "",
        "query=",
        "query=%7Bhello%7D&variables=%7B",
        "query=%7Bhello%7D&variables=1",
        "query=%7Bhello%7D&query=%7Bhello%7D",
        "query=%FF",
        "documentId=sha256%3A0&documentId=sha256%3A1",
        "query=%7Bhello%7D&documentId=sha256%3A" + "0" * 64,
        "&".join(f"a{n}=1" for n in range(100)),
        "variables=" + "%5B" * 2_000,
    ],
)
async def test_get_without_a_readable_query(http: httpx.AsyncClient, query: str) -> None:
    response = await http.get(f"/graphql?{query}")
    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "TRACE"])
async def test_other_methods_are_told_which_there_are(http: httpx.AsyncClient, method: str) -> None:
    response = await http.request(method, "/graphql")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST, OPTIONS"
    assert response.headers["content-type"].startswith(JSON)


async def test_batches_are_refused_with_a_reason(http: httpx.AsyncClient) -> None:
    response = await http.post("/graphql", json=[{"query": "{ hello }"}])
    assert response.status_code == 400
    assert "one by one" in response.json()["errors"][0]["message"]


async def test_a_subscription_by_plain_post_is_told_the_transports(
    http: httpx.AsyncClient,
) -> None:
    response = await post(http, query="subscription { upto(to: 1) }")
    assert response.status_code == 400
    message = response.json()["errors"][0]["message"]
    assert "text/event-stream" in message
    assert "graphql-transport-ws" in message
