"""A server that can be killed, and users of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from db.engine import Database
from settings import Settings
from tests import servers
from tests.accounts import House, Person


@dataclass(slots=True)
class Server:
    """A server process on a port of its own, which can be killed and started again."""

    settings: Settings
    port: int
    _running: Any = None
    _ending: Any = None

    @property
    def url(self) -> str:
        """Its address, the same after a restart."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self._ending = contextlib.ExitStack()
        made = servers.process(self.settings, port=self.port, TASKLOOM_PUBLIC_URL=self.url)
        _, self._running = self._ending.enter_context(made)

    def kill(self) -> None:
        """SIGKILL."""
        self._running.kill()
        self._running.wait()

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._ending.close()


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    made = Server(settings, servers.free_port())
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def house(server: Server, database: Database) -> AsyncIterator[House]:
    """The account services of the server: it accepts only tokens issued under its own address."""
    address = server.settings.server.model_copy(update={"public_url": server.url})
    made = House(server.settings.model_copy(update={"server": address}), database)
    yield made
    made.auth.close()


@pytest.fixture
async def ada(house: House) -> Person:
    return await house.person()


@pytest.fixture
async def expiring(house: House) -> Person:
    """Somebody whose access token expires three seconds from now."""
    house.clock.forward(seconds=3 - house.settings.auth.access_token_seconds)
    return await house.person()


@pytest.fixture
async def expired(house: House) -> Person:
    """Somebody whose access token has expired, and whose refresh token has not."""
    house.clock.forward(seconds=-1 - house.settings.auth.access_token_seconds)
    return await house.person()
