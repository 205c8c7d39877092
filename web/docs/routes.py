"""`GET /docs`: the guide, the reference and the search.

Links are relative, so that the pages work behind a proxy that serves the API below some path. The
pages load their own style sheet and nothing else, and run no script.
"""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from web.docs.search import search
from web.docs.site import HOME, Page, content, pages

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
# A query for the search that is longer is cut.
_LONGEST_QUERY: Final = 100


def docs_routes() -> list[BaseRoute]:
    """`/docs`, `/docs/search` and a route for each page."""

    def response(template: str, current: Page | None, **values: Any) -> Response:
        sections: dict[str, list[Page]] = {}
        for page in pages().values():
            sections.setdefault(page.section, []).append(page)
        text = (
            _templates().get_template(template).render(sections=sections, current=current, **values)
        )
        return HTMLResponse(text, headers=_HEADERS)

    async def home(_: Request) -> Response:
        return RedirectResponse(f"docs/{HOME}", 307)

    async def page(request: Request) -> Response:
        wanted = pages().get(request.path_params["name"])
        if wanted is None:
            raise HTTPException(404, "There is no such page; see /docs.")
        shown = await asyncio.to_thread(content, wanted.name)
        return response("page.html", wanted, html=shown.html, headings=shown.headings)

    async def results(request: Request) -> Response:
        query = request.query_params.get("q", "")[:_LONGEST_QUERY]
        hits = await asyncio.to_thread(search, query)
        return response("found.html", None, query=query, hits=hits)

    async def style(_: Request) -> Response:
        return FileResponse(_HERE / "style.css", media_type="text/css")

    return [
        Route("/docs", home),
        Route("/docs/search", results),
        Route("/docs/style.css", style),
        Route("/docs/{name}", page),
    ]


@cache
def _templates() -> Environment:
    # A server whose pages nobody reads does not need it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
    )
