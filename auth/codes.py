"""Links and codes that are sent by mail to prove that an address is the user's.

Both are computed from the ID of the request and a server key. So they exist only in the mail, not
in a table or the job queue, and a mail that is sent twice has the same text. Whether the ID is
still valid, until when and for how many attempts is stored in the database
(`db.models.AccountCode`).
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
    """One per process; cheap to create."""

    def __init__(self, settings: Settings) -> None:
        # Links and codes made with a previous secret stay valid until they expire.
        self._keys = [
            hmac.new(secret, b"taskloom/account-code/1", hashlib.sha256).digest()
            for secret in settings.auth.secrets
        ]

    def token(self, id_: UUID) -> str:
        """The text in a link: the ID, and 128 bits that only this server can compute."""
        raw = id_.bytes + _mac(self._keys[0], b"token", id_)[:_MAC_BYTES]
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    def id_of(self, token: str) -> UUID | None:
        """The ID in a link, or None if this server did not make the link."""
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
        """Six digits to type in. They are safe because only five attempts are allowed."""
        return _digits(self._keys[0], id_)

    def is_code(self, id_: UUID, code: str) -> bool:
        """Whether these are the digits; spaces are ignored."""
        given = "".join(code.split()).encode()
        return any(hmac.compare_digest(given, _digits(key, id_).encode()) for key in self._keys)


def _digits(key: bytes, id_: UUID) -> str:
    number = int.from_bytes(_mac(key, b"code", id_)[:8]) % 10**_DIGITS
    return f"{number:0{_DIGITS}}"


def _mac(key: bytes, what: bytes, id_: UUID) -> bytes:
    return hmac.new(key, what + id_.bytes, hashlib.sha256).digest()
