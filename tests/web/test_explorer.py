"""The page at `/` and its files, as browsers, programs and attackers ask for them."""

import gzip
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import build_schema, get_operation_ast, is_input_object_type, parse, validate
from graphql.execution.values import get_variable_values
from starlette.applications import Starlette

from tests.conftest import LiveServer
from web.explorer import DemoUser, ExplorerConfig, explorer_routes

ROOT = Path(__file__).parents[2]
SIGN_IN = """mutation ($login: String!, $password: String!) {
    sessionCreate(input: { login: $login, password: $password }) { accessToken }
}"""
# What Ada's subscriptions deliver.
WORK = """mutation {
    taskCreate(input: { projectId: "SHOP", title: "Oil the chains", assigneeId: "@ada" }) {
        errors { code }
    }
    presenceSet(input: { projectId: "SHOP" }) { errors { code } }
}"""
# Those that show errors, and those that do something once.
EXPECTED = {"14-conflict": {"CONFLICT"}, "15-all-errors": {"BAD_USER_INPUT"}}
REPEATED = {"20-share": {"ALREADY_EXISTS"}}
EXAMPLES = sorted((ROOT / "explorer" / "examples").glob("*.graphql"))
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
CONFIG = ExplorerConfig(
    name="Taskloom",
    version="1.2.3",
    environment="development",
    points=2000,
    demo=DemoUser(login="ada", password="correct horse"),
)


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A built explorer in small, beside a file that is nobody's business."""
    (tmp_path / "secret.js").write_text("secret")
    assets = tmp_path / "dist" / "explorer" / "assets"
    assets.mkdir(parents=True)
    (tmp_path / "dist" / "index.html").write_text("<title>the explorer</title>")
    (tmp_path / "dist" / "secret.js").write_text("secret")
    for name in ("index-abc123.js", "index-abc123.css", "icon.svg", "index.js.map", ".hidden.js"):
        (assets / name).write_text(f"/* {name} */")
    return tmp_path / "dist"


def client_of(dist: Path, config: ExplorerConfig = CONFIG) -> httpx.AsyncClient:
    app = Starlette(
        routes=explorer_routes(dist=dist, config=config, address="https://tasks.example.com")
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://taskloom.test")


@pytest.fixture
async def client(dist: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(dist) as client:
        yield client


@pytest.mark.parametrize(
    "accept",
    [
        BROWSER,
        "text/html",
        "TEXT/HTML;charset=utf-8",
        "application/xhtml+xml, */*;q=0.1",
        "application/json;q=0.5, text/html",
    ],
)
async def test_a_navigation_gets_the_page(client: httpx.AsyncClient, accept: str) -> None:
    answer = await client.get("/", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["vary"] == "Accept"
    assert "the explorer" in answer.text


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "",
        "application/json",
        "application/json, text/html",
        "text/html;q=0.5, application/json",
        "text/html;q=0",
        "text/html;q=much",
        "*/*, text/html",
    ],
)
async def test_everybody_else_gets_json(client: httpx.AsyncClient, accept: str) -> None:
    answer = await client.get("/", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["vary"] == "Accept"
    assert answer.json() == {"name": "Taskloom", "version": "1.2.3", "status": "ok"}


async def test_the_policy_lets_the_browser_ask_this_host_only(client: httpx.AsyncClient) -> None:
    page = await client.get("/", headers={"Accept": BROWSER})
    script = await client.get("/explorer/assets/index-abc123.js")
    for answer in (page, script):
        policy = dict(
            directive.split(" ", 1)
            for directive in answer.headers["content-security-policy"].split("; ")
        )
        sources = {source for given in policy.values() for source in given.split()}
        assert sources <= {"'none'", "'self'", "'unsafe-inline'", "data:", "blob:"}
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("index-abc123.js", "text/javascript; charset=utf-8"),
        ("index-abc123.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
async def test_assets_are_kept_for_ever(
    client: httpx.AsyncClient, name: str, content_type: str
) -> None:
    answer = await client.get(f"/explorer/assets/{name}")
    assert answer.status_code == 200
    assert answer.text == f"/* {name} */"
    assert answer.headers["content-type"] == content_type
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("accept_encoding", "encoding"),
    [("gzip, deflate, br", "gzip"), ("br", None), ("gzip;q=0", None), ("", None)],
)
async def test_assets_come_compressed_to_who_can_read_that(
    client: httpx.AsyncClient, dist: Path, accept_encoding: str, encoding: str | None
) -> None:
    name = "index-abc123.js"
    compressed = dist / "explorer" / "assets" / f"{name}.gz"
    compressed.write_bytes(gzip.compress(f"/* {name} */".encode()))
    answer = await client.get(
        f"/explorer/assets/{name}", headers={"Accept-Encoding": accept_encoding}
    )
    assert answer.text == f"/* {name} */"
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path",
    [
        "missing.js",
        "index.js.map",
        ".hidden.js",
        "../../../secret.js",
        "..%2f..%2fsecret.js",
        "..%2F..%2F..%2Fsecret.js",
        "%2e%2e/%2e%2e/secret.js",
        "..%5c..%5csecret.js",
        "%2fetc%2fpasswd",
        "index-abc123.js%00.css",
        "index-abc123.js%0a",
        "",
    ],
)
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"http://taskloom.test/explorer/assets/{path}")
    assert answer.status_code == 404
    assert "secret" not in answer.text


async def test_the_page_learns_about_its_server(client: httpx.AsyncClient) -> None:
    answer = await client.get("/explorer/config.json")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "name": "Taskloom",
        "version": "1.2.3",
        "environment": "development",
        "points": 2000,
        "demo": {"login": "ada", "password": "correct horse"},
        "endpoint": "graphql",
    }


async def test_without_a_demo_user_no_password_is_told(dist: Path) -> None:
    config = ExplorerConfig(name="Taskloom", version="1.2.3", environment="production", points=1)
    async with client_of(dist, config) as client:
        assert (await client.get("/explorer/config.json")).json()["demo"] is None


async def test_an_unbuilt_explorer_says_how_to_build_it(tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    async with client_of(dist) as client:
        page = await client.get("/", headers={"Accept": BROWSER})
        assert page.status_code == 200
        assert "make explorer" in page.text
        assert "curl -s https://tasks.example.com/graphql" in page.text
        assert (await client.get("/")).json()["status"] == "ok"
        assert (await client.get("/explorer/assets/index.js")).status_code == 404

        # Building it is enough: the server is not started again.
        dist.mkdir()
        (dist / "index.html").write_text("<title>the explorer</title>")
        assert "the explorer" in (await client.get("/", headers={"Accept": BROWSER})).text


async def test_an_explorer_that_is_being_built_opens_by_itself(tmp_path: Path) -> None:
    dist, building = tmp_path / "dist", tmp_path / "dist.building"
    building.touch()
    async with client_of(dist) as client:
        page = (await client.get("/", headers={"Accept": BROWSER})).text
        assert '<meta http-equiv="refresh" content="2">' in page
        assert "being built" in page
        assert "make explorer" not in page

        # A build that was killed is not waited for forever.
        os.utime(building, (0, 0))
        page = (await client.get("/", headers={"Accept": BROWSER})).text
        assert 'http-equiv="refresh"' not in page
        assert "make explorer" in page


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_fit_the_schema(example: Path) -> None:
    schema = build_schema((ROOT / "schema.graphql").read_text())
    document = parse(example.read_text())
    assert validate(schema, document) == []

    # GraphiQL underlines an input without one of its non-null fields, even if that has a default.
    for input_type in filter(is_input_object_type, schema.type_map.values()):
        for field in input_type.fields.values():
            field.default = None
    variables = example.with_suffix(".json")
    given = json.loads(variables.read_text()) if variables.exists() else {}
    operation = get_operation_ast(document)
    assert operation is not None
    coerced = get_variable_values(schema, list(operation.variable_definitions or ()), given)
    assert not isinstance(coerced, list), coerced


def test_every_example_says_its_topic_and_what_it_shows() -> None:
    topics: list[str] = []
    for example in EXAMPLES:
        heading, blank, about, *_ = example.read_text().splitlines()
        topic, title = heading.removeprefix("# ").split(" · ")
        assert title, example.name
        assert blank == "#", example.name
        assert len(about) > 2, example.name
        if topics[-1:] != [topic]:
            topics.append(topic)
    # The list shows the examples of a topic together.
    assert len(topics) == len(set(topics))
    assert len(EXAMPLES) >= 25


async def test_every_example_runs_in_order(live_server: LiveServer) -> None:
    """Twice, as somebody does who tries around."""
    async with httpx.AsyncClient(base_url=live_server.url, timeout=60) as http:

        async def sign_in(login: str) -> dict[str, str]:
            variables = {"login": login, "password": live_server.demo_password}
            session = await ask({"query": SIGN_IN, "variables": variables}, {})
            return {"Authorization": f"Bearer {session['data']['sessionCreate']['accessToken']}"}

        async def ask(body: Any, headers: dict[str, str]) -> Any:
            return (await http.post("/graphql", json=body, headers=headers)).json()

        async def first_delivery(body: Any, headers: dict[str, str]) -> Any:
            """What a subscription delivers when somebody else works in the project."""
            streaming = {**headers, "Accept": "text/event-stream"}
            async with http.stream("POST", "/graphql", json=body, headers=streaming) as stream:
                lines = stream.aiter_lines()
                # The first comment says that nothing is missed from here on.
                assert await anext(lines) == ":"
                assert "errors" not in await ask({"query": WORK}, colleague)
                if "notificationReceived" in body["query"]:
                    # That is the work of a worker, and this server has none.
                    return {"data": {}}
                data = (line async for line in lines if line.startswith("data:"))
                return json.loads((await anext(data)).removeprefix("data:"))

        mine, colleague = await sign_in(live_server.demo_login), await sign_in("grace")
        for number, example in enumerate([*EXAMPLES, *EXAMPLES]):
            query = example.read_text()
            file = example.with_suffix(".json")
            body = {
                "query": query,
                "variables": json.loads(file.read_text()) if file.exists() else {},
            }
            live = re.search("^subscription", query, re.MULTILINE)
            answer = await (first_delivery if live else ask)(body, mine)
            assert "errors" not in answer, (example.name, answer)
            for payload in answer["data"].values():
                errors = payload.get("errors") if isinstance(payload, dict) else None
                found = {error["code"] for error in errors or ()}
                again = REPEATED if number >= len(EXAMPLES) else {}
                assert found == {**EXPECTED, **again}.get(example.stem, set()), example.name


def test_the_lock_pins_every_package_and_names_no_host() -> None:
    lock = json.loads((ROOT / "explorer" / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    for name, entry in packages.items():
        assert entry.get("integrity", "").startswith("sha512-"), name
        assert "resolved" not in entry, name
