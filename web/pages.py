"""The small pages that the server shows itself: the targets of links in mails.

Programs that check links in mails open them too, so opening one (GET) changes nothing: it shows a
page with a button, which sends the same address by POST.
"""

from __future__ import annotations

from html import escape
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse, Response

# The address contains a token: it must not reach other sites or caches.
PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def button(label: str, action: str = "") -> str:
    """A form that posts to `action`, or to the page's own address, including the token."""
    target = f' action="{escape(action, quote=True)}"' if action else ""
    return f'<form method="post"{target}><button>{escape(label)}</button></form>'


def page(title: str, body: str, status: int = 200, *, leads_to: str | None = None) -> Response:
    """A page. `body` is HTML. `leads_to`: another site that its form finally redirects to."""
    # Browsers apply this policy to redirects of a form as well.
    targets = "'self'"
    if leads_to is not None:
        parts = urlsplit(leads_to)
        targets += f" {parts.scheme}://{parts.netloc}"
    policy = f"default-src 'none'; style-src 'unsafe-inline'; form-action {targets}"
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        "<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;"
        "max-width:32rem;margin:4rem auto;padding:0 1rem}"
        "button{font:inherit;padding:.5rem 1rem;margin:.5rem 0}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>",
        status,
        headers={**PRIVATE, "Content-Security-Policy": policy},
    )
