"""Access, stream and refresh tokens.

*Access tokens* are JWTs (RFC 9068, `at+jwt`) that live for minutes. They prove a session, not
permissions: whether the session is still active is read from the database (`auth.authenticator`).

*Stream tokens* open one subscription by GET, where a browser cannot send headers. They live for a
minute, work once (`Authenticator.use_stream_token`), and can do nothing else.

*Refresh tokens* are 256 random bits, stored as SHA-256. Each is used once and has a successor,
which is computed from it with a server key: after a lost answer the same successor can be returned
again without being stored.

Every kind has a key of its own, derived from `TASKLOOM_SECRET`, so that no kind passes for another.

PyJWT is imported with the first token: the worker has none, and does without three megabytes.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from errors import Unauthenticated
from settings import Settings

ALGORITHM = "HS256"
ACCESS_AUDIENCE = "taskloom"
STREAM_AUDIENCE = "taskloom-stream"
STREAM_SECONDS = 60
REFRESH_PREFIX = "tlr_"
_LONGEST = 2_000
# The clocks of servers differ a little; tokens from further in the future are rejected.
_CLOCK_SKEW = 60


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token. `expires_at` is when everything it opens must end."""

    user_id: UUID
    session_id: UUID
    expires_at: dt.datetime
    # The token's ID (`jti`).
    token_id: UUID


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token, and when it expires."""

    token: str
    expires_at: dt.datetime


class _Kind:
    """One kind of JWT: its `typ`, audience and key."""

    def __init__(self, secret: bytes, typ: str, audience: str) -> None:
        self.typ = typ
        self.audience = audience
        self.key = _derive(secret, typ)
        # Identifies the key without revealing it: a changed secret can be distinguished from a
        # forgery.
        self.kid = hashlib.sha256(b"kid:" + self.key).hexdigest()[:16]


class _Ring:
    """The keys of one kind by `kid`: the current one signs, previous ones also verify."""

    def __init__(self, secrets_: Sequence[bytes], typ: str, audience: str) -> None:
        kinds = [_Kind(secret, typ, audience) for secret in secrets_]
        self.present = kinds[0]
        self.by_kid = {kind.kid: kind for kind in kinds}


class Tokens:
    """Creates and verifies tokens. The current time is passed in as `now`."""

    def __init__(self, settings: Settings) -> None:
        keys = settings.auth.secrets
        self._issuer = settings.server.public_url
        self._lifetime = dt.timedelta(seconds=settings.auth.access_token_seconds)
        self._access = _Ring(keys, "at+jwt", ACCESS_AUDIENCE)
        self._stream = _Ring(keys, "stream+jwt", STREAM_AUDIENCE)
        self._refresh_keys = [_derive(key, "refresh") for key in keys]

    # --- access and stream tokens ----------------------------------------------------------------

    def mint_access(self, user_id: UUID, session_id: UUID, now: dt.datetime) -> Minted:
        """An access token for this session."""
        expires_at = _whole_seconds(now + self._lifetime)
        return self._mint(self._access.present, user_id, session_id, now=now, expires_at=expires_at)

    def mint_stream(
        self, user_id: UUID, session_id: UUID, until: dt.datetime, now: dt.datetime
    ) -> Minted:
        """A token that opens a stream within a minute. The stream itself can last until `until`."""
        until = _whole_seconds(until)
        expires_at = min(_whole_seconds(now + dt.timedelta(seconds=STREAM_SECONDS)), until)
        return self._mint(
            self._stream.present,
            user_id,
            session_id,
            now=now,
            expires_at=expires_at,
            until=int(until.timestamp()),
        )

    def verify_access(self, token: str, now: dt.datetime) -> Claims:
        """Verify an access token. Raises `Unauthenticated`, with the reason, if it is invalid."""
        return self._claims(self._verify(self._access, token, now), "exp")

    def verify_stream(self, token: str, now: dt.datetime) -> Claims:
        """Verify a stream token. Raises `Unauthenticated`, with the reason, if it is invalid."""
        return self._claims(self._verify(self._stream, token, now), "until")

    def _mint(
        self,
        kind: _Kind,
        user_id: UUID,
        session_id: UUID,
        *,
        now: dt.datetime,
        expires_at: dt.datetime,
        **more: Any,
    ) -> Minted:
        import jwt

        claims = {
            "iss": self._issuer,
            "aud": kind.audience,
            "sub": user_id.hex,
            "sid": session_id.hex,
            "jti": secrets.token_hex(16),
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
            **more,
        }
        headers = {"typ": kind.typ, "kid": kind.kid}
        return Minted(jwt.encode(claims, kind.key, ALGORITHM, headers), expires_at)

    def _verify(self, ring: _Ring, token: str, now: dt.datetime) -> dict[str, Any]:
        import jwt

        if len(token) > _LONGEST:
            raise Unauthenticated("This is not a Taskloom token: it is too long.")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise Unauthenticated("The access token is malformed.") from None
        kind = ring.present
        if header.get("typ") != kind.typ or header.get("alg") != ALGORITHM:
            raise Unauthenticated(
                f"This requires a token of type {kind.typ}; this one has a different type."
            )
        kid = header.get("kid")
        signed = ring.by_kid.get(kid) if isinstance(kid, str) else None
        if signed is None:
            raise Unauthenticated("The token was signed with a different key; sign in again.")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                signed.key,
                algorithms=[ALGORITHM],
                audience=kind.audience,
                issuer=self._issuer,
                options={
                    "require": ["iss", "aud", "sub", "sid", "jti", "iat", "exp"],
                    # Compared below with `now`.
                    "verify_exp": False,
                    "verify_iat": False,
                    "strict_aud": True,
                },
            )
            issued, expires = int(claims["iat"]), int(claims["exp"])
        except (jwt.InvalidTokenError, TypeError, ValueError):
            raise Unauthenticated(
                "The token is not valid here: its signature, issuer or audience is wrong."
            ) from None
        moment = now.timestamp()
        if moment >= expires:
            raise Unauthenticated(
                "The token has expired. Call `sessionRefresh` for a new one, or sign in again."
            )
        if issued > moment + _CLOCK_SKEW:
            raise Unauthenticated("The token was issued in the future.")
        return claims

    @staticmethod
    def _claims(claims: dict[str, Any], end: str) -> Claims:
        try:
            return Claims(
                user_id=UUID(hex=claims["sub"]),
                session_id=UUID(hex=claims["sid"]),
                expires_at=dt.datetime.fromtimestamp(claims[end], dt.UTC),
                token_id=UUID(hex=claims["jti"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise Unauthenticated("The token contains no session.") from None

    # --- refresh tokens --------------------------------------------------------------------------

    @staticmethod
    def new_refresh() -> str:
        """The first refresh token of a session: 256 random bits."""
        return _refresh_text(secrets.token_bytes(32))

    def successors(self, refresh_token: str) -> list[str]:
        """The successors of a token: first the current one, which is always the same and only this
        server can compute, then those computed with previous secrets.
        """
        return [_refresh_text(_mac(key, refresh_token)) for key in self._refresh_keys]

    @staticmethod
    def refresh_hash(refresh_token: str) -> bytes:
        """The stored hash of a refresh token. 256 random bits need no salt and no slow hash."""
        return hashlib.sha256(refresh_token.encode("utf-8", "surrogatepass")).digest()


def _derive(secret: bytes, purpose: str) -> bytes:
    return hmac.new(secret, f"taskloom/{purpose}/1".encode(), hashlib.sha256).digest()


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()


def _refresh_text(raw: bytes) -> str:
    # The prefix lets scanners for leaked secrets recognize it.
    return REFRESH_PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _whole_seconds(moment: dt.datetime) -> dt.datetime:
    # JWTs have whole seconds; the payload must match the token.
    return moment.replace(microsecond=0)
