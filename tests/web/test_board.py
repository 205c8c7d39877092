"""The files of the board at `/board/`; what they do is in `tests/e2e/test_board.py`."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from starlette.applications import Starlette

from app import create_app
from settings import Settings
from web.board import board_routes

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "clients" / "board"
SOURCES = [path for path in (FOLDER / "src").rglob("*.ts*") if path.parent.name != "generated"]


def client_of(dist: Path) -> httpx.AsyncClient:
    app = Starlette(routes=board_routes(dist=dist, public_url="https://files.example/below"))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://taskloom.test")


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    assets = tmp_path / "dist" / "assets"
    assets.mkdir(parents=True)
    (tmp_path / "dist" / "index.html").write_text("<title>the board</title>")
    (tmp_path / "dist" / "secret.js").write_text("secret")
    for name in ("index-abc.js", "index.js.map", ".hidden.js"):
        (assets / name).write_text(name)
    return tmp_path / "dist"


async def test_the_page_and_its_files(dist: Path) -> None:
    async with client_of(dist) as client:
        moved = await client.get("/board")
        # Relative, so that it is right below a path too.
        assert (moved.status_code, moved.headers["location"]) == (308, "board/")
        page = await client.get("/board/")
        assert (page.status_code, page.text) == (200, "<title>the board</title>")
        assert page.headers["cache-control"] == "no-cache"
        script = await client.get("/board/assets/index-abc.js")
        assert script.text == "index-abc.js"
        assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
        for answer in (page, script):
            policy = answer.headers["content-security-policy"].split("; ")
            assert "default-src 'none'" in policy
            assert "script-src 'self'" in policy
            assert "style-src 'self'" in policy
            # Where files are sent to and loaded from.
            assert "connect-src 'self' https://files.example" in policy


@pytest.mark.parametrize(
    "path", ["index.js.map", ".hidden.js", "nothing.js", "..%2Fsecret.js", "../secret.js", ""]
)
async def test_nothing_else_is_served(dist: Path, path: str) -> None:
    async with client_of(dist) as client:
        answer = await client.get(f"http://taskloom.test/board/assets/{path}")
        assert answer.status_code == 404


async def test_an_unbuilt_board_says_how_to_build_it(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        answer = await client.get("/board/")
        assert answer.status_code == 503
        assert "make board" in answer.text
        tmp_path.with_name(f"{tmp_path.name}.building").touch()
        answer = await client.get("/board/")
        assert answer.status_code == 503
        assert 'http-equiv="refresh"' in answer.text


def application(settings: Settings, **changes: object) -> httpx.AsyncClient:
    server = settings.server.model_copy(update=changes)
    app = create_app(settings.model_copy(update={"server": server}))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://taskloom.test/below/"
    )


LINKS = ["tasks/task_1", "projects/project_1", "reset-password?token=a%26b", "email-verified?a=b"]


async def test_it_can_be_turned_off(settings: Settings) -> None:
    async with application(settings, board=False) as client:
        for path in ["board/", *LINKS]:
            assert (await client.get(f"../{path}")).status_code == 404


@pytest.mark.parametrize("link", LINKS)
async def test_links_lead_to_it_also_below_a_path(settings: Settings, link: str) -> None:
    address = "http://taskloom.test/below"
    async with application(settings, public_url=address, frontend_url=address) as client:
        answer = await client.get(link)
    assert answer.status_code == 303
    assert answer.headers["cache-control"] == "no-store"
    there = urljoin(f"{address}/{link}", answer.headers["location"])
    assert there == f"{address}/board/#/{link}"


async def test_links_to_another_application_do_not(settings: Settings) -> None:
    async with application(settings, frontend_url="https://elsewhere.test") as client:
        assert (await client.get("../tasks/task_1")).status_code == 404


def test_the_files_are_short() -> None:
    assert len(SOURCES) > 20
    lengths = {path.name: len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 200} == {}


def test_the_lock_pins_every_package_and_names_no_host() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    for name, entry in packages.items():
        assert entry.get("integrity", "").startswith("sha512-"), name
        assert "resolved" not in entry, name
