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
        # What was sent while a former secret was the present one is good to its end.
        self._keys = [
            hmac.new(secret, b"taskloom/account-code/1", hashlib.sha256).digest()
            for secret in settings.auth.secrets
        ]

    def token(self, id_: UUID) -> str:
        """What a link carries: the id, and 128 bits that only this server can compute."""
        raw = id_.bytes + _mac(self._keys[0], b"token", id_)[:_MAC_BYTES]
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
        genuine = [
            hmac.compare_digest(raw[16:], _mac(key, b"token", id_)[:_MAC_BYTES])
            for key in self._keys
        ]
        return id_ if any(genuine) else None

    def code(self, id_: UUID) -> str:
        """Six digits to be typed. So few are good only because they can be tried five times."""
        return _digits(self._keys[0], id_)

    def is_code(self, id_: UUID, code: str) -> bool:
        """Whether these are the digits; spaces do not matter."""
        given = "".join(code.split()).encode()
        return any(hmac.compare_digest(given, _digits(key, id_).encode()) for key in self._keys)


def _digits(key: bytes, id_: UUID) -> str:
    number = int.from_bytes(_mac(key, b"code", id_)[:8]) % 10**_DIGITS
    return f"{number:0{_DIGITS}}"


def _mac(key: bytes, what: bytes, id_: UUID) -> bytes:
    return hmac.new(key, what + id_.bytes, hashlib.sha256).digest()
