"""`GET /docs`: the guide, the reference and the search; and the schema at `/schema.graphql`.

The reference and the schema are for those who can read the schema by introspection; others find
neither in the navigation nor by the search what they cannot read.

Links are relative, so that the pages work behind a proxy that serves the API below some path. The
pages load their own style sheet and nothing else, and run no script.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from auth.viewer import NOBODY
from errors import ErrorCode, Unauthenticated
from graph.request.answer import refusal
from graph.schema import sdl
from web.docs.search import search
from web.docs.site import HOME, Page, content, pages
from web.runtime import Runtime

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE: Final = Path(__file__).resolve().parent
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}
# To which errors about it lead.
SCHEMA_DOCS: Final = "/docs/running#who-can-read-the-schema"
# A query for the search that is longer is cut.
_LONGEST_QUERY: Final = 100


def docs_routes(runtime: Runtime) -> list[BaseRoute]:
    """`/docs`, `/docs/search` and a route for each page; `/schema.graphql`."""
    routes = _Routes(runtime)
    return [
        Route("/schema.graphql", routes.schema),
        Route("/docs", routes.home),
        Route("/docs/", routes.first),
        Route("/docs/search", routes.results),
        Route("/docs/style.css", routes.style),
        Route("/docs/{name}", routes.page),
    ]


class _Routes:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._visibility = runtime.executor.visibility
        self._is_public = self._visibility.shows(NOBODY)
        # Those who cannot read the schema can after signing in, or not at all.
        code = self._visibility.hidden().code
        self._hidden_status = 401 if code is ErrorCode.UNAUTHENTICATED else 403
        # What depends on the viewer must not be kept by a cache in between.
        self._cached = {} if self._is_public else {"Cache-Control": "private, no-store"}

    async def schema(self, request: Request) -> Response:
        """`GET /schema.graphql`, for code generators."""
        if not await self._shows_schema(request):
            info = request.scope["taskloom.request"]
            body = refusal(self._visibility.hidden(), info.id).body()
            headers = dict(self._cached)
            if self._hidden_status == 401:
                headers["WWW-Authenticate"] = "Bearer"
            return Response(body, self._hidden_status, headers, "application/json")
        text = await asyncio.to_thread(_schema_text)
        headers = {"Content-Disposition": 'attachment; filename="schema.graphql"', **self._cached}
        return Response(text, headers=headers, media_type="text/plain")

    async def home(self, _: Request) -> Response:
        """`GET /docs`: the first page."""
        return RedirectResponse(f"docs/{HOME}", 307)

    async def first(self, _: Request) -> Response:
        """`GET /docs/`: the same."""
        return RedirectResponse(HOME, 307)

    async def page(self, request: Request) -> Response:
        """`GET /docs/{name}`."""
        wanted = pages().get(request.path_params["name"])
        shows_schema = await self._shows_schema(request)
        if wanted is None:
            return self._response("missing.html", None, shows_schema, {}, 404)
        if wanted.of_schema and not shows_schema:
            status = self._hidden_status
            url = f"{self._runtime.settings.server.public_url}/schema.graphql"
            values = {"signing_in": status == 401, "schema_url": url}
            return self._response("hidden.html", None, shows_schema, values, status)
        shown = await asyncio.to_thread(content, wanted.name)
        values = {"html": shown.html, "headings": shown.headings}
        return self._response("page.html", wanted, shows_schema, values)

    async def results(self, request: Request) -> Response:
        """`GET /docs/search?q=…`."""
        query = request.query_params.get("q", "")[:_LONGEST_QUERY]
        shows_schema = await self._shows_schema(request)
        hits = await asyncio.to_thread(search, query, of_schema=shows_schema)
        return self._response("found.html", None, shows_schema, {"query": query, "hits": hits})

    async def style(self, _: Request) -> Response:
        """`GET /docs/style.css`."""
        return FileResponse(_HERE / "style.css", media_type="text/css")

    async def _shows_schema(self, request: Request) -> bool:
        if self._is_public:
            return True
        authorization = request.headers.get("authorization")
        try:
            viewer = await self._runtime.services.authenticator.viewer(authorization)
        except Unauthenticated:
            return False
        return self._visibility.shows(viewer)

    def _response(
        self,
        template: str,
        current: Page | None,
        shows_schema: bool,
        values: Mapping[str, Any],
        status: int = 200,
    ) -> Response:
        sections: dict[str, list[Page]] = {}
        for page in pages().values():
            if shows_schema or not page.of_schema:
                sections.setdefault(page.section, []).append(page)
        text = (
            _templates().get_template(template).render(sections=sections, current=current, **values)
        )
        return HTMLResponse(text, status, {**_HEADERS, **self._cached})


@functools.cache
def _schema_text() -> str:
    return sdl()


@functools.cache
def _templates() -> Environment:
    # A server whose pages nobody reads does not need it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
