"""Links and codes that come by mail, to prove that an address is somebody's.

Both are computed from the id of what was asked for, with a key of the server: so they stand in the
mail and nowhere else, neither in a table nor in the queue of jobs, and a mail that is sent twice
says the same twice. Whether the id still stands for anything, until when and how often it may be
tried is a row of the database (`db.models.AccountCode`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from uuid import UUID

from settings import Settings

_MAC_BYTES = 16
_DIGITS = 6


class AccountCodes:
    """One per process; cheap to make."""

    def __init__(self, settings: Settings) -> None:
        secret = settings.auth.secret.get_secret_value().encode()
        self._key = hmac.new(secret, b"taskloom/account-code/1", hashlib.sha256).digest()

    def token(self, id_: UUID) -> str:
        """What a link carries: the id, and 128 bits that only this server can compute."""
        raw = id_.bytes + self._mac(b"token", id_)[:_MAC_BYTES]
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    def id_of(self, token: str) -> UUID | None:
        """The id in a link, or None where the link is not one of ours."""
        try:
            raw = base64.b64decode(
                token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True
            )
        except (UnicodeEncodeError, binascii.Error):
            return None
        if len(raw) != 16 + _MAC_BYTES:
            return None
        id_ = UUID(bytes=raw[:16])
        genuine = hmac.compare_digest(raw[16:], self._mac(b"token", id_)[:_MAC_BYTES])
        return id_ if genuine else None

    def code(self, id_: UUID) -> str:
        """Six digits to be typed. So few are good only because they can be tried five times."""
        number = int.from_bytes(self._mac(b"code", id_)[:8]) % 10**_DIGITS
        return f"{number:0{_DIGITS}}"

    def is_code(self, id_: UUID, code: str) -> bool:
        """Whether these are the digits; spaces do not matter."""
        given = "".join(code.split())
        return hmac.compare_digest(given.encode(), self.code(id_).encode())

    def _mac(self, what: bytes, id_: UUID) -> bytes:
        return hmac.new(self._key, what + id_.bytes, hashlib.sha256).digest()
