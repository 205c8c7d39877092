"""Inputs of webhooks: filters, orderings, and what mutations take."""

from __future__ import annotations

import datetime as dt

import strawberry

from db import models
from domain.integrations.webhook import MAX_OVERLAP_HOURS
from graph.core.enums import DeliveryState, EventKind, WebhookStatus
from graph.core.inputs import TAKE_OVER, MutationInput, UpdateInput, change, optional, required
from graph.kit import filtering, ordering
from graph.kit.comparators import DateTimeFilter, IDFilter
from graph.kit.ordering import OrderBy
from graph.types.events.event_filter import TaskEventFilter

_URL = (
    "Where to send events: https://, without a user name, on the public internet. At most 2,000 "
    "characters."
)
_EVENTS = "Only these kinds of events; a loss of access is one of them like any other."
_FILTER = "Only events that match, and of these only what you may see, as with `taskEvents`."
_PAYLOAD = (
    "What to send, as a selection on `TaskEvent` in braces: `{ kind task { title } }`. Fragments "
    "may follow it. It is run with your rights when it is sent."
)


@strawberry.input(description="Compares states of deliveries.")
class WebhookDeliveryStateFilter:
    """Comparators of `WebhookDeliveryState`."""

    eq: DeliveryState | None = optional("This state.")
    not_eq: DeliveryState | None = optional("Any other state.")
    in_: list[DeliveryState] | None = optional("One of these states.", name="in")
    not_in: list[DeliveryState] | None = optional("None of these states.")


@filtering.filter_input("Which deliveries.")
class WebhookDeliveryFilter:
    """Criteria on deliveries."""

    event_id: IDFilter | None = filtering.by_id(
        models.WebhookDelivery.event_id, models.Event, "The event.", seen_with_row=True
    )
    state: WebhookDeliveryStateFilter | None = filtering.by(
        models.WebhookDelivery.state, "What has become of it."
    )
    is_test: bool | None = filtering.by_condition(
        lambda _, delivery: delivery.is_test, "Whether it was a test."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.WebhookDelivery.created_at, "When it was first due."
    )


@ordering.order_input("One step of an ordering of deliveries; give exactly one field.")
class WebhookDeliveryOrder:
    """Orderings of deliveries."""

    created_at: OrderBy | None = ordering.by(
        models.WebhookDelivery.created_at, "By the time at which it was first due."
    )


@ordering.order_input("One step of an ordering of webhooks; give exactly one field.")
class WebhookOrder:
    """Orderings of webhooks."""

    created_at: OrderBy | None = ordering.by(models.Webhook.created_at, "By age.")


@strawberry.input(description="A new webhook.")
class WebhookCreateInput(MutationInput):
    """Input of `webhookCreate`."""

    url: str = required(_URL)
    events: list[EventKind] | None = optional(f"{_EVENTS} All unless given.")
    filter: TaskEventFilter | None = optional(_FILTER)
    payload: str | None = optional(f"{_PAYLOAD} A default one unless given: `Webhook.payload`.")


@strawberry.input(description="Changes to a webhook; what is left out stays.")
class WebhookUpdateInput(UpdateInput):
    """Input of `webhookUpdate`."""

    id: strawberry.ID = required("The webhook.")
    url: str | None = optional(_URL)
    events: strawberry.Maybe[list[EventKind] | None] = change(f"{_EVENTS} Null for all.")
    filter: strawberry.Maybe[TaskEventFilter | None] = change(f"{_FILTER} Null for none.")
    payload: strawberry.Maybe[str | None] = change(f"{_PAYLOAD} Null for the default one.")
    status: WebhookStatus | None = optional(
        "Turn it off, or on again; it begins then with what happens from that moment."
    )
    take_over: bool | None = optional(TAKE_OVER)


@strawberry.input(description="A webhook.")
class WebhookInput(MutationInput):
    """What mutations of one webhook take."""

    id: strawberry.ID = required("The webhook.")


@strawberry.input(description="The webhook to delete.")
class WebhookDeleteInput(WebhookInput):
    """Input of `webhookDelete`."""


@strawberry.input(description="The webhook to test.")
class WebhookTestInput(WebhookInput):
    """Input of `webhookTest`."""


@strawberry.input(description="A webhook to get a new secret.")
class WebhookSecretRotateInput(UpdateInput):
    """Input of `webhookSecretRotate`."""

    id: strawberry.ID = required("The webhook.")
    overlap_hours: int | None = optional(
        "Hours for which the old secret goes on to sign beside the new one: 24 unless given, at "
        f"most {MAX_OVERLAP_HOURS}; 0 where it leaked, and then those from earlier rotations end "
        "with it."
    )


@strawberry.input(description="A delivery to send again.")
class WebhookDeliveryRetryInput(MutationInput):
    """Input of `webhookDeliveryRetry`."""

    id: strawberry.ID = required("The delivery.")


@strawberry.input(description="Events to send again.")
class WebhookReplayInput(WebhookInput):
    """Input of `webhookReplay`."""

    from_: dt.datetime = required("Events from this moment on, of the last 30 days.", name="from")
    to: dt.datetime = required("Events before this moment.")
