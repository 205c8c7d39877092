"""Documents by their hash: those of clients, and those of the operator."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import delete

from app import create_app
from db import models
from graph.request.persisted import PersistedDocuments, sha256_of
from settings import Settings
from tests.commands import taskloom
from tests.factories import World

INFO = "{ serverInfo { name } }"


def large() -> str:
    """A valid document beyond every limit of documents; another one each time."""
    fields = " ".join(f"a{n}: serverInfo {{ name }}" for n in range(60))
    return f"query Q{secrets.token_hex(4)} {{ {fields} }} # {'x' * 25_000}"


def register(settings: Settings, path: Path, content: Any) -> tuple[int, str]:
    """`taskloom documents register`, as the operator runs it."""
    path.write_bytes(orjson.dumps(content))
    return documents(settings, "register", str(path))


def documents(settings: Settings, *arguments: str) -> tuple[int, str]:
    variables = {
        "DATABASE_URL": settings.database.dsn,
        "TASKLOOM_ROW_SECURITY": settings.database.row_security,
    }
    result = taskloom("documents", *arguments, **variables)
    return result.returncode, result.stdout + result.stderr


@asynccontextmanager
async def serving(settings: Settings, **graphql: Any) -> AsyncIterator[httpx.AsyncClient]:
    group = settings.graphql.model_copy(update=graphql)
    app = create_app(settings.model_copy(update={"graphql": group}))
    async with app.lifespan():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://taskloom.test") as http:
            yield http


async def send(
    http: httpx.AsyncClient, text: str | None = None, *, digest: str | None = None
) -> httpx.Response:
    body: dict[str, Any] = {} if text is None else {"query": text}
    if digest is not None:
        body["extensions"] = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
    return await http.post("/graphql", json=body)


async def by_id(http: httpx.AsyncClient, text: str) -> httpx.Response:
    """Send the document's identifier alone."""
    return await http.post("/graphql", json={"documentId": f"sha256:{sha256_of(text)}"})


def code(response: httpx.Response) -> str:
    found: str = response.json()["errors"][0]["extensions"]["code"]
    return found


async def test_registered_documents_are_free_of_the_limits(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    text = large()
    assert code(await send(world.http, text)) == "OPERATION_TOO_COMPLEX"
    assert code(await send(world.http, digest=sha256_of(text))) == "PERSISTED_QUERY_NOT_FOUND"
    status, output = register(settings, tmp_path / "documents.json", {"some key": text})
    assert (status, "Documents registered: 1 (1 new)" in output) == (0, True)
    # The server that was running finds it, by either name.
    data = (await send(world.http, digest=sha256_of(text))).json()["data"]
    assert len(data) == 60
    assert (await by_id(world.http, text)).json()["data"] == data
    # Its text is measured as before, though the server knows it now.
    assert code(await send(world.http, text)) == "OPERATION_TOO_COMPLEX"
    _, output = register(settings, tmp_path / "documents.json", [text, INFO])
    assert "Documents registered: 2 (1 new)" in output


async def test_registered_documents_of_an_earlier_schema_are_listed(
    world: World, settings: Settings
) -> None:
    old = f"query Q{secrets.token_hex(4)} {{ changes(since: null) {{ cursor }} }}"
    now = dt.datetime.now(dt.UTC)
    row = models.RegisteredDocument(hash=sha256_of(old), text=old, created_at=now)
    await world.rows(row)
    try:
        status, output = documents(settings, "check")
    finally:
        async with world.database.session() as session, session.begin():
            await session.execute(
                delete(models.RegisteredDocument).where(models.RegisteredDocument.hash == row.hash)
            )
    assert status == 1
    assert f"{sha256_of(old)}: Cannot query field 'changes' on type 'Query'." in output
    assert "no longer valid: 1" in output
    assert documents(settings, "check") == (0, "All registered documents are valid.\n")


async def test_documents_that_share_a_shape_are_registered_and_checked_as_they_are(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    """Texts that differ in their literals share one tree, in which these are variables."""
    name = f"Q{secrets.token_hex(4)}"

    def text(argument: str) -> str:
        return f"query {name} {{ __type(name: {argument}) {{ name kind }} }}"

    async def kind(response: httpx.Response) -> object:
        return response.json()["data"]["__type"]["name"]

    texts = {of: text(f'"{of}"') for of in ("Task", "Project", "User", "Comment")}
    # The first two are known as texts, the other two by registration alone.
    for of in ("Task", "Project"):
        assert await kind(await send(world.http, texts[of])) == of
    status, _ = register(settings, tmp_path / "documents.json", list(texts.values()))
    assert status == 0
    for of, one in texts.items():
        assert await kind(await send(world.http, digest=sha256_of(one))) == of
        assert await kind(await send(world.http, one)) == of
    # A literal of another type, in the same place, is a document of its own.
    wrong = text("7")
    assert code(await send(world.http, wrong)) == "GRAPHQL_VALIDATION_FAILED"
    assert documents(settings, "check") == (0, "All registered documents are valid.\n")
    now = dt.datetime.now(dt.UTC)
    await world.rows(models.RegisteredDocument(hash=sha256_of(wrong), text=wrong, created_at=now))
    try:
        status, output = documents(settings, "check")
    finally:
        async with world.database.session() as session, session.begin():
            hashes = [sha256_of(one) for one in (*texts.values(), wrong)]
            await session.execute(
                delete(models.RegisteredDocument).where(models.RegisteredDocument.hash.in_(hashes))
            )
    assert (status, "no longer valid: 1" in output) == (1, True)
    assert sha256_of(wrong) in output
    assert not any(sha256_of(one) in output for one in texts.values())


async def test_an_unknown_hash_is_told_in_the_words_that_clients_look_for(world: World) -> None:
    """Urql compares the message, Apollo Client the message or the code."""
    (error,) = (await send(world.http, digest=sha256_of(large()))).json()["errors"]
    assert error["message"] == "PersistedQueryNotFound"
    assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    extensions = {"persistedQuery": {"version": 2, "sha256Hash": sha256_of(INFO)}}
    (error,) = (await world.http.post("/graphql", json={"extensions": extensions})).json()["errors"]
    assert error["message"] == "PersistedQueryNotSupported"
    assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_SUPPORTED"
    assert "version" in error["extensions"]["reason"]


def manifest(*bodies: str, **changes: Any) -> dict[str, Any]:
    """As `generate-persisted-query-manifest` of Apollo writes it."""
    operations = [
        {"id": sha256_of(body), "name": "Q", "type": "query", "body": body} | changes
        for body in bodies
    ]
    return {
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": operations,
    }


async def test_apollos_manifest_is_read(world: World, settings: Settings, tmp_path: Path) -> None:
    texts = [large(), large()]
    status, output = register(settings, tmp_path / "manifest.json", manifest(*texts))
    assert (status, "Documents registered: 2 (2 new)" in output) == (0, True)
    for text in texts:
        assert len((await send(world.http, digest=sha256_of(text))).json()["data"]) == 60


async def test_a_manifest_with_a_mistake_is_refused(settings: Settings, tmp_path: Path) -> None:
    for content, said in (
        (manifest(INFO, id="Q"), "not the SHA-256"),
        (manifest("{ nothing }"), "Cannot query field"),
        (manifest(INFO, body=None), "must have a body"),
        (manifest(INFO) | {"version": 2}, "version 1"),
        (manifest(INFO) | {"operations": {}}, "list of operations"),
    ):
        status, output = register(settings, tmp_path / "manifest.json", content)
        assert (status, said in output) == (1, True), output


async def test_nothing_is_registered_of_a_file_with_a_mistake(
    settings: Settings, tmp_path: Path
) -> None:
    for content, said in (
        ([INFO, "{ nothing }"], "Cannot query field 'nothing'"),
        (["{"], "Syntax Error"),
        ({"a": 1}, "must contain a list of documents"),
    ):
        status, output = register(settings, tmp_path / "documents.json", content)
        assert status == 1
        assert said in output


async def test_a_server_that_runs_registered_documents_only(
    settings: Settings, tmp_path: Path
) -> None:
    text = f"query R{secrets.token_hex(4)} {INFO}"
    register(settings, tmp_path / "documents.json", [text])
    async with serving(settings, documents="registered") as http:
        good = await send(http, digest=sha256_of(text))
        assert good.json()["data"]["serverInfo"]["name"] == "Taskloom"
        assert (await by_id(http, text)).json()["data"] == good.json()["data"]
        # In full as well: it is the same document.
        assert (await send(http, text)).json()["data"]
        for other in ("{ viewer { user { username } } }", "{ __schema { types { name } } }"):
            refused = await send(http, other)
            assert (refused.status_code, code(refused)) == (403, "FORBIDDEN")
            # Nor can it be smuggled in by its hash.
            both = await send(http, other, digest=sha256_of(other))
            assert code(both) == "FORBIDDEN"
            assert code(await send(http, digest=sha256_of(other))) == "PERSISTED_QUERY_NOT_FOUND"
            assert code(await by_id(http, other)) == "PERSISTED_QUERY_NOT_FOUND"


@pytest.mark.parametrize("told", [True, False])
async def test_suggestions_are_a_setting(settings: Settings, told: bool) -> None:
    async with serving(settings, suggestions=told) as http:
        message = (await send(http, "{ serverInf { name } }")).json()["errors"][0]["message"]
        assert ("Did you mean" in message) is told


@pytest.mark.redis
async def test_processes_know_each_others_documents_by_redis(
    settings: Settings, redis_url: str
) -> None:
    prefix = f"t{secrets.token_hex(4)}:"
    shared = settings.redis.model_copy(update={"url": redis_url, "prefix": prefix})
    one, two = PersistedDocuments(shared), PersistedDocuments(shared)
    try:
        assert await two.find(sha256_of(INFO)) is None
        await one.keep(sha256_of(INFO), INFO)
        assert await two.find(sha256_of(INFO)) == INFO
        # What somebody else wrote under a hash that is not its own is nothing.
        await one.keep("0" * 64, "{ viewer { user { id } } }")
        assert await two.find("0" * 64) is None
    finally:
        await one.close()
        await two.close()


async def test_without_redis_documents_are_known_to_one_process(settings: Settings) -> None:
    away = settings.redis.model_copy(update={"url": "unix:///nowhere/redis.sock"})
    documents = PersistedDocuments(away)
    try:
        await documents.keep(sha256_of(INFO), INFO)
        assert await documents.find(sha256_of(INFO)) == INFO
        assert await documents.find("0" * 64) is None
    finally:
        await documents.close()
