"""Signed addresses: who has one may fetch (or send) one file, for at most five minutes
(unless whoever makes and checks it says otherwise).

The signature covers method, path and end, so that no part of an address can be exchanged. An
address ends at a full minute, and so stays the same for a while: browsers and caches see one
picture and not a new one at each look.
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
    """An address and when it ends."""

    url: str
    expires_at: dt.datetime


class Links:
    """One a process; all with the same secret understand each other."""

    def __init__(self, settings: Settings) -> None:
        # Addresses of exports live for a day, and outlive a change of the secret.
        self._keys = [
            hmac.new(secret, b"taskloom/files/1", hashlib.sha256).digest()
            for secret in settings.auth.secrets
        ]
        self.base = settings.server.public_url

    def sign(
        self, method: str, path: str, now: dt.datetime, lifetime: dt.timedelta = LIFETIME
    ) -> Link:
        """An address for this method and path; it lives up to a minute less than `lifetime`."""
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
        """Whether these parameters of a request are ours and have not ended."""
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            return False
        given = signature.encode("utf-8", "replace")
        genuine = any(
            hmac.compare_digest(_signature(key, method, path, int(expires)).encode(), given)
            for key in self._keys
        )
        # What ends later than any address that is made now was not made with this clock.
        moment = now.timestamp()
        return genuine and moment < int(expires) <= moment + lifetime.total_seconds() + _STEP


def _signature(key: bytes, method: str, path: str, end: int) -> str:
    digest = hmac.new(key, f"{method}\n{path}\n{end}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
