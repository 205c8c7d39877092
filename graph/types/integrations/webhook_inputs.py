"""Filters, orderings and mutation inputs of webhooks."""

from __future__ import annotations

import datetime as dt

import strawberry

from db import models
from domain.integrations.webhook import MAX_OVERLAP
from graph.core.enums import WebhookStatus
from graph.core.inputs import (
    TAKE_OVER,
    MutationInput,
    UpdateInput,
    change,
    defaulted,
    optional,
    required,
)
from graph.core.scalars import URL, Seconds
from graph.kit import filtering, ordering
from graph.kit.comparators import (
    DateTimeFilter,
    IDFilter,
    StringFilter,
    WebhookDeliveryStatusFilter,
    WebhookStatusFilter,
)
from graph.types.events.event_filter import EventFilter

# How long the old secret signs beside the new one.
OVERLAP = Seconds(24 * 3600)

_URL = (
    "The URL that events are sent to: https://, without a user name, on the public internet, up "
    "to 2,000 characters."
)
_NAME = "A name to tell webhooks apart, 1 to 100 characters."
_FILTER = "Sends only events that match this filter and that you can see, as in `taskEvents`."
_PAYLOAD = (
    "The payload, as a GraphQL selection on `Event` in braces: `{ kind task { title } }`. "
    "Fragments can follow it. It is executed with your permissions at the time of delivery."
)


@filtering.filter_input("Filter for deliveries.")
class WebhookDeliveryFilter:
    id: IDFilter | None = filtering.by_id(
        models.WebhookDelivery.id, models.WebhookDelivery, "The delivery's ID."
    )
    event: EventFilter | None = filtering.by_relation(
        models.WebhookDelivery.event_id, "The event.", model=models.Event, known=True
    )
    status: WebhookDeliveryStatusFilter | None = filtering.by(
        models.WebhookDelivery.state, "The status of the delivery."
    )
    is_test: bool | None = filtering.by_flag(
        models.WebhookDelivery.is_test, "Whether it is a test delivery."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.WebhookDelivery.created_at,
        "When the delivery was first due.",
        order="when the delivery was first due",
    )


@ordering.order_input(
    "Sort key for deliveries. Provide exactly one field.", of=WebhookDeliveryFilter
)
class WebhookDeliveryOrder: ...


@filtering.filter_input("Filter for webhooks.")
class WebhookFilter:
    id: IDFilter | None = filtering.by_id(models.Webhook.id, models.Webhook, "The webhook's ID.")
    name: StringFilter | None = filtering.by_name(models.Webhook.name, "The name.", order="name")
    url: StringFilter | None = filtering.by(models.Webhook.url, "The URL that events are sent to.")
    status: WebhookStatusFilter | None = filtering.by(models.Webhook.status, "The status.")
    created_at: DateTimeFilter | None = filtering.by(
        models.Webhook.created_at, "When the webhook was created.", order="creation time"
    )
    updated_at: DateTimeFilter | None = filtering.by(
        models.Webhook.updated_at,
        "When the webhook last changed.",
        order="the time of the last change",
    )


@ordering.order_input("Sort key for webhooks. Provide exactly one field.", of=WebhookFilter)
class WebhookOrder: ...


@strawberry.input(description="Input for `webhookCreate`.")
class WebhookCreateInput(MutationInput):
    url: URL = required(_URL)
    name: str | None = optional(f"{_NAME} The host of `url` by default.")
    filter: EventFilter | None = optional(_FILTER)
    payload: str | None = optional(f"{_PAYLOAD} `Webhook.payload` shows the default.")


@strawberry.input(description="Input for `webhookUpdate`. Omitted fields stay unchanged.")
class WebhookUpdateInput(UpdateInput):
    id: strawberry.ID = required("The webhook to change.")
    url: URL | None = optional(_URL)
    name: strawberry.Maybe[str | None] = change(f"{_NAME} Null for the host of `url`.")
    filter: strawberry.Maybe[EventFilter | None] = change(f"{_FILTER} Null for no filter.")
    payload: strawberry.Maybe[str | None] = change(f"{_PAYLOAD} Null for the default.")
    status: WebhookStatus | None = optional(
        "Disables or enables the webhook. Once enabled, it sends events from that moment on."
    )
    take_over: bool = defaulted(False, TAKE_OVER)


@strawberry.input(description="A webhook.")
class WebhookInput(MutationInput):
    id: strawberry.ID = required("The webhook.")


@strawberry.input(description="Input for `webhookDelete`.")
class WebhookDeleteInput(UpdateInput):
    """Input for `webhookDelete`."""

    id: strawberry.ID = required("The webhook.")


@strawberry.input(description="Input for `webhookTest`.")
class WebhookTestInput(WebhookInput):
    """Input for `webhookTest`."""


@strawberry.input(description="Input for `webhookSecretRotate`.")
class WebhookSecretRotateInput(UpdateInput):
    id: strawberry.ID = required("The webhook.")
    overlap: Seconds = defaulted(
        OVERLAP,
        "For how long the old secret signs requests beside the new one, at most "
        f"{MAX_OVERLAP:,}. Use 0 if the secret leaked; secrets of earlier rotations then end "
        "too.",
    )


@strawberry.input(description="Input for `webhookDeliveryRetry`.")
class WebhookDeliveryRetryInput(MutationInput):
    id: strawberry.ID = required("The delivery to send again.")


@strawberry.input(description="Input for `webhookReplay`.")
class WebhookReplayInput(WebhookInput):
    after: dt.datetime = required(
        "The start of the period, within the last 30 days; events at this time are included.",
    )
    before: dt.datetime = required("The end of the period; events at this time are not included.")
    only_failed: bool = defaulted(
        False,
        "If true, sends only events whose deliveries have the status FAILED, and none that were "
        "delivered, skipped or missed.",
    )
