"""Writes `RESULTS.md`, which has a part for each benchmark: `make bench` writes one, `make
bench-all` all of them.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

RESULTS: Final = Path(__file__).parent / "RESULTS.md"
# The parts in their order, by the name of their module. Each has a heading of the first level.
TITLES: Final = {
    # Written by hand, from the others.
    "short": "In short",
    "bench": "Requests, beside other servers",
    "tuned": "The reads again, on PostgreSQL as the embedded server sets it",
    "cold": "New documents, run by run",
    "lag": "The worker: live events and creates",
    "streams": "A thousand subscriptions",
    "growth": "Growth",
}


def commit() -> str:
    """The commit that is measured."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    folder = RESULTS.parent
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def write(name: str, text: str, file: Path = RESULTS) -> None:
    """Replace one part, and keep the others."""
    parts = _parts(file.read_text() if file.exists() else "")
    parts[TITLES[name]] = text.strip("\n")
    ordered = [f"# {title}\n\n{parts[title]}\n" for title in TITLES.values() if title in parts]
    file.write_text("\n".join(ordered))


def _parts(text: str) -> dict[str, str]:
    """The parts that the file has, by title; what is not a part any more is dropped."""
    found = re.split(r"^# (.+)$", text, flags=re.MULTILINE)[1:]
    parts = dict(zip(found[::2], (part.strip("\n") for part in found[1::2]), strict=True))
    return {title: part for title, part in parts.items() if title in TITLES.values()}
