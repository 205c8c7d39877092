"""Markdown in comments and descriptions: rendered to safe HTML and to plain text, with the users
it mentions.

Two filters protect a reader's page. The renderer treats raw HTML as text and makes links of safe
schemes only; then `nh3` (Ammonia) parses the result like a browser, and keeps only the elements and
attributes named here. Either alone would do, and each covers for a fault of the other.

Mentions are found in the parsed text, so that an `@name` inside code or an address is not one.

Rendering takes up to a tenth of a second for the longest text. It runs in one separate thread:
several would share the interpreter's lock with the event loop, each for 5 ms at a time.

Both libraries are loaded with the first text, like Pillow with the first image: most processes most
of the time need neither, and each takes three MiB.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from cache import BoundedCache
from errors import Unavailable

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

# Version of what `render` returns. Increase it with every change of that, including a change by a
# library's update (a test compares): texts rendered by another version are rendered again.
VERSION: Final = 1

# Linkifying takes quadratic time in the length of a word, and a row of a table gets all the cells
# that its header has. In texts beyond these limits, links or tables stay as they were written.
LONGEST_WORD: Final = 1_000
MOST_CELLS: Final = 2_000
# How many texts may wait for the thread.
_MOST_WAITING: Final = 64
# Characters of HTML that a process keeps of descriptions, which are rendered when they are read:
# more than a page of the longest, which have about 35,000 each.
_MOST_KEPT: Final = 4_000_000

# Absolute URLs only: a relative one would lead elsewhere on each page that shows it.
_LINK = re.compile(r"(https?://|mailto:)[^\s]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """`html` is safe in any page: its links have no opener and pass no rank. `text` has the words
    without markup, one line per block, for previews and notifications. `mentioned` are the
    usernames after an `@`, in lower case, each once, in the order of the text.
    """

    html: str
    text: str
    mentioned: tuple[str, ...]


NOTHING: Final = Rendered("", "", ())


class _Renderer:
    """One per process."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="markdown")
        self._waiting = 0
        self._kept: BoundedCache[str, str] = BoundedCache(_MOST_KEPT, size=len)

    async def html(self, text: str) -> str:
        found = self._kept.get(text)
        if found is None:
            found = self._kept[text] = (await self.render(text)).html
        return found

    async def render(self, text: str) -> Rendered:
        if self._waiting >= _MOST_WAITING:
            raise Unavailable("Too many texts are being processed. Try again in a few seconds.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, render, text)
        finally:
            self._waiting -= 1


_renderer = cache(_Renderer)


async def rendered(text: str) -> Rendered:
    """`render`, in the thread. Raises `Unavailable` if too many texts wait for it."""
    return await _renderer().render(text)


async def html(text: str) -> str:
    """The HTML of a text that is stored without it; kept in memory for the next reader, so that
    one who is cut off has less to wait for when trying again. Raises like `rendered`.
    """
    return await _renderer().html(text)


@cache
def _parser(*, tables: bool, links: bool) -> MarkdownIt:
    """CommonMark with tables, strikethrough and bare links, like the sites where people write most.
    Without images: one from elsewhere tells its server who reads the comment, and when.
    """
    from markdown_it import MarkdownIt

    class Parser(MarkdownIt):
        def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
            """Whether a URL may become a link; otherwise it stays as it was typed."""
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

# Usernames as domain.accounts.user allows them; a trailing full stop ends the sentence, not the
# name.
_MENTION = re.compile(r"(?<![\w@./-])@([A-Za-z0-9_.-]{2,49}[A-Za-z0-9_-])(?![\w@])")


# The fields for HTML and text request a rendering that is not stored yet one after the other.
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
    """How many cells the tables of a text could have: no table continues after an empty line."""
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
