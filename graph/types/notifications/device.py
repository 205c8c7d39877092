"""Devices for push messages in the schema."""

from __future__ import annotations

import datetime as dt

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
from graph.kit import ordering, paging
from graph.kit.mutation import Payload, Refs, mutation, payload, ref, value
from graph.kit.ordering import Key, OrderBy


@node_type(models.Device, "An app on a device of yours that push messages go to.")
class Device(Node):
    """See `db.models.Device`. The token is not shown again."""

    id: strawberry.ID = node_id(models.Device)
    platform: Platform = column(models.Device.platform, "What it runs.", convert=Platform)
    name: str | None = column(models.Device.name, "What the app calls it.")
    created_at: dt.datetime = column(models.Device.created_at, "When it was first registered.")
    seen_at: dt.datetime = column(models.Device.seen_at, "When it was last registered.")


@paging.connection_type("A page of devices.", edge="A device in a list.")
class DeviceConnection:
    """Relay connection."""

    node: Device


@ordering.order_input("One step of an ordering of devices; give exactly one field.")
class DeviceOrder:
    """Orderings of devices."""

    created_at: OrderBy | None = ordering.by(
        models.Device.created_at, "By the time of the first registration."
    )


@strawberry.type
class DeviceQuery:
    """Root fields."""

    devices: DeviceConnection = paging.connection(
        models.Device,
        "Your devices that push messages go to, the newest first unless ordered otherwise.",
        order_type=DeviceOrder,
        default_order=(Key(ordering.source(models.Device.created_at), descending=True),),
    )


@strawberry.input(description="The keys of a browser's subscription, as `toJSON()` gives them.")
class WebPushKeysInput:
    """A part of `DeviceRegisterInput`."""

    p256dh: str = required("The browser's public key: an uncompressed point of P-256, base64url.")
    auth: str = required("Its secret: 16 bytes, base64url.")


@strawberry.input(
    description="A device that push messages shall go to: an app by its token, or a browser by the "
    "endpoint and the keys of its `PushSubscription`, made with `serverInfo { webPushKey }`."
)
class DeviceRegisterInput(MutationInput):
    """Input of `deviceRegister`."""

    token: str | None = optional("The app's registration token of Firebase Cloud Messaging.")
    endpoint: str | None = optional("Of a browser: where its push service takes messages for it.")
    keys: WebPushKeysInput | None = optional("Of a browser: its keys; given with `endpoint`.")
    platform: Platform = required("What the device runs.")
    name: str | None = optional("What to call it; up to 100 characters.")


@strawberry.input(description="A device that gets no more push messages; by id or by token.")
class DeviceUnregisterInput(MutationInput):
    """Input of `deviceUnregister`."""

    id: strawberry.ID | None = optional("The device.")
    token: str | None = optional(
        "Its token, or a browser's endpoint, for an app that did not keep the id."
    )


@payload("The answer of `deviceRegister`.")
class DeviceRegisterPayload(Payload):
    """The device."""

    device: Device | None = ref(models.Device, "The device; null if nothing was done.")


@payload("The answer of `deviceUnregister`.")
class DeviceUnregisterPayload(Payload):
    """A forgotten device cannot be read any more."""

    deleted_id: strawberry.ID | None = value("deleted_id", "The id that the device had.")


async def _register(context: Context, work: Work, data: DeviceRegisterInput) -> Refs:
    token, endpoint, keys = given(data.token), given(data.endpoint), given(data.keys)
    if (token is None) == (endpoint is None):
        raise BadInput("Give token or endpoint, one of them.", path=("token",))
    if (endpoint is None) != (keys is None):
        refuse(BadInput("endpoint and keys are given together.", path=("keys",)))
    if endpoint is not None and data.platform is not Platform.WEB:
        refuse(BadInput("A browser's endpoint goes with the platform WEB.", path=("platform",)))
    if endpoint is not None:
        settings = context.services.settings
        plain = not settings.server.production
        check_new(endpoint, settings.webhooks.allowed_networks, plain=plain, path=("endpoint",))
    web = None if keys is None else domain.WebKeys(keys.p256dh, keys.auth)
    id_ = await domain.register(work, endpoint or token or "", data.platform, given(data.name), web)
    return {"device": id_}


async def _unregister(work: Work, data: DeviceUnregisterInput) -> Refs:
    id_, token = given(data.id), given(data.token)
    if (id_ is None) == (token is None):
        raise BadInput("Give id or token, one of them.", path=("id",))
    gone = await domain.unregister(
        work, None if id_ is None else ids.decode(models.Device, id_, ("id",)), token
    )
    return {"deleted_id": ids.encode(models.Device, gone)}


@strawberry.type
class DeviceMutation:
    """Root fields."""

    device_register: DeviceRegisterPayload = mutation(
        _register,
        DeviceRegisterInput,
        "Have push messages sent to this device. Call it at each start of the app: a token that "
        "is known already is yours from now on.",
        in_context=True,
    )
    device_unregister: DeviceUnregisterPayload = mutation(
        _unregister, DeviceUnregisterInput, "Send no more push messages to a device of yours."
    )
