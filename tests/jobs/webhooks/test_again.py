"""Deliveries that are sent again: singly, as a test, by a range of time."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import update

from db.models import (
    DeliveryState,
    Job,
    JobState,
    WebhookStatus,
)
from domain.integrations import webhook as webhooks
from events.kinds import EventKind
from jobs import periodic
from tests.jobs.webhooks.conftest import Scene


async def test_a_delivery_is_sent_again_successful_or_not(scene: Scene) -> None:
    webhook, _ = await scene.webhook()
    await scene.task()
    await scene.settle()
    delivery = await scene.delivery(webhook)
    await scene.house.do(scene.ada.viewer, webhooks.retry, delivery.id)
    await scene.settle()
    assert len(scene.receiver.ids) == 2
    assert len(set(scene.receiver.ids)) == 1
    assert (await scene.delivery(webhook)).attempt == 2


async def test_a_test_is_sent_once_even_to_a_disabled_webhook(scene: Scene) -> None:
    webhook, _ = await scene.webhook("/500", events=[EventKind.TASK_DELETED])
    await scene.house.do(
        scene.ada.viewer,
        webhooks.change,
        scene.receivers,
        webhook.id,
        {"status": WebhookStatus.DISABLED},
        None,
    )
    await scene.house.do(scene.ada.viewer, webhooks.test, webhook.id)
    await scene.settle()
    (request,) = scene.receiver.requests
    assert request.json["kind"] == "WEBHOOK_TESTED"
    delivery = await scene.delivery(webhook)
    assert (delivery.state, delivery.is_test) == (DeliveryState.FAILED, True)
    assert (await scene.fresh(webhook)).failing_since is None


async def test_a_replay_sends_a_time_again_with_what_was_missed(scene: Scene) -> None:
    missed = await scene.task("Before there was a webhook")
    await scene.workshop.catch_up()
    webhook, _ = await scene.webhook(events=[EventKind.TASK_CREATED])
    sent = await scene.task("Sent")
    await scene.settle()
    assert len(scene.receiver.requests) == 1
    start, end = missed.created_at, sent.created_at + dt.timedelta(seconds=1)
    scene.house.clock.forward(minutes=1)
    later = await scene.task("Later")
    await scene.settle()
    scene.receiver.requests.clear()
    await scene.house.do(scene.ada.viewer, webhooks.replay, webhook.id, start, end)
    await scene.settle()
    titles = [one.json["task"]["title"] for one in scene.receiver.requests]
    assert sorted(titles) == [missed.title, sent.title]
    assert later.title not in titles


async def test_a_replay_that_is_run_again_repeats_nothing(scene: Scene) -> None:
    webhook, _ = await scene.webhook(events=[EventKind.TASK_CREATED])
    task = await scene.task()
    await scene.settle()
    await scene.house.do(
        scene.ada.viewer, webhooks.replay, webhook.id, task.created_at, scene.house.clock()
    )
    await scene.settle()
    async with scene.house.work() as work:
        # As if its worker had been killed after it was done, and before that was noted.
        again = {"state": JobState.WAITING, "due_at": scene.house.clock()}
        jobs = update(Job).where(Job.name == webhooks.REPLAY_JOB)
        await work.session.execute(jobs.values(**again))
    await scene.settle()
    assert len(scene.receiver.requests) == 2


async def test_deliveries_are_kept_for_thirty_days(scene: Scene) -> None:
    webhook, _ = await scene.webhook()
    await scene.task()
    await scene.settle()
    scene.house.clock.forward(days=29)
    await periodic.run_once(scene.house.transactions, scene.house.settings, clock=scene.house.clock)
    assert len(await scene.deliveries(webhook)) == 1
    scene.house.clock.forward(days=2)
    await periodic.run_once(scene.house.transactions, scene.house.settings, clock=scene.house.clock)
    assert await scene.deliveries(webhook) == []
