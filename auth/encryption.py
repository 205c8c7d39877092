"""Encryption of stored secrets that must be used again, so that hashing is not possible.

Access to the database alone reveals nothing. The keys are derived from `TASKLOOM_ENCRYPTION_KEYS`,
or from `TASKLOOM_SECRET` if that is not set. The first key encrypts; all of them decrypt, previous
secrets too, so that a new key can be put first while old data stays readable. `taskloom secrets
reencrypt` encrypts everything again with the first key.

The library is imported with the first secret: a worker without any does without three megabytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from settings import Settings

if TYPE_CHECKING:
    from cryptography.fernet import Fernet


class Unreadable(Exception):  # noqa: N818 - a state of the data, for the operator
    """No key decrypts this: one is missing from `TASKLOOM_ENCRYPTION_KEYS` or
    `TASKLOOM_SECRETS_OLD`.
    """

    def __init__(self) -> None:
        super().__init__(
            "no key in TASKLOOM_ENCRYPTION_KEYS or TASKLOOM_SECRETS_OLD decrypts a stored secret"
        )


class Encryption:
    """Encrypts and decrypts, authenticated (Fernet: AES-128-CBC with HMAC-SHA256)."""

    def __init__(self, settings: Settings) -> None:
        from cryptography.fernet import MultiFernet

        keys = settings.auth.encryption_keys.get_secret_value().split()
        # Last, so that what was encrypted before encryption keys were set can still be decrypted.
        self._fernet = MultiFernet(
            [_fernet(key) for key in (*(key.encode() for key in keys), *settings.auth.secrets)]
        )

    def encrypt(self, secret: bytes) -> bytes:
        """Encrypt a secret for storage."""
        return self._fernet.encrypt(secret)

    def decrypt(self, encrypted: bytes) -> bytes:
        """Decrypt a stored secret. Raises `Unreadable`."""
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(encrypted)
        except InvalidToken:
            raise Unreadable from None

    def reencrypt(self, encrypted: bytes) -> bytes:
        """Encrypt a stored secret again with the first key. Raises `Unreadable`."""
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.rotate(encrypted)
        except InvalidToken:
            raise Unreadable from None


def _fernet(key: bytes) -> Fernet:
    from cryptography.fernet import Fernet

    derived = hmac.new(key, b"taskloom/sealing/1", hashlib.sha256).digest()
    return Fernet(base64.urlsafe_b64encode(derived))
