"""The pages at `/docs` in a browser: on a phone, by keyboard, in both colour schemes."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browsers import CHROMIUM
from tests.e2e import axe
from tests.e2e.test_explorer import Visit, visit

__all__ = ["visit"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed on this machine"),
]
# With long code and long names, tables of numbers, tables without headings, and the search.
PAGES = [
    *("first-ten-minutes", "scaling", "limits", "search?q=cursor", "none"),
    *("reference-admin", "reference-notifications"),
]


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_fits_a_phone_and_axe_finds_nothing(visit: Visit, name: str) -> None:
    page = await visit.context.new_page()
    await page.set_viewport_size({"width": 360, "height": 780})
    await page.goto(f"{visit.server.url}/docs/{name}")
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    assert [axe.summary(rule) for rule in await axe.violations(page)] == []


async def test_on_paper_there_is_the_whole_page_and_no_menu(visit: Visit) -> None:
    page = await visit.context.new_page()
    await page.set_viewport_size({"width": 700, "height": 1000})
    await page.goto(f"{visit.server.url}/docs/cookbook")
    await page.emulate_media(media="print", color_scheme="dark")
    await expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    await expect(page.get_by_role("navigation")).to_be_hidden()
    await expect(page.get_by_label("Search the documentation")).to_be_hidden()
    cut = (
        "[...document.querySelectorAll('pre')].filter((e) => e.scrollWidth > e.clientWidth).length"
    )
    assert await page.evaluate(cut) == 0
