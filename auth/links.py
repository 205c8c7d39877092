"""Signed links in mails that act for a user who is not signed in.

The only kind so far unsubscribes from mail. It does not expire: someone who uses it in an old mail
still wants no more mail. A link can do nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from settings import Settings

_MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class Unsubscription:
    """The user who unsubscribes, and from which kinds of notification (by number)."""

    user_id: UUID
    kinds: tuple[int, ...]


class UnsubscribeLinks:
    """Signs with a key of its own derived from `TASKLOOM_SECRET`; previous secrets verify too."""

    def __init__(self, settings: Settings) -> None:
        self._keys = [
            hmac.new(secret, b"taskloom/unsubscribe/1", hashlib.sha256).digest()
            for secret in settings.auth.secrets
        ]
        self._base = f"{settings.server.public_url}/unsubscribe"

    def link(self, user_id: UUID, kinds: Collection[int]) -> str:
        """The URL that unsubscribes this user from mail of these kinds."""
        return f"{self._base}?token={self.token(user_id, kinds)}"

    def token(self, user_id: UUID, kinds: Collection[int]) -> str:
        """The token in the URL."""
        body = user_id.bytes + bytes(sorted(kinds))
        return base64.urlsafe_b64encode(_mac(self._keys[0], body) + body).decode().rstrip("=")

    def verified(self, token: str) -> Unsubscription | None:
        """The content of a token, or None if this server did not sign it."""
        try:
            raw = base64.b64decode(
                token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True
            )
        except (UnicodeEncodeError, binascii.Error):
            return None
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        genuine = any(hmac.compare_digest(mac, _mac(key, body)) for key in self._keys)
        if len(body) < 16 or not genuine:
            return None
        return Unsubscription(UUID(bytes=body[:16]), tuple(body[16:]))


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()[:_MAC_BYTES]
