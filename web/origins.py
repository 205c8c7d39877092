"""Which origins' pages may call the API: the rule for CORS and for WebSockets."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from settings import ServerSettings

_LOCAL: Final = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")


class Origins:
    """The origins of the settings; in development every port of localhost as well."""

    def __init__(self, settings: ServerSettings) -> None:
        self._listed = frozenset(settings.cors_origins)
        self._local = not settings.production
        self._own = urlsplit(settings.public_url).netloc.lower()

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may call the API from elsewhere."""
        return origin in self._listed or (self._local and _LOCAL.fullmatch(origin) is not None)

    def allows_socket(self, origin: str, host: str | None) -> bool:
        """Whether pages of this origin may open a WebSocket, to which CORS does not apply: the
        allowed origins, and our own, by the request's `Host` or the public address.
        """
        netloc = urlsplit(origin).netloc.lower()
        own = {self._own, (host or "").lower()} - {""}
        return netloc in own or self.allows(origin)
