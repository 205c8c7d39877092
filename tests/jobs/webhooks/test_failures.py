"""Receivers that fail, hang, redirect, are gone, or answer too much."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select

from db.models import (
    DeliveryState,
    Notification,
    NotificationKind,
    Webhook,
    WebhookStatus,
)
from domain.integrations import webhook_delivery as deliveries
from jobs.bulkheads import Bulkheads
from tests.jobs.webhooks.conftest import Scene
from tests.receivers import BIG, receiving


async def test_a_failing_receiver_is_tried_again_by_the_schedule(scene: Scene) -> None:
    webhook, _ = await scene.webhook("/500")
    await scene.task()
    await scene.workshop.all_done()
    for wait in deliveries.SCHEDULE:
        passed = await scene.until_next(webhook)
        assert wait <= passed <= wait * 1.2
    delivery = await scene.delivery(webhook)
    assert (delivery.state, delivery.attempt) == (DeliveryState.FAILED, 10)
    assert delivery.next_attempt_at is None
    assert delivery.error == "The receiver answered 500."
    assert len(set(scene.receiver.ids)) == 1
    assert len(scene.receiver.ids) == 10


async def test_a_receiver_that_recovers_gets_it(scene: Scene) -> None:
    webhook, _ = await scene.webhook()
    scene.receiver.status = 503
    await scene.task()
    await scene.workshop.all_done()
    assert (await scene.fresh(webhook)).failing_since is not None
    scene.receiver.status = None
    await scene.until_next(webhook)
    assert (await scene.delivery(webhook)).state is DeliveryState.DELIVERED
    assert (await scene.fresh(webhook)).failing_since is None


async def test_retry_after_makes_the_wait_longer(scene: Scene) -> None:
    webhook, _ = await scene.webhook("/429")
    scene.receiver.headers = {"Retry-After": "120"}
    await scene.task()
    await scene.workshop.all_done()
    assert await scene.until_next(webhook) == dt.timedelta(seconds=120)


async def test_a_receiver_that_hangs(scene: Scene) -> None:
    webhook, _ = await scene.webhook("/hang")
    await scene.task()
    await scene.workshop.all_done()
    delivery = await scene.delivery(webhook)
    assert delivery.state is DeliveryState.PENDING
    assert delivery.error == "There was no answer within 0.5 seconds."


async def test_redirects_are_not_followed(scene: Scene) -> None:
    webhook, _ = await scene.webhook("/redirect")
    await scene.task()
    await scene.workshop.all_done()
    assert [request.path for request in scene.receiver.requests] == ["/redirect"]
    delivery = await scene.delivery(webhook)
    assert delivery.error == "The receiver answered 302; redirects are not followed."


async def test_a_receiver_that_is_gone_is_told_nothing_more(scene: Scene) -> None:
    webhook, _ = await scene.webhook("/410")
    await scene.task()
    await scene.settle()
    await scene.task()
    await scene.settle()
    assert len(scene.receiver.requests) == 1
    disabled = await scene.fresh(webhook)
    assert disabled.status is WebhookStatus.DISABLED
    assert disabled.disabled_reason == "Its receiver answered 410 Gone."


async def test_a_filter_that_is_no_longer_understood_disables_its_webhook_alone(
    scene: Scene,
) -> None:
    webhook, _ = await scene.webhook()
    other, _ = await scene.webhook("/other")
    async with scene.house.database.session() as session, session.begin():
        kept = await session.get_one(Webhook, webhook.id)
        kept.filter = {"someday": {"eq": 1}}
    await scene.task()
    await scene.settle()
    disabled = await scene.fresh(webhook)
    assert disabled.status is WebhookStatus.DISABLED
    assert disabled.disabled_reason is not None
    assert disabled.disabled_reason.startswith("Its filter no longer fits the schema: ")
    assert await scene.delivered(other) == 1


async def test_of_a_huge_answer_the_beginning_is_read(scene: Scene) -> None:
    webhook, _ = await scene.webhook("/big")
    await scene.task()
    await scene.settle()
    delivery = await scene.delivery(webhook)
    assert delivery.state is DeliveryState.DELIVERED
    assert delivery.response_body is not None
    assert len(delivery.response_body) == 10_000 < BIG


async def test_nobody_answers_at_all(scene: Scene) -> None:
    async with receiving() as other:
        port = other.port
    scene.receiver.port = port
    webhook, _ = await scene.webhook()
    await scene.task()
    await scene.workshop.all_done()
    delivery = await scene.delivery(webhook)
    assert delivery.state is DeliveryState.PENDING
    assert delivery.error is not None
    assert delivery.error.startswith("No connection could be made")


async def test_after_120_hours_of_failure_it_is_disabled_and_its_owner_told(scene: Scene) -> None:
    webhook, _ = await scene.webhook("/500")
    await scene.task()
    await scene.workshop.all_done()
    scene.house.clock.forward(hours=119)
    await scene.workshop.run_due()
    assert (await scene.fresh(webhook)).status is WebhookStatus.ACTIVE
    scene.house.clock.forward(hours=2)
    await scene.workshop.run_due()
    disabled = await scene.fresh(webhook)
    assert disabled.status is WebhookStatus.DISABLED
    assert disabled.disabled_reason == "Every attempt failed for 120 hours."
    async with scene.house.database.session() as session:
        told = await session.scalar(
            select(Notification).where(
                Notification.recipient_id == scene.ada.id,
                Notification.kind == NotificationKind.WEBHOOK_DISABLED,
            )
        )
    assert told is not None
    assert told.message is not None
    assert f"127.0.0.1:{scene.receiver.port}" in told.message
    assert (await scene.delivery(webhook)).state is DeliveryState.SKIPPED


async def test_a_slow_receiver_leaves_room_for_others() -> None:
    time = 0.0
    bulkheads = Bulkheads(9, each=2, clock=lambda: time)
    slow, quick = ("webhook", "slow"), ("webhook", "quick")
    assert [bulkheads.enter(slow) for _ in range(2)] == [None, None]
    assert bulkheads.enter(quick) is None
    waits = [bulkheads.enter(slow) for _ in range(3)]
    assert all(wait is not None for wait in waits)
    assert waits == sorted(waits, key=lambda wait: wait or 0)
    bulkheads.leave(slow, 4.0)
    assert bulkheads.enter(slow) is None
    # Of one kind at most half of all places are taken, and two are left by all kinds together.
    assert bulkheads.enter(("webhook", "third")) is None
    assert bulkheads.enter(("webhook", "fourth")) is not None
    entered = [bulkheads.enter(("push", str(number))) for number in range(4)]
    assert entered[:3] == [None, None, None]
    assert entered[3] is not None
    # Mails of accounts have places beside these, and take none of them.
    account = ("account mail", "smtp")
    assert [bulkheads.enter(account, apart=True) for _ in range(2)] == [None, None]
    bulkheads.leave(("push", "0"), 0.1)
    assert bulkheads.enter(("push", "0")) is None


async def test_a_circuit_opens_on_what_hangs_and_closes_when_it_answers() -> None:
    time = 0.0
    bulkheads = Bulkheads(10, clock=lambda: time)
    key = ("webhook", "one")

    def ask(seconds: float) -> float | None:
        nonlocal time
        wait = bulkheads.enter(key)
        if wait is None:
            time += seconds
            bulkheads.leave(key, seconds)
        return wait

    assert [ask(14) for _ in range(3)] == [None] * 3
    assert bulkheads.open_circuits() == {"webhook": 1}
    assert ask(14) is not None
    time += 31
    # One tries; as long as it runs no other one does, and when it hangs the break is longer.
    assert bulkheads.enter(key) is None
    assert bulkheads.enter(key) is not None
    time += 14
    bulkheads.leave(key, 14)
    time += 31
    assert ask(14) is not None
    time += 30
    assert ask(0.1) is None
    assert bulkheads.open_circuits() == {}
    assert [ask(0.1) for _ in range(3)] == [None] * 3
