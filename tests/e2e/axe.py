"""Accessibility of a page, as axe-core finds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Page

Scheme = Literal["light", "dark"]

AXE = Path(__file__).parents[2] / "clients" / "board" / "node_modules" / "axe-core" / "axe.min.js"
# The rules to apply in each colour scheme: of a page in the dark only its colours are others.
_RULES: dict[Scheme, dict[str, Any]] = {
    "light": {},
    "dark": {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}},
}


async def violations(page: Page, *, shows: Mapping[Scheme, str] | None = None) -> list[Any]:
    """The rules that the page breaks in either colour scheme, each with the elements that break it.
    The page is left in the light. `shows`: what it has in each, if a script changes it a moment
    later.
    """
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text())
    broken: list[Any] = []
    for scheme, rules in _RULES.items():
        await page.emulate_media(color_scheme=scheme)
        if shows is not None:
            await page.locator(shows[scheme]).first.wait_for(state="attached")
        # All other results would be larger than the page, and take longer than the rules.
        broken += await page.evaluate(
            "(options) => axe.run(options).then(({ violations }) => violations)",
            {"resultTypes": ["violations"], **rules},
        )
    await page.emulate_media(color_scheme="light")
    return broken


async def picture(page: Page, path: Path, **options: Any) -> None:
    """A screenshot in each colour scheme; `{}` in the name stands for it."""
    path.parent.mkdir(exist_ok=True)
    for scheme in reversed(_RULES):
        await page.emulate_media(color_scheme=scheme)
        await page.screenshot(path=path.with_name(path.name.format(scheme)), **options)


def summary(rule: Any) -> tuple[str, str, list[str]]:
    """What to show of a broken rule: its name, what it asks for, and the elements."""
    return rule["id"], rule["help"], [node["html"][:200] for node in rule["nodes"]]
