from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from app import Application, create_app
from settings import Settings
from tests.servers import serving
from tests.web import toy
from tests.web.websocket_client import Open, opened


@pytest.fixture(scope="session")
def toy_app(settings: Settings) -> Application:
    """The application with the small schema of `tests.web.toy`."""
    graphql = settings.graphql.model_copy(update={"operation_seconds": 1.0})
    return create_app(settings.model_copy(update={"graphql": graphql}), schema=toy.schema)


@pytest.fixture(scope="session")
async def toy_url(toy_app: Application) -> AsyncIterator[str]:
    """Its address; a real server on a real socket."""
    async with serving(toy_app) as url:
        yield url


@pytest.fixture
async def http(toy_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of it."""
    async with httpx.AsyncClient(base_url=toy_url, timeout=20) as client:
        yield client


@pytest.fixture
def ws(toy_url: str) -> Open:
    """Opens connections to it."""
    return lambda **options: opened(toy_url, **options)
