"""Rendered Markdown never contains a script, no matter what its author tries."""

from __future__ import annotations

import hashlib
import time
from html.parser import HTMLParser

import pytest

from domain import markdown
from domain.markdown import render

ATTACKS = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img src=x onerror=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<a href='javascript:alert(1)'>x</a>",
    "<form action=javascript:alert(1)><button>x</button></form>",
    "<style>@import 'javascript:alert(1)';</style>",
    "<base href='//evil.example/'>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](file:///etc/passwd)",
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    "<JAVASCRIPT:alert(1)>",
    "![x](javascript:alert(1))",
    "![x](https://evil.example/tracker.gif)",
    '![x](https://a.example/x.png"onerror="alert(1))',
    "[x](https://a.example \"' onmouseover='alert(1)\")",
    '[x](https://a.example/"onmouseover="alert(1))',
    "[x](<https://a.example onclick=alert(1)>)",
    "[<img src=x onerror=alert(1)>](https://a.example)",
    '```js" onload="alert(1)\nx\n```',
    "```<script>\nalert(1)\n```",
    "`<script>alert(1)</script>`",
    "|<script>alert(1)</script>|b|\n|:-:|-|\n|c|d|",
    "https://a.example/<script>alert(1)</script>",
    'www.a.example"onmouseover="alert(1)',
    "1. x\n\n<!-- --><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "[x](//evil.example/x 'y') <x style=background:url(javascript:alert(1))>",
    "<" * 200 + "script>alert(1)</script>",
    "\\<script>alert(1)</script>",
]
KNOWN = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


class Page(HTMLParser):
    """The page as a browser would parse it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_executable_survives(attack: str) -> None:
    for text in (attack, f"> {attack}", f"- {attack}", f"**{attack}**"):
        for tag, attributes in Page(render(text).html).elements:
            assert tag in KNOWN
            assert set(attributes) <= {"href", "title", "rel", "class", "start"}
            if tag == "a" and "href" in attributes:
                scheme = (attributes["href"] or "").split(":")[0]
                assert scheme in {"http", "https", "mailto"} or "/" in scheme
                assert {"nofollow", "noopener"} <= set((attributes["rel"] or "").split())


def test_ordinary_markdown_is_rendered() -> None:
    text = "# Plan\n\n**Ship** it ~~today~~ by *noon*\n\n- one\n- `two`\n\n```py\nx < 1\n```"
    html = render(text).html
    for part in ("<h1>Plan</h1>", "<strong>Ship</strong>", "<s>today</s>", "<em>noon</em>"):
        assert part in html
    assert "<li>one</li>" in html
    assert '<code class="language-py">x &lt; 1\n</code>' in html
    assert render(text).text == "Plan\nShip it today by noon\none\ntwo\nx < 1"


def test_bare_addresses_become_links() -> None:
    html = render("see https://a.example/b?c=1&d=2 and me@a.com").html
    assert '<a href="https://a.example/b?c=1&amp;d=2"' in html
    assert 'href="mailto:me@a.com"' in html


def test_mentions_are_names_and_not_addresses_or_code() -> None:
    text = (
        "@Ada, ask @bob.smith. Not me@example.com, `@code`, https://x.example/@path, @@twice, @ab,"
        " (@cy_d) and @ada again.\n\n```\n@block\n```\n\n[@linked](https://x.example)"
    )
    assert render(text).mentioned == ("ada", "bob.smith", "cy_d")


@pytest.mark.parametrize("piece", ["[", "*a ", "![[](", "`a", "> ", "a@b.", "|a|\n|-|\n", "<a "])
def test_a_text_that_is_hard_to_parse_is_rendered(piece: str) -> None:
    text = (piece * 10_000)[:10_000]
    assert render(text).html
    assert render(text + " @ada").mentioned in ((), ("ada",))


# The slowest texts for a renderer: bare links without spaces between them, and empty cells.
TIRESOME = {
    "links": "http://a." * 1_111,
    "links in words": ("http://a." * 110 + " ") * 10,
    "fuzzy links": "a.de " * 2_000,
    "cells": "a|b\n-|-\n" + "|\n" * 5_000,
    "wide cells": "a|" * 1_000 + "\n" + "-|" * 1_000 + "\n" + "a\n" * 2_000,
    "tables": ("a|b\n-|-\n" + "|\n" * 990 + "\n") * 5,
    "quoted cells": "> " + "a|" * 100 + "\n> " + "-|" * 100 + "\n" + "> a\n" * 2_000,
    "lists": "* a\n" * 2_500,
}


@pytest.mark.parametrize("name", TIRESOME)
def test_the_longest_text_of_each_kind_stays_small_and_quick(name: str) -> None:
    text = TIRESOME[name][:10_000]
    render("")
    started = time.thread_time()
    html = render(text).html
    # Without limits some take half a second, and the result is ten times as long.
    assert time.thread_time() - started < 1
    assert len(html) < 15 * len(text)


def test_an_ordinary_table_and_ordinary_links_are_rendered() -> None:
    table = "|a|b|\n|-|-|\n" + "|1|2|\n" * 300
    assert render(f"{table}\n\nhttps://a.example/{'x' * 900}").html.count("<td>") == 600
    assert render(f"https://a.example/{'x' * 900}").html.startswith('<p><a href="https://')


def test_the_output_of_the_renderer_has_not_changed() -> None:
    """If this fails, update it and raise `markdown.VERSION`, which renders comments again."""
    shown = [render(text) for text in (*ATTACKS, *TIRESOME.values())]
    digest = hashlib.sha256(repr([(one.html, one.text) for one in shown]).encode()).hexdigest()
    assert (markdown.VERSION, digest[:16]) == (1, "809fd8f2dee9ddb6")
