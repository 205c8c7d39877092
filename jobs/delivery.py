"""One attempt of a webhook delivery: payload, signature, and the meaning of the answer.

Signatures follow Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, one for each valid
secret, so that a receiver can verify with the old or the new one.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from uuid import UUID

from auth.encryption import Encryption
from auth.scopes import event_scope
from auth.viewer import Viewer
from db.models import Event, Webhook
from domain.integrations.addresses import Refused
from domain.integrations.webhook import SECRET_PREFIX, valid_old_secrets
from domain.integrations.webhook_delivery import Attempt
from errors import SERVER_FAULTS, Failure
from graph.core import ids
from graph.request.answer import Answer as Executed
from graph.request.answer import Refused as RefusedDocument
from graph.types.integrations.webhook_payload import FIELD, body_of, document_of
from jobs.graph import graph_of
from jobs.outgoing import Outgoing, Unreachable, asked_wait
from jobs.worker_context import WorkerContext
from settings import version
from telemetry import spans

MOST_BYTES = 256_000
"""Of a payload."""


class Unpayable(Exception):  # noqa: N818 - as `Unreachable`
    """The payload cannot be made; the message tells the webhook's owner why."""


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature, in the form of the header."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def headers_of(
    message_id: str, now: dt.datetime, body: bytes, secrets: Sequence[str]
) -> dict[str, str]:
    """The headers of a request, with a signature by each of these secrets."""
    timestamp = int(now.timestamp())
    signatures = (signature(secret, message_id, timestamp, body) for secret in secrets)
    return {
        "Content-Type": "application/json",
        "User-Agent": f"Taskloom/{version()} (webhooks)",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


async def payload_of(
    context: WorkerContext, webhook: Webhook, viewer: Viewer, event_id: UUID
) -> tuple[bytes, Sequence[str]] | None:
    """The payload for an event, made with the rights of the webhook's owner or key, and the scopes
    that an API key needs to read it; None if they cannot see the event.

    Raises `Unpayable`, and `Later` as `Graph.deliver`.
    """
    try:
        document = document_of(webhook.payload)
        answer = await graph_of(context).deliver(viewer, document, event_id)
        scopes = await graph_of(context).scopes_of(document)
    except RefusedDocument as refused:
        raise Unpayable(_reason(refused.answer)) from None
    except Failure as failure:
        raise Unpayable(failure.message) from None
    if answer is None:
        return None
    if not SERVER_FAULTS.isdisjoint(error["extensions"]["code"] for error in answer.errors):
        # What could not be read must not look as if it were empty.
        raise Unpayable(_reason(answer))
    data = (answer.values or {}).get(FIELD)
    if data is None:
        raise Unpayable(_reason(answer))
    body = body_of(data)
    if len(body) > MOST_BYTES:
        raise Unpayable(f"It has {len(body):,} bytes; at most {MOST_BYTES:,} are sent.")
    return body, scopes


async def attempt(
    context: WorkerContext, webhook: Webhook, viewer: Viewer, event: Event
) -> Attempt | None:
    """Send an event and return the outcome; None if the viewer can no longer see it."""
    now = context.clock()
    try:
        made = await payload_of(context, webhook, viewer, event.id)
    except Unpayable as reason:
        return Attempt(now, error=f"The payload could not be made: {reason}")
    if made is None:
        return None
    body, scopes = made
    headers = headers_of(ids.encode(Event, event.id), now, body, _secrets(context, webhook, now))
    shown = {name: value for name, value in headers.items() if name != "webhook-signature"}
    settings = context.settings
    outgoing = Outgoing(
        settings.webhooks.allowed_networks,
        plain=not settings.server.production,
        seconds=settings.webhooks.timeout_seconds,
    )
    begun = time.perf_counter()
    answer, error = None, None
    with spans.span("POST", "client", {"http.request.method": "POST"}) as span:
        trace = spans.traceparent()
        if trace is not None:
            headers["traceparent"] = trace
        try:
            answer = await outgoing.post(webhook.url, headers, body)
        except (Refused, Unreachable) as reason:
            error = str(reason)
            spans.fail(type(reason).__name__)
        if span is not None and answer is not None:
            span.set_attribute("http.response.status_code", answer.status)
            if answer.status >= 400:
                spans.fail(str(answer.status))
    return Attempt(
        at=now,
        headers=shown,
        body=body.decode(),
        scopes=[*scopes, event_scope(event.kind, event.subject_type)],
        status=None if answer is None else answer.status,
        # PostgreSQL's text type accepts every character except this one.
        response_body=None if answer is None else _text(answer.body),
        duration_ms=round((time.perf_counter() - begun) * 1000),
        error=error if answer is None else _meaning(answer.status),
        retry_after=None if answer is None else asked_wait(answer, now),
    )


def _meaning(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"The receiver answered {status}; redirects are not followed."
    return f"The receiver answered {status}."


def _secrets(context: WorkerContext, webhook: Webhook, now: dt.datetime) -> list[str]:
    """The valid secrets, newest first."""
    encryption = Encryption(context.settings)
    sealed = [webhook.secret, *(old for old, _ in valid_old_secrets(webhook, now))]
    return [encryption.decrypt(one).decode() for one in sealed]


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace").replace("\x00", "\ufffd")


def _reason(answer: Executed) -> str:
    errors: Sequence[Mapping[str, str]] = answer.errors
    return errors[0]["message"] if errors else "It is empty."
