"""Markdown never brings a script to a reader, whatever its writer tries."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from domain.markdown import mentioned, to_html, to_text

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
    """What a browser would make of it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_that_runs_survives(attack: str) -> None:
    for text in (attack, f"> {attack}", f"- {attack}", f"**{attack}**"):
        for tag, attributes in Page(to_html(text)).elements:
            assert tag in KNOWN
            assert set(attributes) <= {"href", "title", "rel", "class", "start"}
            if tag == "a" and "href" in attributes:
                scheme = (attributes["href"] or "").split(":")[0]
                assert scheme in {"http", "https", "mailto"} or "/" in scheme
                assert {"nofollow", "noopener"} <= set((attributes["rel"] or "").split())


def test_what_people_write_comes_through() -> None:
    text = "# Plan\n\n**Ship** it ~~today~~ by *noon*\n\n- one\n- `two`\n\n```py\nx < 1\n```"
    html = to_html(text)
    for part in ("<h1>Plan</h1>", "<strong>Ship</strong>", "<s>today</s>", "<em>noon</em>"):
        assert part in html
    assert "<li>one</li>" in html
    assert '<code class="language-py">x &lt; 1\n</code>' in html
    assert to_text(text) == "Plan\nShip it today by noon\none\ntwo\nx < 1"


def test_bare_addresses_become_links() -> None:
    html = to_html("see https://a.example/b?c=1&d=2 and me@a.com")
    assert '<a href="https://a.example/b?c=1&amp;d=2"' in html
    assert 'href="mailto:me@a.com"' in html


def test_mentions_are_names_and_not_addresses_or_code() -> None:
    text = (
        "@Ada, ask @bob.smith. Not me@example.com, `@code`, https://x.example/@path, @@twice, @ab,"
        " (@cy_d) and @ada again.\n\n```\n@block\n```\n\n[@linked](https://x.example)"
    )
    assert mentioned(text) == ["ada", "bob.smith", "cy_d"]


@pytest.mark.parametrize("piece", ["[", "*a ", "![[](", "`a", "> ", "a@b.", "|a|\n|-|\n", "<a "])
def test_a_tiresome_text_is_rendered_all_the_same(piece: str) -> None:
    text = (piece * 10_000)[:10_000]
    assert to_html(text)
    assert mentioned(text + " @ada") in ([], ["ada"])
