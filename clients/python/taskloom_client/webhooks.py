"""Verifying what a webhook receives (Standard Webhooks)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from typing import Any

# In seconds: older requests may be repeated by somebody who has recorded them.
TOLERANCE = 300
_HEADERS = ("id", "timestamp", "signature")
_TIME = re.compile(r"[0-9]{1,15}")


class WebhookRefused(Exception):  # noqa: N818 - what happens to the request
    """The request is not from Taskloom, or too old. Answer it with 400."""


def verified(
    secrets: str | list[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float | None = None,
) -> Any:
    """The JSON of a request, if its signature is good for one of the secrets (`whsec_…`).

    `body` is the body as it came, byte by byte. Use the header `webhook-id` to detect repeats.
    """
    given = {name.lower(): value for name, value in headers.items()}
    id_, at, signatures = (given.get(f"webhook-{name}", "") for name in _HEADERS)
    if not id_ or not _TIME.fullmatch(at) or not signatures:
        raise WebhookRefused("The headers of Standard Webhooks are missing.")
    if abs((time.time() if now is None else now) - int(at)) > TOLERANCE:
        raise WebhookRefused("The request is not of the last five minutes.")
    # The sender chooses the headers, which may contain anything.
    signed = f"{id_}.{at}.".encode(errors="replace") + body
    for secret in [secrets] if isinstance(secrets, str) else secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        mac = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        sent = [one.encode(errors="replace") for one in signatures.split()]
        if any(hmac.compare_digest(mac, one) for one in sent):
            return json.loads(body)
    raise WebhookRefused("No signature matches.")
