"""Markdown as people write it in comments: to safe HTML, to plain text, and whom it mentions.

Two locks stand between a text and a reader's page. The renderer takes raw HTML for text and makes
links of safe schemes only; then `nh3` (Ammonia) parses what came out as a browser would, and lets
through only the elements and attributes named here. Either alone would do, and each covers for a
fault of the other.

Mentions are found in the parsed text, so that an `@name` inside code or an address is none.

Rendering takes up to a tenth of a second for the longest text. It runs in one thread of its own:
several would share the interpreter's lock with the event loop, each for 5 ms at a time.

Both libraries are loaded with the first text, as Pillow is with the first picture: most processes
most of the time need neither, and each takes three MiB.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from errors import Unavailable

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

# Of what `render` gives. Raise it with every change of that, also one that an update of a library
# brings (a test compares): texts that were rendered by another version are rendered again.
VERSION: Final = 1

# Linkifying takes quadratic time in the length of a word, and a row of a table gets all the cells
# that its header has. Texts with more than these show the addresses, or tables, as they were
# written.
LONGEST_WORD: Final = 1_000
MOST_CELLS: Final = 2_000
# How many texts may wait for the thread.
_MOST_WAITING: Final = 64

# Whole addresses alone: a relative one would mean another place on each page that shows it.
_LINK = re.compile(r"(https?://|mailto:)[^\s]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """`html` may stand in anybody's page: its links open nothing of ours and lend no rank. `text`
    has the words without their marks, a line for each block: for previews and notifications.
    `mentioned` are the usernames after an `@`, in lower case, each once, in the order of the text.
    """

    html: str
    text: str
    mentioned: tuple[str, ...]


NOTHING: Final = Rendered("", "", ())


class _Renderer:
    """One a process."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="markdown")
        self._waiting = 0

    async def render(self, text: str) -> Rendered:
        if self._waiting >= _MOST_WAITING:
            raise Unavailable("Too many texts are being written; try again in a few seconds.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, render, text)
        finally:
            self._waiting -= 1


_renderer = cache(_Renderer)


async def rendered(text: str) -> Rendered:
    """`render`, in the thread. Raises `Unavailable` if too many wait for it."""
    return await _renderer().render(text)


@cache
def _parser(*, tables: bool, links: bool) -> MarkdownIt:
    """CommonMark with tables, strike-through and bare links, as on the sites where people write
    most. Without pictures: one from elsewhere tells its server who reads the comment, and when.
    """
    from markdown_it import MarkdownIt

    class Parser(MarkdownIt):
        def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
            """Whether an address may become a link; else it stays as it was typed."""
            return _LINK.match(url) is not None

    options = {"html": False, "linkify": links, "breaks": True, "maxNesting": 20}
    rules = ["strikethrough", *(["table"] if tables else ()), *(["linkify"] if links else ())]
    return Parser("commonmark", options).enable(rules).disable("image")


_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "li", "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES = {
    "a": {"href", "title"},
    "code": {"class"},
    "ol": {"start"},
}
_SCHEMES = {"http", "https", "mailto"}
_LANGUAGE = re.compile(r"language-[\w+#.-]{1,40}")

# Usernames as domain.accounts.user allows them; a full stop at the end ends the sentence, not the
# name.
_MENTION = re.compile(r"(?<![\w@./-])@([A-Za-z0-9_.-]{2,49}[A-Za-z0-9_-])(?![\w@])")


# The field for HTML and the one for text ask one after the other for what is not kept yet.
@lru_cache(maxsize=16)
def render(text: str) -> Rendered:
    """What readers see of a text; not for the event loop."""
    import nh3

    parser = _parser(
        tables=_cells(text) <= MOST_CELLS,
        links=max(map(len, text.split()), default=0) <= LONGEST_WORD,
    )
    tokens = parser.parse(text)
    html = nh3.clean(
        parser.renderer.render(tokens, parser.options, {}),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_filtered,
        url_schemes=_SCHEMES,
        link_rel="nofollow noopener noreferrer",
    )
    lines = (_line(token) for token in tokens)
    plain = "\n".join(line for line in lines if line)
    return Rendered(html, plain, _mentioned(tokens) if "@" in text else ())


def _cells(text: str) -> int:
    """How many cells the tables of a text could have: none goes on after an empty line."""
    cells = rows = columns = 0
    for line in (*text.split("\n"), ""):
        if line.strip(" >\t"):
            rows += 1
            columns = max(columns, line.count("|") + 1)
            continue
        if columns > 1:
            cells += rows * columns
        rows = columns = 0
    return cells


def _filtered(tag: str, attribute: str, value: str) -> str | None:
    if attribute == "href":
        return value if _LINK.match(value) else None
    if tag == "code" and attribute == "class":
        return value if _LANGUAGE.fullmatch(value) else None
    if tag == "ol" and attribute == "start":
        return value if value.isdigit() else None
    return value


def _line(token: Token) -> str:
    if token.type in {"fence", "code_block"}:
        return token.content.rstrip("\n")
    if token.type != "inline":
        return ""
    return "".join(_words(token)).strip()


def _words(inline: Token) -> Iterator[str]:
    for child in inline.children or ():
        if child.type in {"softbreak", "hardbreak"}:
            yield "\n"
        elif child.type in {"text", "code_inline", "text_special"}:
            yield child.content


def _mentioned(tokens: Sequence[Token]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for token in tokens:
        in_link = 0
        for child in token.children or ():
            in_link += child.type == "link_open"
            in_link -= child.type == "link_close"
            if child.type == "text" and not in_link:
                found.update((name.lower(), None) for name in _MENTION.findall(child.content))
    return tuple(found)
