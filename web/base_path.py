"""Serving below a path of another site: `TASKLOOM_PUBLIC_URL=https://example.com/taskloom`.

Proxies differ in whether they pass the path on or remove it. Both work: it is removed here, and
everything inside sees the same paths as without it. Addresses that leave the server begin with the
public address, and links between pages are relative.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from settings import SettingsError


class BasePath:
    """Removes the path of the public address from the paths of requests."""

    def __init__(self, app: ASGIApp, public_url: str, own_paths: Iterable[str]) -> None:
        """`own_paths`: those that the server answers.

        Raises `SettingsError` if the path begins like one of them: with a proxy that removes it,
        one could not tell `/docs/docs/live` from `/docs/live`.
        """
        self._app = app
        self._raw = urlsplit(public_url).path.rstrip("/")
        self._path = unquote(self._raw)
        taken = {path.split("/")[1] for path in own_paths if path.startswith("/")}
        first = self._path.split("/")[1] if self._path else ""
        if first and first in taken:
            problem = f"its path must not begin with /{first}, a path of the server"
            raise SettingsError([f"TASKLOOM_PUBLIC_URL: {problem}"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Anything without the path passes unchanged."""
        path: str = scope["path"]
        if path == self._path and scope["type"] == "http":
            # Relative links are from here on.
            query = scope["query_string"]
            location = f"{self._raw}/".encode() + (b"?" + query if query else b"")
            headers = [(b"location", location), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 308, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        if path.startswith(f"{self._path}/"):
            scope = {**scope, "path": path[len(self._path) :]}
            raw: bytes | None = scope.get("raw_path")
            if raw is not None and raw.startswith(self._raw.encode()):
                scope["raw_path"] = raw[len(self._raw.encode()) :]
        await self._app(scope, receive, send)
