"""The page at `/`: GraphiQL for browsers, three lines of JSON for all other clients.

The page is a static application that `make explorer` builds from the folder `explorer/`. It loads
nothing from other hosts, and its Content-Security-Policy forbids it, so it works in a closed
network and leaks nothing.

If the application has not been built, the server runs all the same, and the page says so. If
nobody can read the schema (`TASKLOOM_INTROSPECTION=off`), it is not served.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from web.assets import asset, is_being_built, weighed

PATHS: Final = ("/", "/explorer/config.json", "/explorer/assets/{name}")

_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            # Monaco, the editor, writes its theme into style elements while running.
            "style-src 'self' 'unsafe-inline'",
            # GraphiQL's fonts and icons are part of its style sheet.
            "font-src 'self' data:",
            "img-src 'self' data:",
            "worker-src 'self' blob:",
            # Covers the WebSocket of the same host and port too.
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class DemoUser:
    """A user whom the page offers to sign in as with one click."""

    login: str
    password: str


@dataclass(frozen=True, slots=True)
class ExplorerConfig:
    """What the page knows about its server, by `GET /explorer/config.json`.

    Anybody can read it: `demo` is for a development server with demo data, and None elsewhere.
    """

    name: str
    version: str
    environment: str
    # The most points that one operation may cost.
    points: int
    demo: DemoUser | None = None
    # Relative to the page, which may be below some path.
    endpoint: str = "graphql"


def explorer_routes(
    *, dist: Path, config: ExplorerConfig, address: str, enabled: bool = True
) -> list[BaseRoute]:
    """The routes of `PATHS`. `address` is that of the server, for people.

    `dist` is the folder that `npm run build` in `explorer/` fills. It is checked on every request,
    so a server that was started before the build need not be restarted. Unless `enabled`, there is
    only `/`, which says so.
    """

    async def root(request: Request) -> Response:
        if not asks_for_page(request.headers.get("accept", "")):
            status = {"name": config.name, "version": config.version, "status": "ok"}
            return JSONResponse(status, headers={"Vary": "Accept"})
        headers = {**_HEADERS, "Cache-Control": "no-cache", "Vary": "Accept"}
        if not enabled:
            return HTMLResponse(_page(_TURNED_OFF, config, address), headers=headers)
        index = dist / "index.html"
        if not index.is_file():
            page = _BUILDING if is_being_built(dist) else _NOT_BUILT
            return HTMLResponse(_page(page, config, address), headers=headers)
        return FileResponse(index, media_type="text/html; charset=utf-8", headers=headers)

    async def config_json(_: Request) -> Response:
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return JSONResponse(asdict(config), headers=headers)

    async def file(request: Request) -> Response:
        return asset(request, dist / "explorer" / "assets", _HEADERS)

    if not enabled:
        return [Route("/", root)]
    handlers = (root, config_json, file)
    return [Route(path, handler) for path, handler in zip(PATHS, handlers, strict=True)]


def asks_for_page(accept: str) -> bool:
    """Whether an `Accept` header prefers HTML, as a browser's does for navigation.

    Programs send `*/*`, a JSON type, or nothing; they get JSON. Of equal weights the first counts.
    """
    best, best_weight = "", 0.0
    for media_type, weight in weighed(accept):
        if weight > best_weight:
            best, best_weight = media_type, weight
    return best in {"text/html", "application/xhtml+xml"}


class _Message(NamedTuple):
    """What the page shows in place of the explorer."""

    title: str
    body: Template
    # Until the explorer is there.
    reloads: bool = False


def _page(message: _Message, config: ExplorerConfig, address: str) -> str:
    values = {
        "name": escape(config.name),
        "version": escape(config.version),
        "endpoint": escape(f"{address}/{config.endpoint}"),
    }
    return _FRAME.substitute(
        values,
        title=message.title,
        reload='<meta http-equiv="refresh" content="2">\n' if message.reloads else "",
        body=message.body.substitute(values),
    )


_FRAME: Final = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
$reload<title>$name: $title</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 38rem; margin: 4rem auto; padding: 0 1rem }
code, pre { font: 14px/1.6 ui-monospace, monospace }
pre { padding: .75rem 1rem; border: 1px solid #8886; border-radius: .5rem }
</style>
</head>
<body>
<h1>$name $version is running</h1>
$body</body>
</html>
""")

_TURNED_OFF: Final = _Message(
    "the explorer is turned off",
    Template("""\
<p>The explorer is turned off on this server. The <a href="docs">documentation</a> explains how to
use the API at <code>$endpoint</code>.</p>
"""),
)

_BUILDING: Final = _Message(
    "the explorer is being built",
    Template("""\
<p role="status">The explorer is being built. This takes up to a minute the first time, and this
page then opens it by itself.</p>
<p>The API is available already, at <code>$endpoint</code>, and so is its
<a href="docs">documentation</a>.</p>
"""),
    reloads=True,
)

_NOT_BUILT: Final = _Message(
    "the explorer has not been built",
    Template("""\
<p>The API is available at <code>$endpoint</code>. The explorer for this page has not been built
yet, or its npm packages could not be downloaded. To build it, run this in the server's folder and
reload the page; you need not restart the server:</p>
<pre>make explorer</pre>
<p>It needs access to an npm registry, and Node.js 20.19 or later, which is downloaded from PyPI if
it is missing. Until then, use any GraphQL client:</p>
<pre>curl -s $endpoint -H 'Content-Type: application/json' \\
  -d '{"query": "{ __typename }"}'</pre>
"""),
)
