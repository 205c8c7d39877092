"""Devices for push messages in the schema."""

from __future__ import annotations

import datetime as dt
from typing import Any

import strawberry

from db import models
from domain.integrations.addresses import check_new
from domain.notifications import device as domain
from domain.work import Work
from errors import BadInput, refuse
from graph.core import ids
from graph.core.context import Context
from graph.core.enums import Platform
from graph.core.fields import column
from graph.core.inputs import MutationInput, given, optional, required
from graph.core.node import Node, node_id, node_type
from graph.kit import filtering, ordering, paging
from graph.kit.comparators import (
    DateTimeFilter,
    DevicePlatformFilter,
    IDFilter,
    StringFilter,
)
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref, value
from graph.kit.ordering import Key


@node_type(models.Device, "One of your devices that receives push messages.")
class Device(Node):
    """See `db.models.Device`. The token is not shown again."""

    id: strawberry.ID = node_id(models.Device)
    platform: Platform = column("The platform of the device.", convert=Platform)
    name: str = column("The name the app gave the device; its platform if it gave none.")
    created_at: dt.datetime = column("When the device was first registered.")
    last_registered_at: dt.datetime = column(
        models.Device.seen_at, "When the device was last registered."
    )


@paging.connection_type("A page of devices.", edge="A device in a list, with its cursor.")
class DeviceConnection:
    node: Device


@filtering.filter_input("Filter for your devices.")
class DeviceFilter:
    id: IDFilter | None = filtering.by_id(models.Device.id, models.Device, "The device's ID.")
    platform: DevicePlatformFilter | None = filtering.by(
        models.Device.platform, "The platform of the device."
    )
    name: StringFilter | None = filtering.by_name(
        models.Device.name, "The name the app gave the device.", order="name"
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.Device.created_at,
        "When the device was first registered.",
        order="first registration",
    )
    last_registered_at: DateTimeFilter | None = filtering.by(
        models.Device.seen_at,
        "When the device was last registered.",
        order="last registration",
    )


@ordering.order_input("Sort key for devices. Provide exactly one field.", of=DeviceFilter)
class DeviceOrder: ...


def devices() -> Any:
    """The field `Viewer.devices`."""
    return paging.connection(
        models.Device,
        "Your devices that receive push messages, newest first by default.",
        filter_type=DeviceFilter,
        order_type=DeviceOrder,
        default_order=(Key(ordering.source(models.Device.created_at), descending=True),),
    )


@strawberry.input(
    description="The keys of a browser's push subscription, as returned by its `toJSON()`."
)
class WebPushKeysInput:
    """Part of `DeviceCreateInput`."""

    p256dh: str = required("The browser's public key: an uncompressed P-256 point in base64url.")
    auth: str = required("The browser's authentication secret: 16 bytes in base64url.")


@strawberry.input(
    description=(
        "Input for `deviceCreate`. Register an app by its token, or a browser by the endpoint "
        "and keys of its `PushSubscription`, which it creates with `serverInfo { webPushKey }`."
    )
)
class DeviceCreateInput(MutationInput):
    token: str | None = optional("The app's registration token from Firebase Cloud Messaging.")
    endpoint: str | None = optional("For a browser: the endpoint URL of its push subscription.")
    keys: WebPushKeysInput | None = optional(
        "For a browser: the keys of its push subscription. Required with `endpoint`."
    )
    platform: Platform = required("The platform of the device.")
    name: str | None = optional(
        "A name for the device, up to 100 characters. Its platform by default."
    )


@strawberry.input(description="Input for `deviceDelete`. Provide exactly one of `id` and `token`.")
class DeviceDeleteInput(MutationInput):
    id: strawberry.ID | None = optional("The device to unregister.")
    token: str | None = optional(
        "The app's token or the browser's endpoint, for apps that did not store the ID."
    )


@payload("Payload of `deviceCreate`.")
class DeviceCreatePayload(MutationPayload):
    device: Device | None = ref(models.Device, "The device; null if it was not registered.")


@payload("Payload of `deviceDelete`.")
class DeviceDeletePayload(MutationPayload):
    """A device that was unregistered cannot be read."""

    deleted_id: strawberry.ID | None = value(
        "deleted_id", "The ID of the device that was unregistered."
    )


async def _register(context: Context, work: Work, data: DeviceCreateInput) -> Refs:
    token, endpoint, keys = given(data.token), given(data.endpoint), given(data.keys)
    if (token is None) == (endpoint is None):
        raise BadInput("Provide exactly one of token and endpoint.", path=("token",))
    if (endpoint is None) != (keys is None):
        refuse(BadInput("Provide endpoint and keys together.", path=("keys",)))
    if endpoint is not None and data.platform is not Platform.WEB:
        refuse(BadInput("With endpoint, platform must be WEB.", path=("platform",)))
    if endpoint is not None:
        settings = context.services.settings
        plain = not settings.server.production
        check_new(endpoint, settings.webhooks.allowed_networks, plain=plain, path=("endpoint",))
    web = None if keys is None else domain.WebKeys(keys.p256dh, keys.auth)
    id_ = await domain.register(work, endpoint or token or "", data.platform, given(data.name), web)
    return {"device": id_}


async def _unregister(work: Work, data: DeviceDeleteInput) -> Refs:
    id_, token = given(data.id), given(data.token)
    if (id_ is None) == (token is None):
        raise BadInput("Provide exactly one of id and token.", path=("id",))
    gone = await domain.unregister(
        work, None if id_ is None else ids.decode(models.Device, id_, ("id",)), token
    )
    return {"deleted_id": ids.encode(models.Device, gone)}


@strawberry.type
class DeviceMutation:
    device_create: DeviceCreatePayload = mutation(
        _register,
        DeviceCreateInput,
        "Registers this device for push messages. Call it at each start of the app: a token "
        "that is already registered, even by another user, becomes yours.",
        in_context=True,
    )
    device_delete: DeviceDeletePayload = mutation(
        _unregister,
        DeviceDeleteInput,
        "Unregisters one of your devices; it no longer receives push messages.",
    )
