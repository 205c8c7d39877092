"""The configurations in `ops/nginx` and `ops/caddy`, with real proxies where they are installed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from app import create_app
from settings import Settings
from tests import proxies
from tests.accounts import House
from tests.proxies import Proxy
from tests.servers import serving
from tests.web.site import Site

KINDS = ("nginx", "nginx-sub-path", "caddy", "caddy-sub-path")
# The client's, so that it differs from the proxy's, which the server trusts.
CLIENT = "127.0.0.2"


class Behind(NamedTuple):
    """A server behind a proxy."""

    site: Site
    proxy: Proxy
    kind: str


@pytest.fixture(
    params=[
        pytest.param(
            kind,
            marks=pytest.mark.skipif(
                proxies.installed(kind.partition("-")[0]) is None,
                reason=f"{kind.partition('-')[0]} is not installed on this machine",
            ),
        )
        for kind in KINDS
    ]
)
async def behind(
    request: pytest.FixtureRequest, settings: Settings, house: House, tmp_path: Path
) -> AsyncIterator[Behind]:
    ports = proxies.ports()
    path = "/taskloom" if request.param.endswith("sub-path") else ""
    changed = {
        "public_url": f"https://localhost:{ports[0]}{path}",
        "frontend_url": "https://app.example.com",
        "trusted_proxies": ("127.0.0.1",),
    }
    server = settings.server.model_copy(update=changed)
    made = settings.model_copy(update={"server": server})
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(create_app(made)))
        upstream = httpx.URL(url).port
        assert upstream is not None
        proxy = stack.enter_context(proxies.running(request.param, tmp_path, upstream, ports))
        transport = httpx.AsyncHTTPTransport(verify=proxy.trust, local_address=CLIENT)
        http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, timeout=60))
        site = Site(made, http, await House(made, house.database).person())
        yield Behind(site, proxy, request.param)


async def test_everything_works_behind_it(behind: Behind) -> None:
    site = behind.site
    await site.pages()
    await site.accounts()
    await site.stream()
    await site.socket(behind.proxy.trust)
    # As large as the server accepts.
    await site.files(site.settings.storage.upload_bytes)
    await _limits_are_those_of_the_server(behind)
    await _addresses_are_those_of_the_clients(behind)


async def _limits_are_those_of_the_server(behind: Behind) -> None:
    site = behind.site
    # One byte more is refused by the server, as JSON.
    body = b" " * (site.settings.limits.body_bytes + 1)
    answer = await site.http.post(
        f"{site.url}/graphql", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    address = f"{site.url}/graphql?query={{__typename}}&x={'y' * 15_000}"
    assert (await site.http.get(address)).json()["data"] == {"__typename": "Query"}
    assert (await site.http.get(f"{site.url}/metrics")).status_code == 404


async def _addresses_are_those_of_the_clients(behind: Behind) -> None:
    """Whatever they claim to be."""
    site = behind.site
    login = """mutation ($input: SessionCreateInput!) {
        sessionCreate(input: $input) { accessToken errors { message } } }"""
    given = {"login": site.person.username, "password": "correct horse battery"}
    claimed = {"X-Forwarded-For": "192.0.2.77", "X-Forwarded-Proto": "http"}
    body = {"query": login, "variables": {"input": given}}
    answer = await site.http.post(f"{site.url}/graphql", json=body, headers=claimed)
    token = answer.json()["data"]["sessionCreate"]["accessToken"]
    site.signed = {"Authorization": f"Bearer {token}"}
    found = await site.ask("{ viewer { sessions { nodes { ip isCurrent } } } }")
    (current,) = [one for one in found["viewer"]["sessions"]["nodes"] if one["isCurrent"]]
    assert current["ip"] == CLIENT


async def test_plain_http_leads_to_tls(behind: Behind) -> None:
    if behind.kind.startswith("caddy"):
        pytest.skip("Caddy's own redirect needs port 80")
    url = f"http://127.0.0.1:{behind.proxy.http}/docs?q=1"
    answer = await behind.site.http.get(url, headers={"Host": "localhost"})
    assert (answer.status_code, answer.headers["location"]) == (301, "https://localhost/docs?q=1")


def test_uploads_as_large_as_the_settings_allow_pass(settings: Settings) -> None:
    """The limits that the configurations name, against those of the server by default."""
    from web.multipart import MOST_FILES

    most = settings.limits.body_bytes + MOST_FILES * settings.storage.upload_bytes
    nginx = (proxies.OPS / "nginx" / "taskloom.conf").read_text()
    below = (proxies.OPS / "nginx" / "taskloom-sub-path.conf").read_text()
    caddy = (proxies.OPS / "caddy" / "Caddyfile").read_text()
    for text, line, unit in (
        (nginx, "client_max_body_size 55m;", 1 << 20),
        (below, "client_max_body_size 55m;", 1 << 20),
        (caddy, "max_size 55MB", 1_000_000),
    ):
        assert line in text
        assert 55 * unit >= most
