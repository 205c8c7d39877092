"""Deliveries that are sent again: singly, as a test, by a range of time."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import update

from db.models import (
    DeliveryState,
    Job,
    JobState,
    WebhookDelivery,
    WebhookStatus,
)
from domain.integrations import webhook as webhooks
from domain.integrations import webhook_delivery
from domain.tasks import task as tasks
from domain.tasks.task import NewTask
from jobs import periodic
from tests.factories import gid
from tests.graph_api import Api
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
    webhook, _ = await scene.webhook("/500", filter={"kind": {"eq": "TASK_DELETED"}})
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
    webhook, _ = await scene.webhook(filter={"kind": {"eq": "TASK_CREATED"}})
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
    webhook, _ = await scene.webhook(filter={"kind": {"eq": "TASK_CREATED"}})
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


async def test_a_replay_of_failures_sends_what_failed_and_nothing_else(scene: Scene) -> None:
    webhook, _ = await scene.webhook("/500", filter={"kind": {"eq": "TASK_CREATED"}})
    failed, before = await scene.task("Failed"), await scene.task("Before")
    await scene.settle()
    while due := [one.next_attempt_at for one in await scene.deliveries(webhook)]:
        if None in due:
            break
        scene.house.clock.now = max(at for at in due if at is not None)
        await scene.settle()
    up = {"url": scene.receiver.url("/hook")}
    act, who = scene.house.do, scene.ada.viewer
    await act(who, webhooks.change, scene.receivers, webhook.id, up, None)
    # A test that failed is no event of the period.
    down, _ = await scene.webhook("/500")
    await act(who, webhooks.test, down.id)
    sent = await scene.task("Sent")
    await scene.settle()
    assert [one.state.name for one in await scene.deliveries(webhook)] == [
        "FAILED",
        "FAILED",
        "DELIVERED",
    ]
    scene.receiver.requests.clear()
    end = sent.created_at + dt.timedelta(seconds=1)
    async with scene.house.work() as work:
        period = (webhook.id, failed.created_at, end)
        assert await webhook_delivery.count_failed(work, *period) == 2
        later = (webhook.id, before.created_at, end)
        assert await webhook_delivery.count_failed(work, *later) == 1
    start = failed.created_at
    await act(who, webhooks.replay, webhook.id, start, end, only_failed=True)
    await scene.settle()
    titles = [one.json["task"]["title"] for one in scene.receiver.requests]
    assert sorted(titles) == ["Before", "Failed"]
    assert await scene.delivered(webhook) == 3
    async with scene.house.work() as work:
        assert await webhook_delivery.count_failed(work, *period) == 0


@pytest.mark.parametrize(
    "wanted",
    [
        None,
        {"kind": {"in": ["TASK_CREATED", "TASK_COMPLETED"]}},
        {"task": {"title": {"contains": "Roses"}}},
        {"not": {"actor": {"isMe": True}}},
        {"project": {"isNull": True}},
        {"not": {"kind": {"eq": "TASK_CREATED"}}},
        {"project": {"name": {"eq": "Garden"}}, "subjectType": ["TASK"]},
    ],
)
async def test_a_replay_says_how_many_events_it_sends(scene: Scene, wanted: Any) -> None:
    """By an oracle of its own: the deliveries that the worker makes, event by event."""
    start = scene.house.clock()
    for person, title in ((scene.ada, "Roses"), (scene.ben, "Roses too"), (scene.ben, "Tulips")):
        task = await scene.task(title, person)
        await scene.house.do(
            person.viewer, tasks.update_task, task.id, {"title": f"{title}."}, None
        )
    # Ada's alone, and Ben's alone, which Ada's webhook does not get.
    for person in (scene.ada, scene.ben):
        await scene.house.do(person.viewer, tasks.create, NewTask("Roses at home"))
    scene.house.clock.forward(seconds=1)
    end = scene.house.clock()
    await scene.task("Roses, too late")
    await scene.settle()
    webhook, _ = await scene.webhook(filter=wanted)
    period = {"after": start.isoformat(), "before": end.isoformat()}
    document = """mutation ($i: WebhookReplayInput!) {
      webhookReplay(input: $i) { eventCount webhook { id } errors { code } }
    }"""
    reply = await Api(scene.house)(document, scene.ada, i={"id": gid(webhook), **period})
    count = reply.of("webhookReplay")["eventCount"]
    await scene.settle()
    assert len(await scene.deliveries(webhook)) == count > 0


async def test_failures_that_fail_again_are_not_repeated_for_ever(scene: Scene) -> None:
    """Nor is anything sent twice if the worker of the replay is killed before that is noted."""
    webhook, _ = await scene.webhook("/410", filter={"kind": {"eq": "TASK_CREATED"}})
    task = await scene.task()
    await scene.settle()
    on = {"status": WebhookStatus.ACTIVE, "url": scene.receiver.url("/500")}
    act, who = scene.house.do, scene.ada.viewer
    await act(who, webhooks.change, scene.receivers, webhook.id, on, None)
    end = scene.house.clock()
    await act(who, webhooks.replay, webhook.id, task.created_at, end, only_failed=True)
    await scene.settle()
    async with scene.house.work() as work:
        failed = update(WebhookDelivery).values(state=DeliveryState.FAILED, next_attempt_at=None)
        await work.session.execute(failed.where(WebhookDelivery.webhook_id == webhook.id))
        again = {"state": JobState.WAITING, "due_at": scene.house.clock()}
        jobs = update(Job).where(Job.name == webhooks.REPLAY_JOB)
        await work.session.execute(jobs.values(**again))
    scene.receiver.requests.clear()
    await scene.settle()
    assert scene.receiver.requests == []
    assert (await scene.delivery(webhook)).state is DeliveryState.FAILED


async def test_every_attempt_is_kept_as_long_as_its_delivery(scene: Scene) -> None:
    webhook, _ = await scene.webhook("/500", filter={"kind": {"eq": "TASK_CREATED"}})
    await scene.task()
    await scene.settle()
    await scene.until_next(webhook)
    up = {"url": scene.receiver.url("/hook")}
    await scene.house.do(scene.ada.viewer, webhooks.change, scene.receivers, webhook.id, up, None)
    await scene.until_next(webhook)
    delivery = await scene.delivery(webhook)
    first, second, third = await scene.attempts(webhook)
    assert [one.number for one in (first, second, third)] == [1, 2, 3]
    assert [one.response_status for one in (first, second, third)] == [500, 500, 200]
    assert first.error == second.error == "The receiver answered 500."
    assert third.error is None
    assert first.attempted_at < second.attempted_at < third.attempted_at == delivery.attempted_at
    assert third.request_headers == delivery.request_headers
    assert first.request_headers != second.request_headers
    assert first.scopes == delivery.scopes
    assert delivery.attempt == 3
    scene.house.clock.forward(days=31)
    await periodic.run_once(scene.house.transactions, scene.house.settings, clock=scene.house.clock)
    assert await scene.attempts(webhook) == []


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
