"""Documents over HTTP that are named and not sent."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest

from tests.web import toy
from tests.web.http_calls import JSON, RESPONSE, code, persist, post

# Automatic persisted queries


async def test_a_document_is_found_again_by_its_hash(http: httpx.AsyncClient) -> None:
    query = "{ hello again { hello } }"
    digest = hashlib.sha256(query.encode()).hexdigest()
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
    unknown = await http.get("/graphql", params={"extensions": json.dumps(extensions)})
    assert code(unknown) == "PERSISTED_QUERY_NOT_FOUND"
    taught = await post(http, query=query, extensions=extensions)
    assert taught.json()["data"]["hello"] == "hello world"
    known = await http.get("/graphql", params={"extensions": json.dumps(extensions)})
    assert known.json()["data"] == taught.json()["data"]
    assert known.headers["content-type"].startswith(JSON)


@pytest.mark.parametrize(
    ("persisted", "expected"),
    [
        ({"version": 1, "sha256Hash": "0" * 64}, "BAD_REQUEST"),
        ({"version": 1, "sha256Hash": 1}, "BAD_REQUEST"),
        ({"version": 2, "sha256Hash": "0" * 64}, "PERSISTED_QUERY_NOT_SUPPORTED"),
        ([], "PERSISTED_QUERY_NOT_SUPPORTED"),
    ],
)
async def test_hashes_that_do_not_fit(
    http: httpx.AsyncClient, persisted: Any, expected: str
) -> None:
    response = await post(http, query="{ hello }", extensions={"persistedQuery": persisted})
    assert code(response) == expected


@pytest.mark.parametrize("wrong", ["z" * 64, "\0" * 64, "0" * 63, "\u0660" * 64])
async def test_only_a_hash_is_looked_up(http: httpx.AsyncClient, wrong: str) -> None:
    response = await post(http, extensions={"persistedQuery": {"version": 1, "sha256Hash": wrong}})
    assert code(response) == "BAD_REQUEST"
    assert "64 hexadecimal digits" in response.json()["errors"][0]["message"]


# Documents by `documentId` (appendix "Persisted Documents" of GraphQL over HTTP)


async def test_a_document_is_found_by_its_identifier(http: httpx.AsyncClient) -> None:
    text = "query A($n: String!) { hello(name: $n) } query B { __typename }"
    known = await persist(http, text)
    by_post = await post(http, documentId=known, operationName="A", variables={"n": "POST"})
    assert by_post.json()["data"] == {"hello": "hello POST"}
    parameters = {"documentId": known, "operationName": "A", "variables": '{"n": "GET"}'}
    by_get = await http.get("/graphql", params=parameters)
    assert by_get.json()["data"] == {"hello": "hello GET"}


async def test_a_mutation_by_its_identifier_is_not_for_get(http: httpx.AsyncClient) -> None:
    known = await persist(http, "mutation { add }")
    done = toy.Mutation.done
    response = await http.get("/graphql", params={"documentId": known})
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert toy.Mutation.done == done


async def test_an_unknown_identifier_is_one_error(http: httpx.AsyncClient) -> None:
    unknown = f"sha256:{'0' * 64}"
    new = await post(http, RESPONSE, documentId=unknown)
    old = await post(http, JSON, documentId=unknown)
    assert (new.status_code, old.status_code) == (400, 200)
    for response in (new, old, await http.get("/graphql", params={"documentId": unknown})):
        assert "data" not in response.json()
        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
        assert "documentId" in error["message"]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "0" * 64,
        f"sha256:{'0' * 63}",
        f"sha256:{'0' * 65}",
        f"sha256:{'0' * 64}\n",
        f"sha256:{'A' * 64}",
        f"SHA256:{'0' * 64}",
        f"sha256:{chr(0x660) * 64}",
        f"md5:{'0' * 32}",
        f"x-own:{'0' * 64}",
    ],
)
async def test_an_identifier_of_another_form_is_told_the_rule(
    http: httpx.AsyncClient, wrong: str
) -> None:
    response = await post(http, documentId=wrong)
    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")
    assert "64 hexadecimal digits in lower case" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize("wrong", [1, True, [], {}])
async def test_an_identifier_that_is_no_string(http: httpx.AsyncClient, wrong: Any) -> None:
    response = await post(http, documentId=wrong)
    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")
    assert response.json()["errors"][0]["message"] == "`documentId` must be a string."


async def test_an_identifier_stores_nothing(http: httpx.AsyncClient) -> None:
    query = "{ hello again { again { hello } } }"
    digest = hashlib.sha256(query.encode()).hexdigest()
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
    document_id = f"sha256:{digest}"
    for body in (
        {"documentId": document_id, "query": query},
        {"documentId": document_id, "query": ""},
        {"documentId": document_id, "query": query, "extensions": extensions},
        {"documentId": document_id, "extensions": extensions},
    ):
        response = await post(http, **body)
        assert (response.status_code, code(response)) == (400, "BAD_REQUEST")
        assert "`documentId`" in response.json()["errors"][0]["message"]
    assert code(await post(http, documentId=document_id)) == "PERSISTED_QUERY_NOT_FOUND"
    assert code(await post(http, extensions=extensions)) == "PERSISTED_QUERY_NOT_FOUND"
