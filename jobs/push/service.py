"""Firebase Cloud Messaging (HTTP v1), which reaches Android, iOS and browsers alike.

A service account signs a JWT and exchanges it for an access token (RFC 7523), which is good for an
hour. A message goes to one device; a token that the service does not know any more is told apart
from a failure, so that the device can be forgotten.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt

from jobs.handlers import Later
from settings import PushSettings

_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_TIMEOUT_SECONDS = 15.0
_LIFETIME = dt.timedelta(hours=1)
# Renewed a little before it ends.
_MARGIN = dt.timedelta(minutes=5)


class UnknownDevice(Exception):  # noqa: N818 - an answer and not a fault
    """The service says that the app was removed, or has another token by now."""


@dataclass(frozen=True, slots=True)
class PushMessage:
    """`collapse`: a later message with the same takes the place of this one on the device."""

    title: str
    body: str
    data: Mapping[str, str]
    collapse: str


class Push(ABC):
    """Sends push messages."""

    @abstractmethod
    async def send(self, token: str, message: PushMessage) -> None:
        """Raises `UnknownDevice` where the token is dead, `Later` where the service says when."""

    @abstractmethod
    async def close(self) -> None:
        """Let connections go."""


class NoPush(Push):
    """Where no service is configured, nothing is sent."""

    async def send(self, token: str, message: PushMessage) -> None:
        """Does nothing."""

    async def close(self) -> None:
        """There are none."""


class Fcm(Push):
    """One a worker; holds the access token."""

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

    async def send(self, token: str, message: PushMessage) -> None:
        body = {
            "message": {
                "token": token,
                "notification": {"title": message.title, "body": message.body},
                "data": dict(message.data),
                "android": {"collapse_key": message.collapse},
                "apns": {"headers": {"apns-collapse-id": message.collapse}},
                "webpush": {"headers": {"Topic": message.collapse}},
            }
        }
        answer = await self._post(body)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            # Ended early, by a key that was rotated, say: once more with a fresh one.
            self._until = dt.datetime.min.replace(tzinfo=dt.UTC)
            answer = await self._post(body)
        if answer.is_success:
            return
        if _is_unknown(answer):
            raise UnknownDevice
        if answer.status_code in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}:
            seconds = answer.headers.get("Retry-After", "")
            if seconds.isdigit():
                after = dt.timedelta(seconds=min(int(seconds), 3600))
                raise Later(after, f"The push service asks to wait for {seconds} seconds.")
        answer.raise_for_status()

    async def _post(self, body: Mapping[str, Any]) -> httpx.Response:
        authorization = f"Bearer {await self._access_token()}"
        return await self._http.post(
            self._address, json=body, headers={"Authorization": authorization}
        )

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


def _is_unknown(answer: httpx.Response) -> bool:
    """Whether the token is dead: UNREGISTERED, or an INVALID_ARGUMENT that is about the token."""
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
    return "UNREGISTERED" in codes or "message.token" in fields


def make_push(settings: PushSettings, clock: Callable[[], dt.datetime]) -> Push:
    """The service that is configured."""
    if settings.credentials is None:
        return NoPush()
    return Fcm(_account(settings.credentials), settings.url, clock)


def _account(path: Path) -> Mapping[str, Any]:
    account: Mapping[str, Any] = json.loads(path.read_text())
    return account
