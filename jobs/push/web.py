"""Web Push (RFC 8030), directly to the push services of browsers: each browser names an endpoint.

The message is encrypted for the browser (RFC 8291, by `pywebpush`), and the request is signed with
the server's key (VAPID, RFC 8292), which browsers received when they subscribed. Endpoints are
addresses that users enter, so requests pass the same checks as those of webhooks.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec

from db.models import Device
from domain.integrations.addresses import Refused, parse
from domain.notifications.web_push import public_key, signing_key
from jobs.outcomes import GiveUp, Later
from jobs.outgoing import Outgoing
from jobs.push.fitting import MOST_BYTES, PushMessage, fitted
from jobs.push.service import Push, UnknownDevice, wait_asked
from settings import Settings

# Added by encryption: salt, record size, key (RFC 8188), a delimiter and an authentication tag.
_OVERHEAD = 16 + 4 + 1 + 65 + 1 + 16
_LIFE = dt.timedelta(hours=12)
# How long the service keeps a message for an offline browser, in seconds.
_KEPT = 24 * 3600


class WebPush(Push):
    """One per worker."""

    def __init__(self, settings: Settings, clock: Callable[[], dt.datetime]) -> None:
        self._key = signing_key(settings.push)
        self._public = public_key(settings.push)
        self._subject = settings.push.vapid_subject or f"mailto:{settings.mail.address}"
        self._clock = clock
        self._outgoing = Outgoing(
            settings.webhooks.allowed_networks,
            plain=not settings.server.production,
            seconds=settings.webhooks.timeout_seconds,
        )

    def destination(self, device: Device) -> str:
        """Each push service has its own host, and its own bulkhead."""
        return parse(device.token).authority

    async def send(self, device: Device, message: PushMessage) -> None:
        body = fitted(message, _encoded, MOST_BYTES - _OVERHEAD)
        encrypted = await asyncio.to_thread(_encrypted, device, body)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "aes128gcm",
            "TTL": str(_KEPT),
            # At most 32 characters of base64url, which a UUID in hexadecimal has.
            "Topic": message.collapse,
            "Authorization": self._authorization(device.token),
        }
        try:
            answer = await self._outgoing.post(device.token, headers, encrypted)
        except Refused as refused:
            raise GiveUp(str(refused)) from refused
        if 200 <= answer.status < 300:
            return
        if answer.status in {404, 410}:
            raise UnknownDevice
        said = f"The browser's push service answered {answer.status}."
        if answer.status in {429, 503}:
            after = wait_asked(answer.headers.get("retry-after", ""))
            if after is not None:
                raise Later(after, said)
        if 400 <= answer.status < 500 and answer.status != 429:
            raise GiveUp(said)
        raise RuntimeError(said)

    def _authorization(self, endpoint: str) -> str:
        target = parse(endpoint)
        claims = {
            "aud": f"{target.scheme}://{target.authority}",
            "exp": self._clock() + _LIFE,
            "sub": self._subject,
        }
        assert isinstance(self._key, ec.EllipticCurvePrivateKey)
        return f"vapid t={jwt.encode(claims, self._key, 'ES256')}, k={self._public}"

    async def close(self) -> None:
        """No connection stays open."""


def _encoded(message: PushMessage) -> bytes:
    return orjson.dumps(
        {
            "title": message.title,
            "body": message.body,
            "data": message.data,
            "tag": message.collapse,
        }
    )


def _encrypted(device: Device, body: bytes) -> bytes:
    # Imports two HTTP clients, which are needed only for push messages.
    from pywebpush import WebPusher  # type: ignore[import-untyped]

    subscription: dict[str, Any] = {
        "endpoint": device.token,
        "keys": {"p256dh": device.p256dh, "auth": device.auth},
    }
    encrypted: bytes = WebPusher(subscription).encode(body)["body"]
    return encrypted
