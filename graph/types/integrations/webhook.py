"""Webhooks in the schema."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import func, select
from strawberry.scalars import JSON

from auth.encryption import Encryption
from auth.scopes import EVENT_SCOPES, LOSS
from auth.viewer import Viewer
from db import models
from domain.integrations import webhook as domain
from domain.integrations import webhook_delivery
from domain.integrations.webhook import NewWebhook, Receivers
from domain.work import Work
from errors import Forbidden, check
from graph.core import ids
from graph.core.context import Context
from graph.core.enums import DeliveryState, WebhookStatus
from graph.core.fields import BatchInfo, batch, column
from graph.core.inputs import given
from graph.core.node import Node, expression, node_id, node_type
from graph.core.scalars import URL, Milliseconds
from graph.kit import ordering, paging
from graph.kit.commands import arguments_of, changes_of
from graph.kit.loading import by_id, load_objects, to_one
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref, shared_payload, value
from graph.kit.ordering import Key
from graph.kit.stored_input import from_json, to_json
from graph.request.scopes import demand, scopes_of_value
from graph.types.accounts.api_key import BY_KEY, ApiKey, sender_of
from graph.types.events.event import Event
from graph.types.events.event_filter import EventFilter, kinds_in
from graph.types.events.event_list import count_of_period
from graph.types.events.wanted import wanted_of
from graph.types.integrations import webhook_payload
from graph.types.integrations.webhook_inputs import (
    WebhookCreateInput,
    WebhookDeleteInput,
    WebhookDeliveryFilter,
    WebhookDeliveryOrder,
    WebhookDeliveryRetryInput,
    WebhookFilter,
    WebhookInput,
    WebhookOrder,
    WebhookReplayInput,
    WebhookSecretRotateInput,
    WebhookTestInput,
    WebhookUpdateInput,
)

# --- types ---------------------------------------------------------------------------------------


async def _events(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.Event, [parent.event_id for parent in parents])


def _of_those_scopes(model: Any, column_: Any, description: str) -> Any:
    """A text that an API key can read only with the scopes of everything that was sent, since the
    receiver can echo what it got. The error names a missing scope.
    """
    label = column_.key

    async def texts(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
        return [_guarded(info.viewer, parent, getattr(parent, label)) for parent in parents]

    requires = (label, model.scopes)
    more = "An API key needs the scopes of everything that was sent."
    return batch(texts, f"{description} {more}", requires=requires)


def _guarded(viewer: Viewer, sent: Any, text: str | None) -> str | Forbidden | None:
    if text is not None:
        try:
            # What was sent before scopes were recorded has unknown content.
            demand(viewer, ["read"] if sent.scopes is None else sent.scopes)
        except Forbidden as missing:
            return missing
    return text


_REQUEST_HEADERS = "The request headers, without the signatures."
_RESPONSE_STATUS = "The HTTP status of the response; null if there was none."
_RESPONSE_BODY = "The first 10,000 bytes of the response body; the rest is not read."
_RESPONSE_TIME = "The time from the start of the request to the end of the response."


@node_type(
    models.WebhookAttempt,
    "One attempt to send a delivery, with the response. Kept as long as the delivery.",
)
class WebhookAttempt(Node):
    id: strawberry.ID = node_id(models.WebhookAttempt)
    attempted_at: dt.datetime | None = column("When the attempt started.")
    request_headers: JSON | None = column(_REQUEST_HEADERS)
    response_status: int | None = column(_RESPONSE_STATUS)
    response_body: str | None = _of_those_scopes(
        models.WebhookAttempt, models.WebhookAttempt.response_body, _RESPONSE_BODY
    )
    response_time: Milliseconds | None = column(models.WebhookAttempt.duration_ms, _RESPONSE_TIME)
    failure_reason: str | None = column(
        models.WebhookAttempt.error,
        "Why the attempt failed, as a sentence; null if it succeeded.",
    )


@paging.connection_type("A page of attempts.", edge="An attempt in a list, with its cursor.")
class WebhookAttemptConnection:
    node: WebhookAttempt


@node_type(
    models.WebhookDelivery,
    "The delivery of one event to a webhook: the request of the latest attempt and its "
    "response. Kept for 30 days.",
)
class WebhookDelivery(Node):
    id: strawberry.ID = node_id(models.WebhookDelivery)
    webhook: Webhook | None = to_one(models.WebhookDelivery.webhook, "The webhook.")
    event: Event | None = batch(
        _events,
        "The event; null if you can no longer see it. Its ID is sent as `webhook-id` with every "
        "attempt, so that receivers can recognize repeated deliveries.",
        requires=("event_id",),
    )
    status: DeliveryState = column(
        models.WebhookDelivery.state, "The state of the delivery.", convert=DeliveryState
    )
    is_test: bool = column("Whether it is a test delivery.")
    attempt_count: int = column(models.WebhookDelivery.attempt, "The number of attempts so far.")
    attempts: WebhookAttemptConnection = paging.to_many(
        models.WebhookDelivery.attempts,
        "All attempts, newest first. Of a delivery from before version 0.2.0, only the latest one.",
        default_order=(Key(ordering.source(models.WebhookAttempt.number), descending=True),),
    )
    attempted_at: dt.datetime | None = column("When the latest attempt started.")
    next_attempt_at: dt.datetime | None = column(
        "When the next attempt is made; null if none is scheduled."
    )
    request_headers: JSON | None = column(_REQUEST_HEADERS)
    request_body: str | None = _of_those_scopes(
        models.WebhookDelivery, models.WebhookDelivery.request_body, "The request body."
    )
    response_status: int | None = column(_RESPONSE_STATUS)
    response_body: str | None = _of_those_scopes(
        models.WebhookDelivery, models.WebhookDelivery.response_body, _RESPONSE_BODY
    )
    response_time: Milliseconds | None = column(models.WebhookDelivery.duration_ms, _RESPONSE_TIME)
    failure_reason: str | None = column(
        models.WebhookDelivery.error, "Why the delivery failed or was skipped, as a sentence."
    )
    created_at: dt.datetime = column("When the delivery was first due.")


@paging.connection_type("A page of deliveries.", edge="A delivery in a list, with its cursor.")
class WebhookDeliveryConnection:
    node: WebhookDelivery


def _rotating_until(_viewer: Any, webhook: Any) -> Any:
    # Not always the latest secret's: it may have been given a shorter overlap than earlier ones.
    until = func.unnest(webhook.old_secrets_until).column_valued("until")
    return select(func.max(until)).where(until > func.now()).scalar_subquery()


@node_type(
    models.Webhook,
    "A URL that events are sent to, signed according to Standard Webhooks (standardwebhooks.com).",
)
class Webhook(Node):
    """See `db.models.Webhook`. Secrets are not shown again."""

    id: strawberry.ID = node_id(models.Webhook)
    name: str = column("The webhook's name; the host of `url` unless you chose another.")
    url: URL = column("The URL that events are sent to.")
    filter: JSON | None = column("Sends only events that match this `EventFilter`; null for all.")
    payload: str = expression(
        models.Webhook,
        "payload_or_default",
        lambda _viewer, webhook: func.coalesce(webhook.payload, webhook_payload.DEFAULT),
        "The payload: a GraphQL selection on `Event`.",
    )
    status: WebhookStatus = column("Whether events are sent.", convert=WebhookStatus)
    disabled_reason: str | None = column("Why the webhook was disabled.")
    disabled_at: dt.datetime | None = column("When the webhook was disabled.")
    failing_since: dt.datetime | None = column(
        "When deliveries began to fail; null while they succeed. The webhook is disabled after "
        "120 hours."
    )
    old_secret_until: dt.datetime | None = expression(
        models.Webhook,
        "rotating_until",
        _rotating_until,
        "Until when a secret from before the last rotation also signs requests; null if none does.",
    )
    deliveries: WebhookDeliveryConnection = paging.to_many(
        models.Webhook.deliveries,
        "Past and scheduled deliveries, newest first by default.",
        filter_type=WebhookDeliveryFilter,
        order_type=WebhookDeliveryOrder,
        default_order=(Key(ordering.source(models.WebhookDelivery.created_at), descending=True),),
    )
    api_key: ApiKey | None = to_one(models.Webhook.api_key, BY_KEY)
    created_at: dt.datetime = column("When the webhook was created.")
    updated_at: dt.datetime = column("When the webhook last changed.")
    version: int = column("Increases with each change; pass it as `ifVersion`.")


@paging.connection_type("A page of webhooks.", edge="A webhook in a list, with its cursor.")
class WebhookConnection:
    node: Webhook


# --- queries -------------------------------------------------------------------------------------


def webhooks() -> Any:
    """The field `Viewer.webhooks`."""
    return paging.connection(
        models.Webhook,
        "Your webhooks, oldest first by default.",
        filter_type=WebhookFilter,
        order_type=WebhookOrder,
        default_order=(Key(ordering.source(models.Webhook.created_at)),),
    )


@strawberry.type
class WebhookQuery:
    webhook: Webhook | None = by_id(
        models.Webhook,
        "The webhook's ID.",
        "One of your webhooks; null with `NOT_FOUND` if it does not exist.",
    )


# --- mutations -----------------------------------------------------------------------------------


@shared_payload("`webhook` is the current one.")
class _WebhookPayload(MutationPayload):
    webhook: Webhook | None = ref(models.Webhook, "The webhook; null if nothing was changed.")


@shared_payload()
class _SecretPayload(_WebhookPayload):
    secret: str | None = value(
        "secret",
        "The signing secret, `whsec_…`, with which receivers verify signatures. It is shown "
        "only once; null if `replayed` is true.",
    )


@shared_payload()
class _DeliveryPayload(MutationPayload):
    webhook_delivery: WebhookDelivery | None = ref(
        models.WebhookDelivery, "The delivery, which is due now.", "delivery"
    )


async def _event_counts(parents: Sequence[Any], info: BatchInfo) -> list[int | None]:
    return [await _event_count(info.context, parent.refs) for parent in parents]


async def _event_count(context: Context, refs: Refs) -> int | None:
    """Failed deliveries are counted before they are requested again; all events of a period only
    here, since that may take long.
    """
    period = refs.get("period")
    if period is None:
        count: int | None = refs.get("failed")
        return count

    async def read(work: Work) -> tuple[Any, Viewer]:
        webhook = await work.readable(models.Webhook, UUID(str(refs["webhook"])))
        return webhook.filter, await sender_of(work, webhook)

    kept, sender = await context.transact(read)
    assert context.selection_index is not None, "the executor keeps one with the document"
    # Strawberry's own schema, which is made of this module.
    schema: Any = getattr(context.selection_index.schema, "_strawberry_schema")  # noqa: B009
    wanted = None if kept is None else from_json(schema, EventFilter, kept)
    start, end = map(dt.datetime.fromisoformat, period)
    its_own = context.services.context(sender, context.request)
    return await count_of_period(its_own, wanted_of(its_own, wanted), start, end)


@shared_payload()
class _ReplayPayload(_WebhookPayload):
    event_count: int | None = batch(
        _event_counts, "The number of events that are sent again. Counted only if you select it."
    )


@payload("Payload of `webhookDelete`.")
class WebhookDeletePayload(MutationPayload):
    deleted_id: strawberry.ID | None = value("deleted_id", "The ID of the deleted webhook.")
    webhook: Webhook | None = ref(
        models.Webhook, "The current webhook on `CONFLICT`, otherwise null."
    )


def _id(
    data: WebhookInput | WebhookUpdateInput | WebhookDeleteInput | WebhookSecretRotateInput,
) -> Any:
    return ids.decode(models.Webhook, data.id, ("id",))


def _receivers(context: Context) -> Receivers:
    settings = context.services.settings
    return Receivers(settings.webhooks.allowed_networks, plain=not settings.server.production)


@check()
def _checked_filter(context: Context, wanted: EventFilter | None) -> Any:
    if wanted is None:
        return None
    wanted_of(context, wanted)
    return to_json(wanted)


async def _check(context: Context, work: Work, webhook: models.Webhook) -> None:
    """Called after any change: with another URL, too, the payload has a new receiver. An API key
    must not send, through payload or filter, what it cannot read.
    """
    assert context.selection_index is not None, "the executor keeps one with the document"
    schema = context.selection_index.schema
    most = context.services.settings.limits.cost_operation
    sender = await sender_of(work, webhook)
    await webhook_payload.check(schema, webhook.payload, sender, most)
    demand(sender, [EVENT_SCOPES[kind] for kind in kinds_in(webhook.filter) if kind != LOSS])
    demand(sender, scopes_of_value(schema, "EventFilter", webhook.filter))


_new = arguments_of(WebhookCreateInput, NewWebhook)
_changes = changes_of(WebhookUpdateInput, domain.CHANGEABLE, options=("take_over",))


async def _checked_values(context: Context, values: dict[str, Any]) -> dict[str, Any]:
    """The values with filter and payload as they are kept."""
    if "filter" in values:
        values["filter"] = _checked_filter(context, values["filter"])
    if "payload" in values:
        values["payload"] = await _kept_payload(context, values["payload"])
    return values


async def _kept_payload(context: Context, selection: str | None) -> str | None:
    assert context.selection_index is not None, "the executor keeps one with the document"
    most = context.services.settings.limits.cost_operation
    # As with every optional text, a blank one is none.
    selection = selection if selection and selection.strip() else None
    await webhook_payload.check_value(context.selection_index.schema, selection, most)
    return webhook_payload.kept(selection, context.viewer)


async def _create(context: Context, work: Work, data: WebhookCreateInput) -> Refs:
    # A payload that is left out is the default of the viewer, which an API key's scopes limit.
    new = NewWebhook(**await _checked_values(context, {"payload": None} | _new(data)))
    encryption = Encryption(context.services.settings)
    webhook, secret = await domain.create(work, encryption, _receivers(context), new)
    await _check(context, work, webhook)
    return {"webhook": webhook.id, "secret": secret}


async def _update(context: Context, work: Work, data: WebhookUpdateInput) -> Refs:
    webhook = await domain.change(
        work,
        _receivers(context),
        _id(data),
        await _checked_values(context, _changes(data)),
        given(data.if_version),
        take_over=data.take_over,
    )
    await _check(context, work, webhook)
    return {"webhook": webhook.id}


async def _delete(work: Work, data: WebhookDeleteInput) -> Refs:
    gone = await domain.delete(work, _id(data), given(data.if_version))
    return {"deleted_id": ids.encode(models.Webhook, gone)}


async def _rotate(context: Context, work: Work, data: WebhookSecretRotateInput) -> Refs:
    webhook, secret = await domain.rotate_secret(
        work,
        Encryption(context.services.settings),
        _id(data),
        data.overlap,
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
    webhook = await domain.replay(
        work, _id(data), data.after, data.before, only_failed=data.only_failed
    )
    period = (data.after, min(data.before, work.now))
    if data.only_failed:
        failed = await webhook_delivery.count_failed(work, webhook.id, *period)
        return {"webhook": webhook.id, "failed": failed}
    return {"webhook": webhook.id, "period": [moment.isoformat() for moment in period]}


@strawberry.type
class WebhookMutation:
    webhook_create: _SecretPayload = mutation(
        _create,
        WebhookCreateInput,
        "Creates a webhook: events from now on are sent to its URL. You can have at most 50 "
        "webhooks. An API key needs the scopes of everything that is sent; the webhook stops "
        "with the key.",
        in_context=True,
        secrets=("secret",),
    )
    webhook_update: _WebhookPayload = mutation(
        _update,
        WebhookUpdateInput,
        "Changes a webhook, disables or enables it, or takes it over from an API key.",
        in_context=True,
    )
    webhook_delete: WebhookDeletePayload = mutation(
        _delete, WebhookDeleteInput, "Deletes a webhook and its deliveries."
    )
    webhook_secret_rotate: _SecretPayload = mutation(
        _rotate,
        WebhookSecretRotateInput,
        "Creates a new secret for a webhook. During an overlap, requests carry signatures of "
        "both the old and the new secret.",
        in_context=True,
        secrets=("secret",),
    )
    webhook_test: _DeliveryPayload = mutation(
        _test,
        WebhookTestInput,
        "Sends a single `WEBHOOK_TESTED` event to a webhook, regardless of its filter and even "
        "while it is disabled. `Webhook.deliveries` shows the result.",
    )
    webhook_delivery_retry: _DeliveryPayload = mutation(
        _retry,
        WebhookDeliveryRetryInput,
        "Sends a delivery again immediately, whether or not it succeeded. The payload is "
        "generated again.",
    )
    webhook_replay: _ReplayPayload = mutation(
        _replay,
        WebhookReplayInput,
        "Sends the events of a period again: those that were sent, successfully or not, and "
        "those that were missed because the webhook was disabled or did not exist yet.",
    )
