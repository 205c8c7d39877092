"""Firebase Cloud Messaging (HTTP v1), for Android, iOS and browsers.

A service account signs a JWT and exchanges it for an access token (RFC 7523), which is valid for an
hour. A message goes to one device. A token that the service no longer knows is distinguished from a
failure, so that the device can be deleted.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import httpx
import jwt
import orjson

from db.models import Device
from jobs.outcomes import GiveUp, Later
from jobs.push.fitting import MOST_BYTES, PushMessage, fitted
from jobs.push.service import Push, UnknownDevice, wait_asked

_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_TIMEOUT_SECONDS = 15.0
_LIFETIME = dt.timedelta(hours=1)
# Renewed a little before it ends.
_MARGIN = dt.timedelta(minutes=5)


class Fcm(Push):
    """One per worker; keeps the access token."""

    def __init__(
        self, account: Mapping[str, Any], url: str, clock: Callable[[], dt.datetime]
    ) -> None:
        self._account = account
        self._address = f"{url}/v1/projects/{account['project_id']}/messages:send"
        self._clock = clock
        self._http = httpx.AsyncClient(timeout=_TIMEOUT_SECONDS)
        self._token = ""
        self._until = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._renewing = asyncio.Lock()

    async def close(self) -> None:
        await self._http.aclose()

    def destination(self, device: Device) -> str:
        return "fcm"

    async def send(self, device: Device, message: PushMessage) -> None:
        body = fitted(message, partial(_encoded, device.token), MOST_BYTES)
        answer = await self._post(body)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            # It ended early, because a key was rotated, say: once more with a fresh one.
            self._until = dt.datetime.min.replace(tzinfo=dt.UTC)
            answer = await self._post(body)
        if answer.is_success:
            return
        if _is_unknown(answer):
            raise UnknownDevice
        if answer.status_code in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}:
            after = wait_asked(answer.headers.get("Retry-After", ""))
            if after is not None:
                raise Later(after, f"The push service asks to wait for {after}.")
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise GiveUp(f"The push service rejected the message: {answer.text[:500]}")
        answer.raise_for_status()

    async def _post(self, body: bytes) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {await self._access_token()}",
            "Content-Type": "application/json",
        }
        return await self._http.post(self._address, content=body, headers=headers)

    async def _access_token(self) -> str:
        async with self._renewing:
            now = self._clock()
            if now >= self._until:
                answer = await self._http.post(
                    self._account["token_uri"],
                    data={"grant_type": _GRANT, "assertion": self._assertion(now)},
                )
                answer.raise_for_status()
                granted = answer.json()
                self._token = granted["access_token"]
                self._until = now + dt.timedelta(seconds=granted["expires_in"]) - _MARGIN
            return self._token

    def _assertion(self, now: dt.datetime) -> str:
        claims = {
            "iss": self._account["client_email"],
            "scope": _SCOPE,
            "aud": self._account["token_uri"],
            "iat": now,
            "exp": now + _LIFETIME,
        }
        key, kid = self._account["private_key"], self._account.get("private_key_id")
        return jwt.encode(claims, key, "RS256", headers={"kid": kid} if kid else None)


def _encoded(token: str, message: PushMessage) -> bytes:
    return orjson.dumps(
        {
            "message": {
                "token": token,
                "notification": {"title": message.title, "body": message.body},
                "data": message.data,
                "android": {"collapse_key": message.collapse},
                "apns": {"headers": {"apns-collapse-id": message.collapse}},
                "webpush": {"headers": {"Topic": message.collapse}},
            }
        }
    )


# What FCM answers for tokens that will never work again.
_DEAD = {"UNREGISTERED", "SENDER_ID_MISMATCH"}


def _is_unknown(answer: httpx.Response) -> bool:
    """Whether the token is dead: the app was removed, the token belongs to another project, or the
    invalid argument is the token.
    """
    try:
        error = answer.json()["error"]
        details = error.get("details", [])
        codes = {detail.get("errorCode") for detail in details}
        fields = {
            violation.get("field")
            for detail in details
            for violation in detail.get("fieldViolations", ())
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return bool(codes & _DEAD) or "message.token" in fields
