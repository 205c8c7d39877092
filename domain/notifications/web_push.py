"""Web Push keys: the server's, which signs requests, and those of browsers (P-256).

The library is imported with the first key, as in `auth.encryption`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING

from errors import BadInput, check
from settings import PushSettings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

_AUTH_BYTES = 16


def new_signing_key() -> str:
    """A new value for `TASKLOOM_VAPID_PRIVATE_KEY`."""
    from cryptography.hazmat.primitives.asymmetric import ec

    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return _text(number.to_bytes(32, "big"))


def signing_key(settings: PushSettings) -> ec.EllipticCurvePrivateKey | None:
    """The server's key; None if it is not set, which turns Web Push off."""
    if settings.vapid_private_key is None:
        return None
    from cryptography.hazmat.primitives.asymmetric import ec

    raw = decoded(settings.vapid_private_key.get_secret_value())
    return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())


def public_key(settings: PushSettings) -> str | None:
    """The `applicationServerKey` for browsers, in base64url."""
    key = signing_key(settings)
    if key is None:
        return None
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return _text(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def checked_keys(p256dh: str, auth: str, path: Sequence[str | int]) -> tuple[str, str]:
    """Validate the keys of a browser's subscription."""
    return _public_key(p256dh, (*path, "p256dh")), _secret(auth, (*path, "auth"))


@check("")
def _public_key(p256dh: str, path: Sequence[str | int]) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(p256dh))
    except ValueError:
        raise BadInput("p256dh must be a P-256 public key in base64url.", path=path) from None
    return _text(decoded(p256dh))


@check("")
def _secret(auth: str, path: Sequence[str | int]) -> str:
    try:
        length = len(decoded(auth))
    except ValueError:
        length = 0
    if length != _AUTH_BYTES:
        raise BadInput("auth must be 16 bytes in base64url.", path=path)
    return _text(decoded(auth))


def decoded(text: str) -> bytes:
    """Decode base64url, with or without padding. Raises `ValueError`."""
    bare = text.rstrip("=")
    try:
        return base64.b64decode(
            bare.encode("ascii") + b"=" * (-len(bare) % 4), altchars=b"-_", validate=True
        )
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError("not base64url") from error


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
