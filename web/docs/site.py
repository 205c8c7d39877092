"""The pages at `/docs`, in the order of their navigation.

Most are Markdown files in `docs/`; the error codes and the reference are made from the code. Links
between files become links between pages; files link to the others by their path, `/docs/errors`.
A page is rendered when it is first asked for, and kept.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from web.docs import errors, reference
from web.docs.markdown import Rendered, rendered

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs"

# By the heading in the navigation: files in `docs/`, and names of pages that are made.
FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "Guide": (
        "guide/first-ten-minutes.md",
        "guide/explorer.md",
        "guide/signing-in.md",
        "guide/reading.md",
        "guide/changing.md",
        "guide/live.md",
        "guide/polling.md",
        "guide/clients.md",
        "guide/persisted-documents.md",
        "guide/cookbook.md",
    ),
    "Topics": (
        "access.md",
        "files.md",
        "time.md",
        "webhooks.md",
        "integrations.md",
        "push.md",
        "web-application.md",
        "limits.md",
        "rest-to-graphql.md",
    ),
    "Reference": (errors.PATH, *reference.PATHS),
    "Deploying": (
        "deployment/compose.md",
        "deployment/systemd.md",
        "deployment/kubernetes.md",
        "deployment/render.md",
        "deployment/aws.md",
        "deployment/proxies.md",
    ),
    "Running a server": (
        "running.md",
        "database.md",
        "scaling.md",
        "mail.md",
        "secrets.md",
        "threat-model.md",
    ),
    "Versions": ("changelog.md", "deprecation.md"),
}
HOME: Final = "first-ten-minutes"
PATH: Final = "/docs/"


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its name in the URL, its section of the navigation, and where its text is from."""

    name: str
    section: str
    title: str
    read: Callable[[], str]
    # Made from the schema, and so for those who can read it.
    of_schema: bool = False


def _page_of_file(section: str, file: str) -> Page:
    path = FOLDER / file
    with path.open(encoding="utf-8") as lines:
        title = next(line for line in lines if line.startswith("# "))
    return Page(path.stem, section, title[2:].strip(), lambda: path.read_text(encoding="utf-8"))


def _made_page(section: str, name: str) -> Page:
    if name == errors.PATH:
        return Page(name, section, "Error codes", errors.errors_page)
    title = reference.title_of(name)
    return Page(name, section, title, lambda: reference.reference_page(name), of_schema=True)


@functools.cache
def pages() -> dict[str, Page]:
    """All pages by name, in order."""
    found = [
        _page_of_file(section, name) if name.endswith(".md") else _made_page(section, name)
        for section, names in FILES.items()
        for name in names
    ]
    return {page.name: page for page in found}


@functools.cache
def content(name: str) -> Rendered:
    """A page in HTML. The first time, this takes some milliseconds, the reference up to a second:
    call it in a thread.
    """
    return rendered(pages()[name].read(), _link)


def _link(target: str) -> str:
    """From a file to a page: `../limits.md#files` to `limits#files`."""
    file, mark, anchor = target.partition("#")
    if "://" in file or not file.endswith(".md"):
        return target.removeprefix(PATH)
    return f"{Path(file).stem}{mark}{anchor}"
