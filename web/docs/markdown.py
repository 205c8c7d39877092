"""Markdown to HTML, for pages that this project has written itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_GIVEN_ID: Final = re.compile(r"\s*\{\s*#([\w.-]+)\s*\}$")
_COMMENT: Final = re.compile(r"^<!--.*?-->\n?", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a page: `level` from 1, and the `id` that links lead to."""

    level: int
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and the plain text below it up to the next one, for the search."""

    heading: Heading
    text: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page in HTML, its headings in order, and its text by section."""

    html: str
    headings: tuple[Heading, ...]
    sections: tuple[Section, ...]


def rendered(text: str, link: Callable[[str], str]) -> Rendered:
    """Render a page. `link` makes the target of a link from what the source says.

    A heading gets its ID from its words, or from `{#id}` at its end. HTML comments are left out;
    other HTML is shown as text.
    """
    parser = _parser()
    tokens = parser.parse(_COMMENT.sub("", text))
    headings = tuple(_name_headings(tokens))
    for token, inline, end in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if token.type == "th_open" and not inline.content:
            token.tag = end.tag = "td"
    for token in _all(tokens):
        href = token.attrGet("href") if token.type == "link_open" else None
        if href is not None:
            token.attrSet("href", link(str(href)))
        # The policy of these pages allows no style of an element's own.
        if token.attrs.pop("style", None) == "text-align:right":
            token.attrSet("class", "number")
    html = parser.renderer.render(tokens, parser.options, {})
    # So that those without a mouse can scroll what is too wide.
    html = html.replace("<pre>", '<pre tabindex="0">').replace("<table>", '<table tabindex="0">')
    return Rendered(html, headings, tuple(_sections(tokens, headings)))


@cache
def _parser() -> MarkdownIt:
    # A server whose pages nobody reads does not need it.
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def slug(text: str) -> str:
    """The ID of a heading with this text, as GitHub and MkDocs make it."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", text.lower())).strip("-")


def _name_headings(tokens: list[Token]) -> Iterator[Heading]:
    taken: set[str] = set()
    for token, inline in pairwise(tokens):
        if token.type != "heading_open":
            continue
        given = _GIVEN_ID.search(inline.content)
        if given is not None and inline.children:
            last = inline.children[-1]
            last.content = _GIVEN_ID.sub("", last.content)
        text = _plain(inline)
        name = base = given[1] if given is not None else slug(text)
        number = 1
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name)
        token.attrSet("id", name)
        yield Heading(int(token.tag[1:]), name, text)


def _sections(tokens: list[Token], headings: tuple[Heading, ...]) -> Iterator[Section]:
    texts: list[list[str]] = []
    for token in tokens:
        if token.type == "heading_open":
            texts.append([])
        elif token.type in {"inline", "fence"} and texts:
            texts[-1].append(_plain(token))
    for heading, words in zip(headings, texts, strict=True):
        # The first inline text is the heading's own.
        yield Section(heading, " ".join(words[1:]))


def _plain(token: Token) -> str:
    if not token.children:
        return token.content
    return "".join(
        " " if child.type in {"softbreak", "hardbreak"} else child.content
        for child in token.children
    )


def _all(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()
