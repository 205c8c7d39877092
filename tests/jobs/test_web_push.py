"""Push messages to a browser, over a push service of our own that decrypts what it gets.

Signatures are verified by PyJWT, and messages decrypted by RFC 8291 as it is written, with nothing
of the library that encrypts them.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from db.models import Platform
from domain.notifications import device as devices
from domain.notifications import web_push
from domain.notifications.device import WebKeys
from jobs.push.services import make_push
from settings import Settings
from tests.accounts import House, Person
from tests.factories import Reply, World
from tests.jobs.conftest import Workshop
from tests.jobs.services import Call, Service, service
from tests.jobs.test_notifications import Scene
from tests.jobs.test_push import tokens

SIGNING = web_push.new_signing_key()


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Browser:
    """What a browser keeps of its subscription, and how it reads a message."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.secret = os.urandom(16)
        self.public = self.key.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )

    @property
    def keys(self) -> WebKeys:
        return WebKeys(text(self.public), text(self.secret))

    def read(self, body: bytes) -> Any:
        """RFC 8291, section 3, with the one record of RFC 8188."""
        salt, length = body[:16], body[20]
        sender = body[21 : 21 + length]
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        shared = self.key.exchange(ec.ECDH(), point)

        def derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
            return HKDF(hashes.SHA256(), length, salt, info).derive(secret)

        info = b"WebPush: info\x00" + self.public + sender
        secret = derived(shared, self.secret, info, 32)
        key = derived(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
        nonce = derived(secret, salt, b"Content-Encoding: nonce\x00", 12)
        plain = AESGCM(key).decrypt(nonce, body[21 + length :], None)
        return json.loads(plain.rstrip(b"\x00").removesuffix(b"\x02"))


@dataclass
class PushService(Service):
    """Takes messages below `/push/`. `statuses`: what it answers for some of its subscriptions."""

    statuses: dict[str, int] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)

    def answer(self, call: Call) -> tuple[int, dict[str, str], Any]:
        return self.statuses.get(call.path, 201), {}, None


@pytest.fixture
async def pushes(settings: Settings, workshop: Workshop) -> AsyncIterator[PushService]:
    async with service(PushService()) as made:
        assert isinstance(made, PushService)
        push = settings.push.model_copy(update={"vapid_private_key": SecretStr(SIGNING)})
        networks = (IPv4Network("127.0.0.0/8"),)
        webhooks = settings.webhooks.model_copy(update={"allowed_networks": networks})
        changed = settings.model_copy(update={"push": push, "webhooks": webhooks})
        workshop.context.push = make_push(changed, workshop.house.clock)
        with contextlib.closing(workshop.context):
            yield made


@pytest.fixture
async def scene(house: House, workshop: Workshop, pushes: PushService) -> Scene:
    return await Scene(house, workshop).set()


async def subscribe(scene: Scene, person: Person, endpoint: str) -> Browser:
    browser = Browser()
    await scene.house.do(
        person.viewer, devices.register, endpoint, Platform.WEB, None, browser.keys
    )
    return browser


async def test_a_browser_can_read_what_it_is_sent(scene: Scene, pushes: PushService) -> None:
    browser = await subscribe(scene, scene.ben, f"{pushes.url}/push/one")
    task = await scene.task(scene.ada, "Dig", assignee_id=scene.ben.id)
    await scene.workshop.all_done()
    (call,) = pushes.calls
    assert call.headers["content-encoding"] == "aes128gcm"
    assert int(call.headers["ttl"]) > 0
    assert len(call.headers["topic"]) <= 32
    message = browser.read(call.body)
    assert message["title"].endswith("assigned “Dig” to you.")
    assert message["data"]["taskId"] == f"task_{task.id.hex}"
    kind, _, values = call.headers["authorization"].partition(" ")
    assert kind == "vapid"
    parts = dict(value.strip().split("=", 1) for value in values.split(","))
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw(parts["k"]))
    claims = jwt.decode(
        parts["t"],
        public,
        algorithms=["ES256"],
        audience=pushes.url,
        # The clock of the tests runs ahead.
        options={"verify_exp": False},
    )
    assert claims["sub"].startswith("mailto:")
    assert claims["exp"] <= scene.house.clock().timestamp() + 24 * 3600


async def test_what_is_encrypted_fits_as_well(scene: Scene, pushes: PushService) -> None:
    browser = await subscribe(scene, scene.ben, f"{pushes.url}/push/long")
    task = await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.comment(scene.cem, task, "\U0001f469\u200d\U0001f467" * 3_000)
    await scene.workshop.all_done()
    # The assignment is sent as well, before or after.
    call = max(pushes.calls, key=lambda one: len(one.body))
    assert 4_000 < len(call.body) <= 4_096
    assert browser.read(call.body)["body"].endswith("\U0001f469\u200d\U0001f467…")


@pytest.mark.parametrize("status", [404, 410, 403, 500])
async def test_one_that_is_gone_is_forgotten_and_no_other_hears_twice(
    scene: Scene, pushes: PushService, status: int
) -> None:
    pushes.statuses["/push/bad"] = status
    for name in ("good", "bad"):
        await subscribe(scene, scene.ben, f"{pushes.url}/push/{name}")
    await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.workshop.all_done()
    for _ in range(8):
        scene.house.clock.forward(hours=4)
        await scene.workshop.run_due()
    assert [call.path for call in pushes.calls].count("/push/good") == 1
    left = await tokens(scene, scene.ben)
    assert (f"{pushes.url}/push/bad" in left) == (status in {403, 500})


REGISTER = """
mutation ($input: DeviceCreateInput!) {
  deviceCreate(input: $input) { device { platform } errors { code path message } }
}
"""


async def test_what_a_browser_gives_is_checked(world: World) -> None:
    ada = await world.person()
    browser = Browser()
    right: dict[str, Any] = {
        "endpoint": "https://push.example/abc",
        "keys": {"p256dh": browser.keys.p256dh, "auth": browser.keys.auth},
    }

    async def registered(platform: str = "WEB", **target: Any) -> Reply:
        return await world.post(REGISTER, ada, input={"platform": platform, "target": target})

    at = ["input", "target", "webPush"]
    wrong: list[tuple[dict[str, Any], list[str]]] = [
        ({"endpoint": "https://127.0.0.2/x"}, [*at, "endpoint"]),
        ({"keys": {**right["keys"], "auth": "c2hvcnQ"}}, [*at, "keys", "auth"]),
        ({"keys": {**right["keys"], "p256dh": "ü"}}, [*at, "keys", "p256dh"]),
    ]
    for change, path in wrong:
        reply = await registered(webPush={**right, **change})
        errors = reply.data["deviceCreate"]["errors"]
        assert [error["path"] for error in errors] == [path], change
    errors = (await registered("IOS", webPush=right)).data["deviceCreate"]["errors"]
    assert [error["path"] for error in errors] == [["input", "platform"]]
    # Neither both ways nor none, and a subscription is whole.
    for target in (
        {},
        {"token": "abc", "webPush": right},
        {"webPush": {**right, "keys": None}},
        {"webPush": {**right, "endpoint": "ftp://push.example"}},
    ):
        assert (await registered(**target)).codes == ["BAD_USER_INPUT"], target
    reply = await registered(webPush=right)
    assert reply.good["deviceCreate"]["device"] == {"platform": "WEB"}


async def test_the_key_for_browsers_is_readable(world: World) -> None:
    reply = await world.post("{ serverInfo { webPushKey } }", None)
    assert reply.good["serverInfo"] == {"webPushKey": None}


def test_the_public_key_belongs_to_the_private_one(settings: Settings) -> None:
    push = settings.push.model_copy(update={"vapid_private_key": SecretStr(SIGNING)})
    public = web_push.public_key(push)
    assert public is not None
    number = int.from_bytes(raw(SIGNING), "big")
    expected = ec.derive_private_key(number, ec.SECP256R1()).public_key()
    assert raw(public) == expected.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
