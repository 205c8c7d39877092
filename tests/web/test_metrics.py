"""Who may read `/metrics`, and what it costs the database."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest
from pydantic import SecretStr

from app import create_app
from settings import ServerSettings, Settings
from tests.servers import serving
from tests.web import toy

TOKEN = "a token of sixteen characters"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _with(settings: Settings, *, production: bool = False, **metrics: object) -> Settings:
    server: ServerSettings = settings.server
    if production:
        server = server.model_copy(update={"env": "production"})
    own = settings.metrics.model_copy(update=metrics)
    return settings.model_copy(update={"metrics": own, "server": server})


async def _statuses(url: str, *headers: dict[str, str]) -> list[int]:
    async with httpx.AsyncClient() as http:
        return [(await http.get(f"{url}/metrics", headers=one)).status_code for one in headers]


@pytest.mark.parametrize("production", [True, False])
async def test_an_address_of_its_own(settings: Settings, production: bool) -> None:
    port = _free_port()
    app = create_app(_with(settings, production=production, port=port), schema=toy.schema)
    async with serving(app) as url, httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/metrics")).status_code == 404
        figures = await http.get(f"http://127.0.0.1:{port}/metrics")
        assert figures.status_code == 200
        assert "taskloom_workers" in figures.text
        # The limits of headers hold there as well.
        many = {f"x-{number}": "x" for number in range(settings.limits.headers)}
        assert (await http.get(figures.url, headers=many)).status_code == 431
        # Nothing else is served there.
        assert (await http.get(f"http://127.0.0.1:{port}/health")).status_code == 404
    with pytest.raises(httpx.ConnectError):
        await _statuses(f"http://127.0.0.1:{port}", {})


async def test_a_token(settings: Settings) -> None:
    app = create_app(_with(settings, production=True, token=SecretStr(TOKEN)), schema=toy.schema)
    good = [{"Authorization": f"{scheme} {TOKEN}"} for scheme in ("Bearer", "bearer")]
    texts = (f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer")
    wrong = [{}, *({"Authorization": text} for text in texts)]
    async with serving(app) as url:
        assert await _statuses(url, *good) == [200, 200]
        assert set(await _statuses(url, *wrong)) == {401}


async def test_without_either_in_development_only(settings: Settings) -> None:
    for production, status in ((True, 404), (False, 200)):
        app = create_app(_with(settings, production=production), schema=toy.schema)
        async with serving(app) as url:
            assert await _statuses(url, {}) == [status]


async def test_reading_them_often_asks_the_database_once(
    client: httpx.AsyncClient, statements: Callable[[], AbstractContextManager[list[str]]]
) -> None:
    with statements() as heard:
        for _ in range(50):
            assert (await client.get("/metrics")).status_code == 200
    asked = [text for text in heard if "FROM jobs" in text]
    assert len(asked) <= 2
