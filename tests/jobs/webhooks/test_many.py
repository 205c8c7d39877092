"""Webhooks with more deliveries than one transaction should change."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from auth import access
from db.models import DeliveryState, WebhookAttempt, WebhookDelivery, WebhookStatus
from domain.integrations import webhook as webhooks
from domain.integrations import webhook_delivery
from tests.jobs.webhooks.conftest import Scene


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_delivery, "LIMIT", 2)


async def readable(scene: Scene) -> int:
    """How many deliveries their owner can read."""
    seen = access.read(scene.ada.viewer, WebhookDelivery)
    async with scene.house.database.session() as session:
        return await session.scalar(select(func.count()).where(seen)) or 0


async def test_deliveries_of_a_deleted_webhook_are_hidden_and_then_deleted(scene: Scene) -> None:
    webhook, _ = await scene.webhook()
    for number in range(5):
        await scene.task(f"Task {number}")
    await scene.settle()
    kept, _ = await scene.webhook("/other")
    await scene.task("Another")
    await scene.settle()
    assert len(await scene.attempts(webhook)) == 6
    await scene.house.do(scene.ada.viewer, webhooks.delete, webhook.id)
    # The deletion takes as long as for a webhook without deliveries.
    assert len(await scene.deliveries(webhook)) == 6
    assert await readable(scene) == 1
    await scene.settle()
    assert await scene.deliveries(webhook) == []
    assert len(await scene.deliveries(kept)) == 1
    async with scene.house.database.session() as session:
        assert await session.scalar(select(func.count()).select_from(WebhookAttempt)) == 1


async def test_what_a_disabled_webhook_has_not_sent_is_skipped(scene: Scene) -> None:
    webhook, _ = await scene.webhook()
    for number in range(5):
        await scene.task(f"Task {number}")
    await scene.workshop.catch_up()
    off = {"status": WebhookStatus.DISABLED}
    await scene.house.do(scene.ada.viewer, webhooks.change, scene.receivers, webhook.id, off, None)
    await scene.settle()
    assert {one.state for one in await scene.deliveries(webhook)} == {DeliveryState.SKIPPED}
    assert scene.receiver.requests == []


async def test_what_is_created_later_is_not_skipped(scene: Scene) -> None:
    """The job may run after the webhook was enabled again."""
    webhook, _ = await scene.webhook()
    for number in range(5):
        await scene.task(f"Task {number}")
    await scene.workshop.catch_up()
    for status in (WebhookStatus.DISABLED, WebhookStatus.ACTIVE):
        scene.house.clock.forward(seconds=1)
        change = {"status": status}
        await scene.house.do(
            scene.ada.viewer, webhooks.change, scene.receivers, webhook.id, change, None
        )
    await scene.task("Later")
    await scene.workshop.catch_up()
    await scene.settle()
    assert (await scene.deliveries(webhook))[-1].state is DeliveryState.DELIVERED
