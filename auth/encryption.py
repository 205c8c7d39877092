"""Secrets that must be used again, and so cannot be hashed: encrypted before they are stored.

Whoever reads the database alone learns nothing. The key is made from `TASKLOOM_ENCRYPTION_KEYS`, or
from `TASKLOOM_SECRET` where that is not set. The first key seals; all of them open, former secrets
too, so that a new one can be put in front while what the old ones sealed is still read.
`taskloom secrets reencrypt` seals everything anew with the first.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from settings import Settings


class Unreadable(Exception):  # noqa: N818 - a state of the data, for the operator
    """None of the keys opens this: `TASKLOOM_ENCRYPTION_KEYS` or `TASKLOOM_SECRETS_OLD` has lost
    one.
    """

    def __init__(self) -> None:
        super().__init__(
            "none of TASKLOOM_ENCRYPTION_KEYS and TASKLOOM_SECRETS_OLD opens a stored secret"
        )


class Encryption:
    """Seals and opens, authenticated (Fernet: AES-128-CBC with HMAC-SHA256)."""

    def __init__(self, settings: Settings) -> None:
        keys = settings.auth.encryption_keys.get_secret_value().split()
        # Last, so that what was sealed before there were keys of their own can still be opened.
        self._fernet = MultiFernet(
            [_fernet(key) for key in (*(key.encode() for key in keys), *settings.auth.secrets)]
        )

    def encrypt(self, secret: bytes) -> bytes:
        """The secret as it may be stored."""
        return self._fernet.encrypt(secret)

    def decrypt(self, encrypted: bytes) -> bytes:
        """The secret that was sealed. Raises `Unreadable`."""
        try:
            return self._fernet.decrypt(encrypted)
        except InvalidToken:
            raise Unreadable from None

    def reencrypt(self, encrypted: bytes) -> bytes:
        """The same secret under the first key. Raises `Unreadable`."""
        try:
            return self._fernet.rotate(encrypted)
        except InvalidToken:
            raise Unreadable from None


def _fernet(key: bytes) -> Fernet:
    derived = hmac.new(key, b"taskloom/sealing/1", hashlib.sha256).digest()
    return Fernet(base64.urlsafe_b64encode(derived))
