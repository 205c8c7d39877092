"""Signed URLs: each allows downloading (or uploading) one file, by default for up to five minutes.

The signature covers method, path and expiry, so that no part can be exchanged. A URL expires at a
full minute and so stays the same for a while, which lets browsers and caches reuse the file.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from settings import Settings

LIFETIME: Final = dt.timedelta(minutes=5)
_STEP: Final = 60


@dataclass(frozen=True, slots=True)
class Link:
    """A URL and when it expires."""

    url: str
    expires_at: dt.datetime


class Links:
    """One per process; processes with the same secret accept each other's links."""

    def __init__(self, settings: Settings) -> None:
        # URLs of exports live for a day and stay valid when the secret changes.
        self._keys = [
            hmac.new(secret, b"taskloom/files/1", hashlib.sha256).digest()
            for secret in settings.auth.secrets
        ]
        self.base = settings.server.public_url

    def sign(
        self, method: str, path: str, now: dt.datetime, lifetime: dt.timedelta = LIFETIME
    ) -> Link:
        """A URL for this method and path, valid for `lifetime` or up to a minute less."""
        end = int((now + lifetime).timestamp()) // _STEP * _STEP
        signature = _signature(self._keys[0], method, path, end)
        url = f"{self.base}{path}?expires={end}&signature={signature}"
        return Link(url, dt.datetime.fromtimestamp(end, dt.UTC))

    def allows(
        self,
        method: str,
        path: str,
        expires: str,
        signature: str,
        now: dt.datetime,
        *,
        lifetime: dt.timedelta = LIFETIME,
    ) -> bool:
        """Whether these parameters of a request are signed by us and have not expired."""
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            return False
        given = signature.encode("utf-8", "replace")
        genuine = any(
            hmac.compare_digest(_signature(key, method, path, int(expires)).encode(), given)
            for key in self._keys
        )
        # A URL that expires later than any new one was not signed with this clock.
        moment = now.timestamp()
        return genuine and moment < int(expires) <= moment + lifetime.total_seconds() + _STEP


def _signature(key: bytes, method: str, path: str, end: int) -> str:
    digest = hmac.new(key, f"{method}\n{path}\n{end}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
