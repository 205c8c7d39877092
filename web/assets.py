"""Files of applications that were built for browsers: the explorer, and the board.

Their names contain a hash of their content, so browsers can cache them forever and only revalidate
the page itself. The build has compressed them, which costs the event loop nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

# A list of our own: Python's `mimetypes` depends on the machine. It is also the list of the types
# that may be served.
_CONTENT_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".woff2": "font/woff2",
}

# One path segment without a leading dot: no path leads to another folder.
_ASSET_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


# A build that was killed leaves its file behind.
_LONGEST_BUILD_SECONDS: Final = 600


def asset(request: Request, folder: Path, headers: Mapping[str, str]) -> Response:
    """The file of this folder that the path's `name` names. Raises `HTTPException`, 404."""
    name: str = request.path_params["name"]
    path = folder / name
    content_type = _CONTENT_TYPES.get(path.suffix)
    if content_type is None or not _ASSET_NAME.fullmatch(name) or not path.is_file():
        raise HTTPException(404)
    all_headers = {
        **headers,
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
    }
    compressed = path.with_name(f"{name}.gz")
    encodings = weighed(request.headers.get("accept-encoding", ""))
    wanted = any(coding == "gzip" and weight > 0 for coding, weight in encodings)
    if wanted and compressed.is_file():
        path, all_headers["Content-Encoding"] = compressed, "gzip"
    return FileResponse(path, media_type=content_type, headers=all_headers)


def is_being_built(dist: Path) -> bool:
    """Whether somebody is filling this folder, as `scripts/build_npm.py` says by a file."""
    try:
        began = dist.with_name(f"{dist.name}.building").stat().st_mtime
    except FileNotFoundError:
        return False
    return time.time() - began < _LONGEST_BUILD_SECONDS


def weighed(header: str) -> Iterator[tuple[str, float]]:
    """The values of an `Accept…` header with their weights; an invalid one has weight 0."""
    for entry in header.split(","):
        value, *parameters = (part.strip().lower() for part in entry.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        yield value, weight
