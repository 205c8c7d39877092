"""GraphQL over HTTP, as its draft and its audit suite want it, on real sockets."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest

from tests.accounts import House
from tests.web import toy

RESPONSE = "application/graphql-response+json"
JSON = "application/json"


async def post(http: httpx.AsyncClient, accept: str | None = JSON, **body: Any) -> httpx.Response:
    headers = {} if accept is None else {"Accept": accept}
    return await http.post("/graphql", json=body, headers=headers)


def code(response: httpx.Response) -> str:
    found = response.json()["errors"][0]["extensions"]["code"]
    assert isinstance(found, str)
    return found


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


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/png, text/plain"])
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


# What is read


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


# GET


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


async def persist(http: httpx.AsyncClient, query: str) -> str:
    """Store a document as clients do; its identifier."""
    digest = hashlib.sha256(query.encode()).hexdigest()
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
    await post(http, query=query, extensions=extensions)
    return f"sha256:{digest}"


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
