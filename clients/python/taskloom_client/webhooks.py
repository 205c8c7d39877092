"""Verifying what a webhook receives (Standard Webhooks)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

# In seconds: older requests may be repeated by somebody who has recorded them.
TOLERANCE = 300


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
    try:
        id_, at = given["webhook-id"], int(given["webhook-timestamp"])
        signatures = given["webhook-signature"].split()
    except (KeyError, ValueError):
        raise WebhookRefused("The headers of Standard Webhooks are missing.") from None
    if abs((time.time() if now is None else now) - at) > TOLERANCE:
        raise WebhookRefused("The request is older than five minutes.")
    signed = f"{id_}.{at}.".encode() + body
    for secret in [secrets] if isinstance(secrets, str) else secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        if any(hmac.compare_digest(f"v1,{mac}", one) for one in signatures):
            return json.loads(body)
    raise WebhookRefused("No signature matches.")
