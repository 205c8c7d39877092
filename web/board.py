"""The board at `/board/`: an application that uses the API as any other program would.

It is built from `clients/board/` (`make board`), and an example for those who write their own. Like
the explorer it loads nothing from other hosts, and its Content-Security-Policy forbids it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from web.assets import asset, is_being_built
from web.pages import PRIVATE

# The pages that mails, push messages and `url` fields lead to: see docs/web-application.md.
_LINKED: Final = (
    "/tasks/{id}",
    "/projects/{id}",
    "/reset-password",
    "/email-verified",
    "/email-change-undone",
)


def link_routes() -> list[BaseRoute]:
    """The routes of links to the web application, if that is the board: they lead to its pages."""
    return [Route(path, _to_board) for path in _LINKED]


async def _to_board(request: Request) -> Response:
    url = request.url
    # Behind `#`, so that a token in it is sent to nobody. Relative, for a proxy that adds a path.
    above = "../" * (request.scope["path"].count("/") - 1)
    query = f"?{url.query}" if url.query else ""
    # A path may contain anything; as a fragment it must not end one.
    target = f"{above}board/#{quote(request.scope['path'])}{query}"
    return RedirectResponse(target, 303, headers=PRIVATE)


def board_routes(*, dist: Path, public_url: str) -> list[BaseRoute]:
    """The routes `/board/` and `/board/assets/{name}`.

    `dist` is the folder that `npm run build` in `clients/board/` fills, looked for at each request.
    `public_url` is where the API says that files are loaded from and sent to.
    """
    headers = _headers(public_url)

    async def redirect(_: Request) -> Response:
        # Relative, for a proxy that adds a path.
        return RedirectResponse("board/", status_code=308)

    async def page(_: Request) -> Response:
        index = dist / "index.html"
        of_page = {**headers, "Cache-Control": "no-cache"}
        if not index.is_file():
            content = _BUILDING if is_being_built(dist) else _NOT_BUILT
            return HTMLResponse(content, status_code=503, headers=of_page)
        return FileResponse(index, media_type="text/html; charset=utf-8", headers=of_page)

    async def file(request: Request) -> Response:
        return asset(request, dist / "assets", headers)

    return [
        Route("/board", redirect),
        Route("/board/", page),
        Route("/board/assets/{name}", file),
    ]


def _headers(public_url: str) -> dict[str, str]:
    url = urlsplit(public_url)
    files = f"{url.scheme}://{url.netloc}"
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        f"img-src 'self' data: {files}",
        # Covers the WebSocket of the same host and port too.
        f"connect-src 'self' {files}",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


_BUILDING: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="2"><title>The board is being built</title>
</head>
<body>
<h1>The board is being built</h1>
<p role="status">This takes up to a minute the first time. This page then opens it by itself.</p>
</body>
</html>
"""

_NOT_BUILT: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>The board has not been built</title>
</head>
<body>
<h1>The board has not been built</h1>
<p>Run <code>make board</code> in the server's folder, and reload the page; you need not restart the
server. It needs access to an npm registry.</p>
</body>
</html>
"""
