"""One browser and one server of the board for all files of a run; the tests have windows of their
own, in contexts that share nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright

from settings import Settings
from tests import servers
from tests.browsers import CHROMIUM


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                # No host name is resolved, so a request to another host cannot succeed unnoticed.
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
            ],
        )
        yield browser
        await browser.close()


class Server:
    """A process of the server that can be killed and started again on the same address."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._port = servers.free_port()
        self._variables: dict[str, Any] = {
            "TASKLOOM_PUBLIC_URL": f"http://127.0.0.1:{self._port}",
            "TASKLOOM_DATA_DIR": str(folder),
            "TASKLOOM_STORAGE_URL": (folder / "files").as_uri(),
        }
        self.url = self._variables["TASKLOOM_PUBLIC_URL"]
        self._running: contextlib.ExitStack | None = None
        self._process: servers.Running | None = None

    async def start(self) -> None:
        self._running = contextlib.ExitStack()
        begun = servers.process(self._settings, port=self._port, **self._variables)
        _, self._process = await asyncio.to_thread(self._running.enter_context, begun)

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await asyncio.to_thread(self._process.wait)

    async def stop(self) -> None:
        assert self._running is not None
        await asyncio.to_thread(self._running.close)


@pytest.fixture(scope="session")
async def server(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    made = Server(settings, tmp_path_factory.mktemp("board"))
    await made.start()
    yield made
    await made.stop()
