"""Accessibility of a page, as axe-core finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.async_api import Page

AXE = Path(__file__).parents[2] / "clients" / "board" / "node_modules" / "axe-core" / "axe.min.js"


async def violations(page: Page) -> list[Any]:
    """The rules that the page breaks, each with the elements that break it."""
    await page.evaluate(AXE.read_text())
    found: dict[str, list[Any]] = await page.evaluate("axe.run()")
    return found["violations"]


def summary(rule: Any) -> tuple[str, str, list[str]]:
    """What to show of a broken rule: its name, what it asks for, and the elements."""
    return rule["id"], rule["help"], [node["html"][:200] for node in rule["nodes"]]
