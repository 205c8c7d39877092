"""The pages at `/docs` in a browser: on a phone, by keyboard, in both colour schemes."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.e2e import axe
from tests.e2e.test_explorer import CHROMIUM, Visit, visit

__all__ = ["visit"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed on this machine"),
]
# With long code, tables of numbers, tables without headings, and the search.
PAGES = ["first-ten-minutes", "scaling", "limits", "reference-admin", "search?q=cursor", "none"]


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_fits_a_phone_and_axe_finds_nothing(visit: Visit, name: str) -> None:
    page = await visit.context.new_page()
    await page.set_viewport_size({"width": 390, "height": 844})
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        await page.goto(f"{visit.server.url}/docs/{name}")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        assert [axe.summary(rule) for rule in await axe.violations(page)] == []
