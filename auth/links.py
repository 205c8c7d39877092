"""Links in mails that act for a person who is not signed in, by a signature of ours.

The one kind there is so far stops mail. It does not expire: whoever digs out an old mail still
wants no more of them. A link can do nothing but that.
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
    """Whom to send no more mail, and of which kinds of notification (by number)."""

    user_id: UUID
    kinds: tuple[int, ...]


class UnsubscribeLinks:
    """Signs with a key of its own derived from `TASKLOOM_SECRET`; former secrets verify too."""

    def __init__(self, settings: Settings) -> None:
        self._keys = [
            hmac.new(secret, b"taskloom/unsubscribe/1", hashlib.sha256).digest()
            for secret in settings.auth.secrets
        ]
        self._base = f"{settings.server.public_url}/unsubscribe"

    def link(self, user_id: UUID, kinds: Collection[int]) -> str:
        """The address that stops mail of these kinds to this person."""
        return f"{self._base}?token={self.token(user_id, kinds)}"

    def token(self, user_id: UUID, kinds: Collection[int]) -> str:
        """What the address carries."""
        body = user_id.bytes + bytes(sorted(kinds))
        return base64.urlsafe_b64encode(_mac(self._keys[0], body) + body).decode().rstrip("=")

    def verified(self, token: str) -> Unsubscription | None:
        """What a token says, or None where it is not one of ours."""
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
