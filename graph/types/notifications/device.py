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
from graph.core.scalars import URL
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
    description="A browser's push subscription, which it creates with `serverInfo { webPushKey }`."
)
class WebPushInput:
    """Part of `DeviceTargetInput`."""

    endpoint: URL = required("The `endpoint` of the browser's `PushSubscription`.")
    keys: WebPushKeysInput = required("The `keys` of the browser's `PushSubscription`.")


@strawberry.input(
    one_of=True, description="Where push messages are sent. Provide exactly one field."
)
class DeviceTargetInput:
    """Part of `DeviceCreateInput`."""

    token: str | None = optional("An app's registration token from Firebase Cloud Messaging.")
    web_push: WebPushInput | None = optional("A browser's push subscription.")


@strawberry.input(description="Input for `deviceCreate`.")
class DeviceCreateInput(MutationInput):
    platform: Platform = required("The platform of the device.")
    target: DeviceTargetInput = required("Where push messages to the device are sent.")
    name: str | None = optional(
        "A name for the device, up to 100 characters. Its platform by default."
    )


@strawberry.input(one_of=True, description="Names a device. Provide exactly one field.")
class DeviceRefInput:
    """Part of `DeviceDeleteInput`."""

    id: strawberry.ID | None = optional("The device's ID.")
    token: str | None = optional(
        "The app's token or the browser's endpoint, for apps that did not store the ID."
    )


@strawberry.input(description="Input for `deviceDelete`.")
class DeviceDeleteInput(MutationInput):
    device: DeviceRefInput = required("The device to unregister.")


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
    token, push = given(data.target.token), given(data.target.web_push)
    web = None
    if push is not None:
        if data.platform is not Platform.WEB:
            refuse(BadInput("With target.webPush, platform must be WEB.", path=("platform",)))
        settings = context.services.settings
        networks, plain = settings.webhooks.allowed_networks, not settings.server.production
        check_new(push.endpoint, networks, plain=plain, path=("target", "web_push", "endpoint"))
        token, web = push.endpoint, domain.WebKeys(push.keys.p256dh, push.keys.auth)
    id_ = await domain.register(work, token, data.platform, given(data.name), web)
    return {"device": id_}


async def _unregister(work: Work, data: DeviceDeleteInput) -> Refs:
    id_, token = given(data.device.id), given(data.device.token)
    gone = await domain.unregister(
        work, None if id_ is None else ids.decode(models.Device, id_, ("device", "id")), token
    )
    return {"deleted_id": ids.encode(models.Device, gone)}


@strawberry.type
class DeviceMutation:
    device_create: DeviceCreatePayload = mutation(
        _register,
        DeviceCreateInput,
        "Registers this device for push messages, until your session is revoked. Call it at each "
        "start of the app: a token that is already registered, even by another user, becomes "
        "yours.",
        in_context=True,
    )
    device_delete: DeviceDeletePayload = mutation(
        _unregister,
        DeviceDeleteInput,
        "Unregisters one of your devices; it no longer receives push messages.",
    )
