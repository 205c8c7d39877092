"""Secrets: rotation with and without overlap, and how they are kept."""

from __future__ import annotations

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from domain.integrations import webhook as webhooks
from tests.jobs.webhooks.conftest import Scene


async def test_while_a_secret_is_rotated_both_verify(scene: Scene) -> None:
    webhook, old = await scene.webhook()
    _, new = await scene.house.do(
        scene.ada.viewer, webhooks.rotate_secret, scene.encryption, webhook.id, 24 * 3_600
    )
    await scene.task()
    await scene.settle()
    scene.verify(scene.receiver.requests[-1], old, new)
    scene.house.clock.forward(hours=25)
    await scene.task()
    await scene.settle()
    late = scene.receiver.requests[-1]
    assert len(late.headers["webhook-signature"].split(" ")) == 1
    # The library compares with its own clock.
    late.headers["webhook-timestamp"] = scene.receiver.requests[0].headers["webhook-timestamp"]
    with pytest.raises(WebhookVerificationError):
        Verifier(old).verify(late.body, late.headers)


async def test_each_rotation_gives_the_time_that_it_promised(scene: Scene) -> None:
    webhook, first = await scene.webhook()

    async def rotate(hours: int) -> str:
        _, secret = await scene.house.do(
            scene.ada.viewer, webhooks.rotate_secret, scene.encryption, webhook.id, hours * 3_600
        )
        return secret

    second = await rotate(48)
    third = await rotate(1)
    await scene.task()
    await scene.settle()
    scene.verify(scene.receiver.requests[-1], first, second, third)
    scene.house.clock.forward(hours=2)
    await scene.task()
    await scene.settle()
    late = scene.receiver.requests[-1]
    assert len(late.headers["webhook-signature"].split(" ")) == 2
    await rotate(0)
    await scene.task()
    await scene.settle()
    assert len(scene.receiver.requests[-1].headers["webhook-signature"].split(" ")) == 1


async def test_without_overlap_the_old_secret_ends_at_once(scene: Scene) -> None:
    webhook, old = await scene.webhook()
    _, new = await scene.house.do(
        scene.ada.viewer, webhooks.rotate_secret, scene.encryption, webhook.id, 0
    )
    await scene.task()
    await scene.settle()
    scene.verify(scene.receiver.requests[-1], new)
    with pytest.raises(WebhookVerificationError):
        scene.verify(scene.receiver.requests[-1], old)


async def test_the_database_does_not_tell_a_secret(scene: Scene) -> None:
    webhook, secret = await scene.webhook()
    stored = (await scene.fresh(webhook)).secret
    assert secret.encode() not in stored
    assert scene.encryption.decrypt(stored) == secret.encode()
