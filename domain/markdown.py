"""Markdown as people write it in comments: to safe HTML, to plain text, and whom it mentions.

Two locks stand between a text and a reader's page. The renderer takes raw HTML for text and makes
links of safe schemes only; then `nh3` (Ammonia) parses what came out as a browser would, and lets
through only the elements and attributes named here. Either alone would do, and each covers for a
fault of the other.

Mentions are found in the parsed text, so that an `@name` inside code or an address is none.

Both libraries are loaded with the first text, as Pillow is with the first picture: most processes
most of the time need neither, and each takes three MiB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

# Whole addresses alone: a relative one would mean another place on each page that shows it.
_LINK = re.compile(r"(https?://|mailto:)[^\s]", re.IGNORECASE)


@cache
def _parser() -> MarkdownIt:
    """CommonMark with tables, strike-through and bare links, as on the sites where people write
    most. Without pictures: one from elsewhere tells its server who reads the comment, and when.
    """
    from markdown_it import MarkdownIt

    class Parser(MarkdownIt):
        def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
            """Whether an address may become a link; else it stays as it was typed."""
            return _LINK.match(url) is not None

    return (
        Parser("commonmark", {"html": False, "linkify": True, "breaks": True, "maxNesting": 20})
        .enable(["table", "strikethrough", "linkify"])
        .disable("image")
    )


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

# Usernames as domain.user allows them; a full stop at the end ends the sentence, not the name.
_MENTION = re.compile(r"(?<![\w@./-])@([A-Za-z0-9_.-]{2,49}[A-Za-z0-9_-])(?![\w@])")


@lru_cache(maxsize=256)
def to_html(text: str) -> str:
    """HTML that may stand in anybody's page. Links open nothing of ours and lend no rank."""
    import nh3

    return nh3.clean(
        _parser().render(text),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_filtered,
        url_schemes=_SCHEMES,
        link_rel="nofollow noopener noreferrer",
    )


def _filtered(tag: str, attribute: str, value: str) -> str | None:
    if attribute == "href":
        return value if _LINK.match(value) else None
    if tag == "code" and attribute == "class":
        return value if _LANGUAGE.fullmatch(value) else None
    if tag == "ol" and attribute == "start":
        return value if value.isdigit() else None
    return value


@lru_cache(maxsize=256)
def to_text(text: str) -> str:
    """The words without their marks, a line for each block: for previews and notifications."""
    lines = (_line(token) for token in _parser().parse(text))
    return "\n".join(line for line in lines if line)


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


def mentioned(text: str) -> list[str]:
    """The usernames after an `@`, in lower case, each once, in the order of the text."""
    if "@" not in text:
        return []
    found: dict[str, None] = {}
    for token in _parser().parse(text):
        in_link = 0
        for child in token.children or ():
            in_link += child.type == "link_open"
            in_link -= child.type == "link_close"
            if child.type == "text" and not in_link:
                found.update((name.lower(), None) for name in _MENTION.findall(child.content))
    return list(found)
