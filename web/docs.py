"""The page behind `UserError.docsUrl`: every error code, and what to do about it."""

from __future__ import annotations

import html
import re
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Route

from errors import ERROR_DESCRIPTIONS

PATH: Final = "/docs/errors"

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Error codes of Taskloom</title>
<style>
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto }}
  dt {{ font-family: ui-monospace, monospace; font-weight: 600; margin-top: 1.25rem }}
  dt:target {{ background: #fff3bf }}
  dd {{ margin: 0 }}
  code {{ font-family: ui-monospace, monospace }}
</style>
<h1>Error codes</h1>
<p>Codes are returned in <code>errors {{ code }}</code> of a mutation's payload, with the path
of the value in <code>path</code>, and in <code>extensions.code</code> of top-level errors. Codes
are never removed.</p>
<dl>
{codes}
</dl>
"""


def _marked_up(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text))


def docs_routes() -> list[BaseRoute]:
    """`GET /docs/errors`."""
    codes = "\n".join(
        f'<dt id="{code.value}">{code.value}</dt><dd>{_marked_up(text)}</dd>'
        for code, text in ERROR_DESCRIPTIONS.items()
    )
    page = _PAGE.format(codes=codes)

    async def errors(_: Request) -> HTMLResponse:
        # The page is one file: its own style is all that it may load.
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    return [Route(PATH, errors)]
