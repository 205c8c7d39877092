"""The explorer below a path, on a server that shows its schema to signed-in users only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from playwright.async_api import expect

from app import create_app
from tests.conftest import LiveServer
from tests.e2e.test_explorer import (
    SCREENSHOTS,
    Visit,
    expect_answer,
    pytestmark,
    run_tab,
    visit,
)
from tests.servers import serving

__all__ = ["pytestmark", "visit"]


@pytest.fixture
async def live_server(live_server: LiveServer) -> AsyncIterator[LiveServer]:
    """The same data, behind other settings."""
    settings = live_server.settings
    server = settings.server.model_copy(update={"public_url": "https://example.com/taskloom"})
    graphql = settings.graphql.model_copy(update={"introspection": "signed-in"})
    made = settings.model_copy(update={"server": server, "graphql": graphql})
    async with serving(create_app(made)) as url:
        yield replace(live_server, url=f"{url}/taskloom", settings=made)


async def test_the_schema_appears_after_signing_in(visit: Visit) -> None:
    page = await visit.open()
    await expect(page.locator(".fatal")).to_have_count(0)
    docs = page.get_by_role("button", name="Show Documentation Explorer")
    await docs.click()
    pane = page.locator(".graphiql-plugin")
    await expect(pane).to_contain_text("Error fetching schema")
    await expect_answer(page, "Only signed-in users can read the schema")
    SCREENSHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / "explorer-signed-out.png")
    await visit.sign_in(page)
    await visit.expect_signed_in(page)
    await expect(pane).to_contain_text("Query", timeout=20_000)
    await expect(pane).not_to_contain_text("Error fetching schema")
    await run_tab(page, "Board")
    await expect_answer(page, '"totalCount"')
    await page.screenshot(path=SCREENSHOTS / "explorer-signed-in.png")
