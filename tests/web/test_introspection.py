"""Who can read the schema (`TASKLOOM_INTROSPECTION`), over every transport and by every route.

The clients are httpx, websockets and gql; the documents are those of other people's tools.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from gql import Client
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport
from graphql import build_schema, get_introspection_query
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from app import Application, create_app
from db import models
from graph.schema import schema
from settings import Settings, SettingsError, load_settings
from tests.accounts import House
from tests.servers import serving

MODES = ("public", "signed-in", "off")
# What clients and attackers send, by what it is.
DOCUMENTS = {
    "standard": get_introspection_query(),
    "schema": "{ __schema { queryType { name } } }",
    "type": 'query ($n: String = "Task") { __type(name: $n) { name } }',
    "alias": "{ typename: __schema { __typename } }",
    "beside": "{ serverInfo { name } __schema { queryType { name } } }",
    "inline": "{ ... on Query { ... { __schema { queryType { name } } } } }",
    "fragment": "{ ...A } fragment A on Query { ...B } fragment B on Query { __type(name: "
    '"User") { name } }',
    "skipped": "{ __typename __schema @skip(if: true) { queryType { name } } }",
    "escaped": 'query\ufeff{#\n__type,(name:"""Task""")\t{name}}',
}
# None of these reads the schema.
HARMLESS = {
    "typename": "{ __typename serverInfo { __typename } }",
    "text": '{ serverInfo { name } nodes(ids: ["__schema", "__type"]) { __typename } }',
    "name": "query __schema { serverInfo { name } }",
    "key": "{ __type: serverInfo { name } }",
    "comment": "{ serverInfo { name } } # __schema { types { name } }",
}
JSON = "application/json"
RESPONSE = "application/graphql-response+json"
STREAM = "text/event-stream"
SUBPROTOCOL = Subprotocol("graphql-transport-ws")
TRANSPORTS = ("post", "post-old", "get", "sse-post", "sse-get", "multipart", "persisted", "ws")


class Http:
    """A client of one server, over all transports."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.AsyncClient(base_url=url, timeout=60)

    async def ask(
        self, transport: str, text: str, authorization: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """The answer, with the HTTP status as `status` if there is one."""
        if transport == "ws":
            return await self._by_socket(text, authorization)
        headers = {"Accept": RESPONSE}
        if authorization is not None:
            headers["Authorization"] = authorization
        if transport.startswith("sse"):
            headers["Accept"] = STREAM
        if transport == "post-old":
            headers["Accept"] = JSON
        body = {"query": text, **more}
        if transport in {"get", "sse-get"}:
            answer = await self.http.get("/graphql", params=body, headers=headers)
        elif transport == "multipart":
            headers["X-Taskloom-Preflight"] = "1"
            form = {"operations": json.dumps({**body, "variables": {"x": None}}), "map": "{}"}
            answer = await self.http.post(
                "/graphql", files={k: (None, v) for k, v in form.items()}, headers=headers
            )
        else:
            if transport == "persisted":
                digest = hashlib.sha256(text.encode()).hexdigest()
                stored = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
                await self.http.post("/graphql", json={**body, "extensions": stored})
                body = {"extensions": stored}
            answer = await self.http.post("/graphql", json=body, headers=headers)
        return {**_read(answer), "status": answer.status_code}

    async def _by_socket(self, text: str, authorization: str | None) -> dict[str, Any]:
        address = f"{self.url.replace('http', 'ws', 1)}/graphql"
        async with connect(address, subprotocols=[SUBPROTOCOL], max_size=None) as socket:
            payload = {} if authorization is None else {"Authorization": authorization}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            message = {"type": "subscribe", "id": "1", "payload": {"query": text}}
            await socket.send(json.dumps(message))
            received: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 30))
            if received["type"] == "error":
                return {"errors": received["payload"]}
            return dict(received["payload"])


def _read(answer: httpx.Response) -> dict[str, Any]:
    if not answer.headers["content-type"].startswith(STREAM):
        return dict(answer.json())
    (line,) = (line for line in answer.text.splitlines() if line.startswith("data: {"))
    return dict(json.loads(line.removeprefix("data: ")))


def app_of(settings: Settings, mode: str, **more: Any) -> Application:
    group = settings.graphql.model_copy(update={"introspection": mode, **more})
    return create_app(settings.model_copy(update={"graphql": group}))


@asynccontextmanager
async def client_of(settings: Settings, mode: str, **more: Any) -> AsyncIterator[Http]:
    async with serving(app_of(settings, mode, **more)) as url:
        client = Http(url)
        async with client.http:
            yield client


@pytest.fixture(scope="module", params=MODES)
async def server(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Http]:
    async with client_of(settings, request.param) as client:
        client.http.headers["X-Mode"] = request.param
        yield client


@pytest.fixture
def mode(server: Http) -> str:
    return str(server.http.headers["X-Mode"])


@pytest.fixture
async def session(house: House) -> str:
    return (await house.person()).header


async def _key(server: Http, session: str) -> str:
    """An API key with as few rights as possible."""
    text = """mutation { apiKeyCreate(input: { name: "k", scopes: [PROJECTS_READ] }) {
        secret errors { message } } }"""
    made = (await server.ask("post", text, session))["data"]["apiKeyCreate"]
    assert made["errors"] == []
    return f"Bearer {made['secret']}"


def _expect(answer: dict[str, Any], mode: str, *, signed_in: bool) -> None:
    if mode == "public" or (mode == "signed-in" and signed_in):
        assert answer.get("errors") is None, answer
        assert answer["data"]
        return
    assert "data" not in answer
    (error,) = answer["errors"]
    code, status = ("FORBIDDEN", 403) if mode == "off" else ("UNAUTHENTICATED", 401)
    assert error["extensions"]["code"] == code
    assert error["extensions"]["docsUrl"].endswith("/docs/running#who-can-read-the-schema")
    assert f"TASKLOOM_INTROSPECTION={mode}" in error["message"]
    assert answer.get("status", status) == status


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_every_document_over_every_transport(
    server: Http, mode: str, transport: str, session: str
) -> None:
    for name, text in DOCUMENTS.items():
        if transport != "multipart":
            # Files are accepted from signed-in users only.
            _expect(await server.ask(transport, text), mode, signed_in=False)
        if name in {"standard", "fragment"} or transport == "multipart":
            _expect(await server.ask(transport, text, session), mode, signed_in=True)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_harmless_documents(server: Http, mode: str, transport: str, session: str) -> None:
    for text in HARMLESS.values():
        answer = await server.ask(transport, text, session)
        codes = {error["extensions"]["code"] for error in answer.get("errors", [])}
        # Of `nodes`, whose IDs are invalid.
        assert answer["data"], (mode, text)
        assert codes <= {"BAD_USER_INPUT"}


async def test_an_api_key_is_a_user(server: Http, mode: str, session: str) -> None:
    key = await _key(server, session)
    for transport in ("post", "ws"):
        answer = await server.ask(transport, DOCUMENTS["standard"], key)
        _expect(answer, mode, signed_in=True)


async def test_invalid_credentials_are_nobodys(server: Http) -> None:
    answer = await server.ask("post", DOCUMENTS["schema"], "Bearer nonsense")
    assert answer["status"] in {401, 403}
    assert "data" not in answer


async def test_only_the_operation_that_runs_counts(server: Http, mode: str) -> None:
    text = "query A { serverInfo { name } } query B { __schema { queryType { name } } }"
    harmless = await server.ask("post", text, operationName="A")
    assert harmless["data"]["serverInfo"]["name"]
    _expect(await server.ask("post", text, operationName="B"), mode, signed_in=False)


async def test_its_cost_is_no_way_around(server: Http, mode: str) -> None:
    wanted = {"costOnly": True}
    answer = await server.ask("post", DOCUMENTS["schema"], extensions=wanted)
    assert ("errors" in answer) is (mode != "public")


async def test_a_batch_is_no_way_around(server: Http) -> None:
    answer = await server.http.post("/graphql", json=[{"query": DOCUMENTS["schema"]}])
    assert answer.status_code == 400
    assert "queryType" not in answer.text


async def test_a_stream_token_is_no_way_around(server: Http, house: House) -> None:
    token = house.auth.mint_stream_token((await house.person()).viewer).token
    params = {"query": DOCUMENTS["schema"], "token": token}
    answer = await server.http.get("/graphql", params=params, headers={"Accept": STREAM})
    assert answer.status_code in {401, 403}


async def test_the_answer_that_is_kept_is_not_given_to_strangers(
    settings: Settings, session: str
) -> None:
    """The answer to an introspection query is kept with its document."""
    async with client_of(settings, "signed-in") as client:
        for _ in range(2):
            for text in (DOCUMENTS["standard"], DOCUMENTS["fragment"]):
                _expect(await client.ask("post", text, session), "signed-in", signed_in=True)
                _expect(await client.ask("post", text), "signed-in", signed_in=False)
        # A document that differs in a literal shares what is known of the other one.
        for name in ("Task", "Project"):
            text = f'{{ __type(name: "{name}") {{ name }} }}'
            _expect(await client.ask("post", text, session), "signed-in", signed_in=True)
            _expect(await client.ask("post", text), "signed-in", signed_in=False)


@pytest.mark.parametrize("mode", ["signed-in", "off"])
async def test_registered_documents(settings: Settings, house: House, mode: str) -> None:
    text = f"query Q{secrets.token_hex(4)} {{ __schema {{ queryType {{ name }} }} }}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    async with house.database.session() as session, session.begin():
        session.add(models.RegisteredDocument(hash=digest, text=text, created_at=house.clock()))
    body = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest}}}
    async with client_of(settings, mode, documents="registered") as client:
        for sent in (body, {**body, "query": text}, {"query": text}):
            answer = await client.http.post("/graphql", json=sent, headers={"Accept": RESPONSE})
            _expect({**answer.json(), "status": answer.status_code}, mode, signed_in=False)


async def test_tools_read_the_schema_when_they_may(server: Http, mode: str, session: str) -> None:
    """gql, an independent client, compares what it gets with the schema that is printed."""
    for authorization in (None, session):
        headers = {} if authorization is None else {"Authorization": authorization}
        sockets = f"{server.url.replace('http', 'ws', 1)}/graphql"
        for transport in (
            HTTPXAsyncTransport(f"{server.url}/graphql", headers=headers, timeout=60),
            WebsocketsTransport(sockets, init_payload=headers),
        ):
            client = Client(transport=transport, fetch_schema_from_transport=True)
            allowed = mode == "public" or (mode == "signed-in" and authorization is not None)
            if allowed:
                async with client:
                    assert client.schema is not None
                    assert client.schema.type_map.keys() == schema._schema.type_map.keys()
            else:
                with pytest.raises(TransportQueryError, match="TASKLOOM_INTROSPECTION"):
                    async with client:
                        pass


# Suggestions


async def test_suggestions_go_with_the_schema(server: Http, mode: str, session: str) -> None:
    for text in ("{ serverInf { name } }", "{ tasks(frst: 1) { nodes { id } } }", "{ ...on Tas }"):
        for authorization in (None, session):
            answer = await server.ask("post", text, authorization)
            assert answer["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED" or (
                "Tas" in text
            )
            assert mode == "public" or "Did you mean" not in json.dumps(answer)
    answer = await server.ask("post", "{ serverInf { name } }")
    assert ("Did you mean" in json.dumps(answer)) is (mode == "public")


# The pages


async def test_the_explorer(server: Http, mode: str) -> None:
    page = await server.http.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert ("The explorer is turned off" in page.text) is (mode == "off")
    config = await server.http.get("/explorer/config.json")
    assert config.status_code == (404 if mode == "off" else 200)
    # Programs get what they always got.
    assert (await server.http.get("/")).json()["status"] == "ok"


async def test_the_reference_and_the_file(server: Http, mode: str, session: str) -> None:
    hidden = {"public": 200, "signed-in": 401, "off": 403}[mode]
    for authorization in (None, session, "Bearer nonsense"):
        headers = {} if authorization is None else {"Authorization": authorization}
        shown = mode == "public" or (mode == "signed-in" and authorization == session)
        page = await server.http.get("/docs/reference-tasks", headers=headers)
        assert page.status_code == (200 if shown else hidden)
        assert ("taskBulkUpdate" in page.text) is shown
        assert page.headers["content-type"].startswith("text/html")
        # Neither the list of pages nor the search gives away what is on them.
        guide = await server.http.get("/docs/live", headers=headers)
        assert guide.status_code == 200
        assert ("reference-admin" in guide.text) is shown
        found = await server.http.get("/docs/search?q=taskBulkUpdate", headers=headers)
        assert ("reference-tasks#" in found.text) is shown
        # The codes of errors are for everyone: errors lead there.
        assert (await server.http.get("/docs/errors", headers=headers)).status_code == 200
        file = await server.http.get("/schema.graphql", headers=headers)
        assert file.status_code == (200 if shown else hidden)
        if shown:
            assert build_schema(file.text).type_map.keys() == schema._schema.type_map.keys()
        else:
            _expect({**file.json(), "status": file.status_code}, mode, signed_in=False)
        if mode != "public":
            caches = {response.headers["cache-control"] for response in (page, guide, found, file)}
            assert caches == {"private, no-store"}


async def test_the_errors_lead_to_an_existing_section(server: Http) -> None:
    page = await server.http.get("/docs/running")
    assert 'id="who-can-read-the-schema"' in page.text


# The setting

PRODUCTION = {
    "TASKLOOM_ENV": "production",
    "TASKLOOM_SECRET": "s" * 32,
    "TASKLOOM_PASSWORD_PEPPER": "p" * 16,
    "TASKLOOM_PUBLIC_URL": "https://tasks.example.com",
}


@pytest.mark.parametrize(
    ("given", "development", "production"),
    [
        ({}, ("public", True), ("signed-in", False)),
        ({"TASKLOOM_INTROSPECTION": "public"}, ("public", True), ("public", False)),
        ({"TASKLOOM_INTROSPECTION": "signed-in"}, ("signed-in", False), ("signed-in", False)),
        ({"TASKLOOM_INTROSPECTION": "off"}, ("off", False), ("off", False)),
        # As before 0.2.
        ({"TASKLOOM_INTROSPECTION": "true"}, ("public", True), ("public", False)),
        ({"TASKLOOM_INTROSPECTION": "False"}, ("off", False), ("off", False)),
        (
            {"TASKLOOM_INTROSPECTION": "public", "TASKLOOM_SUGGESTIONS": "true"},
            ("public", True),
            ("public", True),
        ),
    ],
)
def test_its_default_depends_on_the_environment(
    given: dict[str, str], development: tuple[str, bool], production: tuple[str, bool]
) -> None:
    for variables, expected in (({}, development), (PRODUCTION, production)):
        made = load_settings({**variables, **given}, env_file=None)
        assert (made.introspection, made.suggestions) == expected


@pytest.mark.parametrize("given", [{"TASKLOOM_INTROSPECTION": "off"}, PRODUCTION])
def test_suggestions_require_a_public_schema(given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="TASKLOOM_INTROSPECTION=public"):
        load_settings({**given, "TASKLOOM_SUGGESTIONS": "true"}, env_file=None)


def test_other_values_are_refused() -> None:
    with pytest.raises(SettingsError, match="TASKLOOM_INTROSPECTION"):
        load_settings({"TASKLOOM_INTROSPECTION": "sometimes"}, env_file=None)
