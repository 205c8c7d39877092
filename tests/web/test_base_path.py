"""A server below a path of another site: `TASKLOOM_PUBLIC_URL=https://example.com/taskloom`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from app import create_app
from settings import Settings, SettingsError
from tests.accounts import House
from tests.servers import free_port, serving
from tests.web.site import Site

PREFIX = "/taskloom"


def below(settings: Settings, url: str) -> Settings:
    server = settings.server.model_copy(
        update={"public_url": url, "frontend_url": "http://app.test"}
    )
    return settings.model_copy(update={"server": server})


class Stripping:
    """A proxy that removes the path, as `handle_path` of Caddy does."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything else is of another site."""
        if scope["path"] == self._prefix:
            await _redirect(f"{self._prefix}/", send)
            return
        assert scope["path"].startswith(f"{self._prefix}/"), scope["path"]
        path = scope["path"].removeprefix(self._prefix)
        raw = scope["raw_path"].removeprefix(self._prefix.encode())
        await self._app({**scope, "path": path, "raw_path": raw}, receive, send)


async def _redirect(location: str, send: Send) -> None:
    headers = [(b"location", location.encode())]
    await send({"type": "http.response.start", "status": 308, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture(params=["passed on", "removed", "nested", "none"])
async def site(
    request: pytest.FixtureRequest, settings: Settings, house: House
) -> AsyncIterator[Site]:
    prefix = {"nested": "/teams/%C3%A4rger/taskloom", "none": ""}.get(request.param, PREFIX)
    made = below(settings, f"https://example.com{prefix}")
    app = create_app(made)
    async with app.lifespan():
        outer: ASGIApp = Stripping(app, prefix) if request.param == "removed" else app
        async with httpx.AsyncClient(transport=httpx.ASGITransport(outer), timeout=60) as http:
            yield Site(made, http, await House(made, house.database).person())


async def test_every_link_stays_below_it(site: Site) -> None:
    await site.pages()
    await site.accounts()
    await site.files()


async def test_streams_and_sockets(settings: Settings, house: House) -> None:
    async with AsyncExitStack() as stack:
        made = below(settings, f"http://localhost:{free_port()}{PREFIX}")
        url = await stack.enter_async_context(serving(create_app(made)))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=60))
        site = Site(made, http, await House(made, house.database).person())
        for address in (f"{url}{PREFIX}", url):
            site.url = address
            await site.stream()
            await site.socket()


async def test_its_root_needs_the_slash(settings: Settings) -> None:
    made = below(settings, f"https://example.com{PREFIX}")
    transport = httpx.ASGITransport(create_app(made))
    async with httpx.AsyncClient(transport=transport, base_url="http://taskloom.test") as http:
        answer = await http.get(f"{PREFIX}?a=b")
        assert answer.status_code == 308
        # Whatever host and scheme the browser uses.
        assert answer.headers["location"] == f"{PREFIX}/?a=b"
        # Names that only begin alike are not below it.
        assert (await http.get(f"{PREFIX}s/health/live")).status_code == 404
        assert (await http.get(f"{PREFIX}/health/live")).status_code == 200
        assert (await http.get("/health/live")).status_code == 200
        assert (await http.get(f"{PREFIX}{PREFIX}/health/live")).status_code == 404


@pytest.mark.parametrize("path", ["/docs", "/graphql", "/files/x", "/auth", "/explorer"])
def test_a_path_of_the_server_is_refused(settings: Settings, path: str) -> None:
    with pytest.raises(SettingsError, match="must not begin with"):
        create_app(below(settings, f"https://example.com{path}"))
