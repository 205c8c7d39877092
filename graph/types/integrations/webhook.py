"""Webhooks in the schema."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import strawberry
from sqlalchemy import func, select
from strawberry.scalars import JSON
from strawberry.types.maybe import Some

from auth.encryption import Encryption
from auth.scopes import EVENT_SCOPES, LOSS
from auth.viewer import Viewer
from db import models
from domain.integrations import webhook as domain
from domain.integrations.webhook import NewWebhook, Receivers
from domain.work import Work
from errors import Forbidden
from graph.core import ids
from graph.core.context import Context
from graph.core.enums import DeliveryState, EventKind, WebhookStatus
from graph.core.fields import BatchInfo, batch, column
from graph.core.inputs import changes_of, given, is_given
from graph.core.node import Node, expression, node_id, node_type
from graph.kit import ordering, paging
from graph.kit.loading import by_id, load_objects, to_one
from graph.kit.mutation import Payload, Refs, mutation, payload, ref, value
from graph.kit.ordering import Key
from graph.kit.stored_input import to_json
from graph.request.scopes import demand, scopes_of_value
from graph.types.accounts.api_key import BY_KEY, ApiKey, sender_of
from graph.types.events.event import TaskEvent
from graph.types.events.event_filter import TaskEventFilter, wanted_of
from graph.types.integrations import webhook_payload
from graph.types.integrations.webhook_inputs import (
    WebhookCreateInput,
    WebhookDeleteInput,
    WebhookDeliveryFilter,
    WebhookDeliveryOrder,
    WebhookDeliveryRetryInput,
    WebhookInput,
    WebhookOrder,
    WebhookReplayInput,
    WebhookSecretRotateInput,
    WebhookTestInput,
    WebhookUpdateInput,
)

OVERLAP_HOURS = 24

# --- types ---------------------------------------------------------------------------------------


async def _events(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.Event, [parent.event_id for parent in parents])


def _of_those_scopes(column_: Any, description: str) -> Any:
    """A text that an API key reads with the scopes of all that was sent, or is told which it lacks;
    a receiver may answer with what it got.
    """
    label = column_.key

    async def texts(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
        return [_guarded(info.viewer, parent, getattr(parent, label)) for parent in parents]

    requires = (label, models.WebhookDelivery.scopes)
    more = "An API key needs the scopes of all that was sent."
    return batch(texts, f"{description} {more}", requires=requires)


def _guarded(viewer: Viewer, delivery: Any, text: str | None) -> str | Forbidden | None:
    if text is not None:
        try:
            # Of those from before this was noted nobody knows what is in them.
            demand(viewer, ["read"] if delivery.scopes is None else delivery.scopes)
        except Forbidden as missing:
            return missing
    return text


@node_type(
    models.WebhookDelivery,
    "An event for a webhook: what was sent at the latest attempt, and what came back. Kept for 30 "
    "days.",
)
class WebhookDelivery(Node):
    """See `db.models.WebhookDelivery`."""

    id: strawberry.ID = node_id(models.WebhookDelivery)
    webhook: Webhook | None = to_one(models.WebhookDelivery.webhook, "Where it goes.")
    event_id: strawberry.ID = column(
        models.WebhookDelivery.event_id,
        "The event's id, which is sent as `webhook-id` with every attempt: receivers know by it "
        "what they have already.",
        convert=ids.Encoder(models.Event),
    )
    event: TaskEvent | None = batch(
        _events, "The event; null if you may not see it any more.", requires=("event_id",)
    )
    state: DeliveryState = column(
        models.WebhookDelivery.state, "What has become of it.", convert=DeliveryState
    )
    is_test: bool = column(models.WebhookDelivery.is_test, "Whether it was asked for as a test.")
    attempt: int = column(models.WebhookDelivery.attempt, "How many attempts there were.")
    attempted_at: dt.datetime | None = column(
        models.WebhookDelivery.attempted_at, "When the latest attempt began."
    )
    next_attempt_at: dt.datetime | None = column(
        models.WebhookDelivery.next_attempt_at, "When the next one follows; null if none does."
    )
    request_headers: JSON | None = column(
        models.WebhookDelivery.request_headers,
        "The headers that were sent, without the signatures.",
    )
    request_body: str | None = _of_those_scopes(
        models.WebhookDelivery.request_body, "The body that was sent."
    )
    response_status: int | None = column(
        models.WebhookDelivery.response_status, "The answer's status; null if none came."
    )
    response_body: str | None = _of_those_scopes(
        models.WebhookDelivery.response_body,
        "How the answer's body begins; the rest after 10,000 bytes is not read.",
    )
    duration_ms: int | None = column(
        models.WebhookDelivery.duration_ms, "Milliseconds from the request to the answer's end."
    )
    error: str | None = column(
        models.WebhookDelivery.error, "Why it failed or was skipped, for people."
    )
    created_at: dt.datetime = column(models.WebhookDelivery.created_at, "When it was first due.")


@paging.connection_type("A page of deliveries.", edge="A delivery in a list.")
class WebhookDeliveryConnection:
    """Relay connection."""

    node: WebhookDelivery


def _rotating_until(_viewer: Any, webhook: Any) -> Any:
    # Not always the latest one's: it may have been given less time than those before it.
    until = func.unnest(webhook.old_secrets_until).column_valued("until")
    return select(func.max(until)).where(until > func.now()).scalar_subquery()


@node_type(
    models.Webhook,
    "An address that events are sent to, signed as Standard Webhooks (standardwebhooks.com) says.",
)
class Webhook(Node):
    """See `db.models.Webhook`. Secrets are not shown again."""

    id: strawberry.ID = node_id(models.Webhook)
    url: str = column(models.Webhook.url, "Where events are sent.")
    events: list[EventKind] | None = column(
        models.Webhook.events,
        "Only these kinds of events; null for all.",
        convert=lambda kinds: [EventKind(kind) for kind in kinds],
    )
    filter: JSON | None = column(
        models.Webhook.filter, "Only events that match this `TaskEventFilter`; null for all."
    )
    payload: str = expression(
        models.Webhook,
        "payload_or_default",
        lambda _viewer, webhook: func.coalesce(webhook.payload, webhook_payload.DEFAULT),
        "What is sent: a selection on `TaskEvent`.",
    )
    status: WebhookStatus = column(
        models.Webhook.status, "Whether events are sent.", convert=WebhookStatus
    )
    disabled_reason: str | None = column(models.Webhook.disabled_reason, "Why nothing is sent.")
    disabled_at: dt.datetime | None = column(
        models.Webhook.disabled_at, "Since when nothing is sent."
    )
    failing_since: dt.datetime | None = column(
        models.Webhook.failing_since,
        "Since when no attempt has succeeded; null while they do. After 120 hours it is disabled.",
    )
    old_secret_until: dt.datetime | None = expression(
        models.Webhook,
        "rotating_until",
        _rotating_until,
        "Until when a secret from before the last rotation signs as well; null if none does.",
    )
    deliveries: WebhookDeliveryConnection = paging.to_many(
        models.Webhook.deliveries,
        "What was sent and is to be sent, the newest first unless ordered otherwise.",
        filter_type=WebhookDeliveryFilter,
        order_type=WebhookDeliveryOrder,
        default_order=(Key(ordering.source(models.WebhookDelivery.created_at), descending=True),),
    )
    api_key: ApiKey | None = to_one(models.Webhook.api_key, BY_KEY)
    created_at: dt.datetime = column(models.Webhook.created_at, "When it was made.")
    updated_at: dt.datetime = column(models.Webhook.updated_at, "When it changed last.")
    version: int = column(models.Webhook.version, "Goes up with each change; for `ifVersion`.")


@paging.connection_type("A page of webhooks.", edge="A webhook in a list.")
class WebhookConnection:
    """Relay connection."""

    node: Webhook


# --- queries -------------------------------------------------------------------------------------


@strawberry.type
class WebhookQuery:
    """Root fields."""

    webhook: Webhook | None = by_id(
        models.Webhook,
        "The webhook's id.",
        "A webhook of yours; null with `NOT_FOUND` if there is none.",
    )
    webhooks: WebhookConnection = paging.connection(
        models.Webhook,
        "Your webhooks, the oldest first unless ordered otherwise.",
        order_type=WebhookOrder,
        default_order=(Key(ordering.source(models.Webhook.created_at)),),
    )


# --- mutations -----------------------------------------------------------------------------------


@strawberry.type
class _WebhookPayload(Payload):
    webhook: Webhook | None = ref(models.Webhook, "The webhook; null if nothing was done.")


@strawberry.type
class _SecretPayload(_WebhookPayload):
    secret: str | None = value(
        "secret",
        "The secret, `whsec_…`: shown this once, and left out of a repeat. Receivers verify "
        "signatures with it.",
    )


@strawberry.type
class _DeliveryPayload(Payload):
    delivery: WebhookDelivery | None = ref(
        models.WebhookDelivery, "The delivery, which is due now.", "delivery"
    )


@payload("The answer of `webhookCreate`.")
class WebhookCreatePayload(_SecretPayload):
    """`webhookCreate`."""


@payload("The answer of `webhookUpdate`; with `CONFLICT`, the webhook as it is.")
class WebhookUpdatePayload(_WebhookPayload):
    """`webhookUpdate`."""


@payload("The answer of `webhookDelete`.")
class WebhookDeletePayload(Payload):
    """`webhookDelete`."""

    deleted_id: strawberry.ID | None = value("deleted_id", "The id that the webhook had.")


@payload("The answer of `webhookSecretRotate`.")
class WebhookSecretRotatePayload(_SecretPayload):
    """`webhookSecretRotate`."""


@payload("The answer of `webhookTest`.")
class WebhookTestPayload(_DeliveryPayload):
    """`webhookTest`."""


@payload("The answer of `webhookDeliveryRetry`.")
class WebhookDeliveryRetryPayload(_DeliveryPayload):
    """`webhookDeliveryRetry`."""


@payload("The answer of `webhookReplay`.")
class WebhookReplayPayload(_WebhookPayload):
    """`webhookReplay`."""


def _id(data: WebhookInput | WebhookUpdateInput | WebhookSecretRotateInput) -> Any:
    return ids.decode(models.Webhook, data.id, ("id",))


def _receivers(context: Context) -> Receivers:
    settings = context.services.settings
    return Receivers(settings.webhooks.allowed_networks, plain=not settings.server.production)


def _checked_filter(context: Context, wanted: TaskEventFilter | None) -> Any:
    if wanted is None:
        return None
    wanted_of(context, wanted)
    return to_json(wanted)


async def _check(context: Context, work: Work, webhook: models.Webhook) -> None:
    """Whatever was changed: with another address, too, a payload goes to somebody else. An API key
    must not have itself told, by payload, kinds or filter, what it may not read.
    """
    assert context.selection_index is not None, "the executor keeps one with the document"
    schema = context.selection_index.schema
    most = context.services.settings.limits.cost_operation
    sender = await sender_of(work, webhook)
    await webhook_payload.check(schema, webhook.payload, sender, most)
    demand(sender, [EVENT_SCOPES[kind] for kind in webhook.events or () if kind != LOSS])
    demand(sender, scopes_of_value(schema, "TaskEventFilter", webhook.filter))


async def _kept_payload(context: Context, selection: str | None) -> str | None:
    assert context.selection_index is not None, "the executor keeps one with the document"
    most = context.services.settings.limits.cost_operation
    await webhook_payload.check_value(context.selection_index.schema, selection, most)
    return webhook_payload.kept(selection, context.viewer)


async def _create(context: Context, work: Work, data: WebhookCreateInput) -> Refs:
    new = NewWebhook(
        url=data.url,
        events=given(data.events),
        filter=_checked_filter(context, given(data.filter)),
        payload=await _kept_payload(context, given(data.payload)),
    )
    encryption = Encryption(context.services.settings)
    webhook, secret = await domain.create(work, encryption, _receivers(context), new)
    await _check(context, work, webhook)
    return {"webhook": webhook.id, "secret": secret}


async def _update(context: Context, work: Work, data: WebhookUpdateInput) -> Refs:
    values = changes_of(data, "events", "payload")
    if "payload" in values:
        values["payload"] = await _kept_payload(context, values["payload"])
    if isinstance(data.filter, Some):
        values["filter"] = _checked_filter(context, data.filter.value)
    for name in ("url", "status"):
        if is_given(getattr(data, name)):
            values[name] = getattr(data, name)
    webhook = await domain.change(
        work,
        _receivers(context),
        _id(data),
        values,
        given(data.if_version),
        take_over=given(data.take_over) is True,
    )
    await _check(context, work, webhook)
    return {"webhook": webhook.id}


async def _delete(work: Work, data: WebhookDeleteInput) -> Refs:
    return {"deleted_id": ids.encode(models.Webhook, await domain.delete(work, _id(data)))}


async def _rotate(context: Context, work: Work, data: WebhookSecretRotateInput) -> Refs:
    hours = given(data.overlap_hours)
    webhook, secret = await domain.rotate_secret(
        work,
        Encryption(context.services.settings),
        _id(data),
        OVERLAP_HOURS if hours is None else hours,
        given(data.if_version),
    )
    await _check(context, work, webhook)
    return {"webhook": webhook.id, "secret": secret}


async def _test(work: Work, data: WebhookTestInput) -> Refs:
    return {"delivery": await domain.test(work, _id(data))}


async def _retry(work: Work, data: WebhookDeliveryRetryInput) -> Refs:
    delivery_id = ids.decode(models.WebhookDelivery, data.id, ("id",))
    return {"delivery": await domain.retry(work, delivery_id)}


async def _replay(work: Work, data: WebhookReplayInput) -> Refs:
    webhook = await domain.replay(work, _id(data), data.from_, data.to)
    return {"webhook": webhook.id}


@strawberry.type
class WebhookMutation:
    """Root fields."""

    webhook_create: WebhookCreatePayload = mutation(
        _create,
        WebhookCreateInput,
        "Have events sent to an address, from now on. At most 50 of yours. An API key needs its "
        "scopes for all that is sent, and the webhook ends with the key.",
        in_context=True,
        secrets=("secret",),
    )
    webhook_update: WebhookUpdatePayload = mutation(
        _update,
        WebhookUpdateInput,
        "Change a webhook, turn it off or on, take it over from an API key.",
        in_context=True,
    )
    webhook_delete: WebhookDeletePayload = mutation(
        _delete, WebhookDeleteInput, "Delete a webhook with its deliveries."
    )
    webhook_secret_rotate: WebhookSecretRotatePayload = mutation(
        _rotate,
        WebhookSecretRotateInput,
        "Give a webhook a new secret. For a while requests carry the signatures of both.",
        in_context=True,
        secrets=("secret",),
    )
    webhook_test: WebhookTestPayload = mutation(
        _test,
        WebhookTestInput,
        "Send a `WEBHOOK_TESTED` event to a webhook, once, whatever its filter and even while it "
        "is disabled. See `Webhook.deliveries` for what came of it.",
    )
    webhook_delivery_retry: WebhookDeliveryRetryPayload = mutation(
        _retry,
        WebhookDeliveryRetryInput,
        "Send a delivery again, at once, whatever became of it before. The payload is made anew.",
    )
    webhook_replay: WebhookReplayPayload = mutation(
        _replay,
        WebhookReplayInput,
        "Send the events of a time again: those that were sent, successfully or not, and those "
        "that were missed because the webhook was disabled or did not exist yet.",
    )
