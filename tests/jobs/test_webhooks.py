"""Webhooks as a receiver on a real socket sees them: what arrives, how often, and what does not."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest
from sqlalchemy import select, update
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from auth.sealing import Sealer
from db.engine import Database
from db.models import (
    DeliveryState,
    Job,
    JobState,
    Notification,
    NotificationKind,
    ProjectMember,
    Role,
    Task,
    User,
    Webhook,
    WebhookDelivery,
    WebhookStatus,
)
from domain import project as projects
from domain import task as tasks
from domain import webhook as webhooks
from domain import webhook_delivery as deliveries
from domain.project import NewProject
from domain.task import NewTask
from domain.webhook import NewWebhook, Receivers
from events.kinds import EventKind
from jobs import periodic
from jobs.gate import Gate
from settings import Settings
from tests.accounts import House, Person
from tests.jobs.conftest import ROOT, Workshop
from tests.jobs.test_killed import address_of
from tests.receivers import BIG, Receiver, Request, receiving

HOME = ip_network("127.0.0.0/8")
CHANGES = 200
KILLS = 4


@pytest.fixture
def house(settings: Settings, database: Database) -> Iterator[House]:
    """With receivers on this machine taken, which have half a second to answer."""
    taken = {"allowed_networks": (HOME,), "timeout_seconds": 0.5}
    changed = {"webhooks": settings.webhooks.model_copy(update=taken)}
    made = House(settings.model_copy(update=changed), database)
    yield made
    made.auth.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


class Scene:
    """A project of Ada's with Ben as an editor, and webhooks of theirs."""

    def __init__(self, house: House, workshop: Workshop, receiver: Receiver) -> None:
        self.house = house
        self.workshop = workshop
        self.receiver = receiver
        self.sealer = Sealer(house.settings)
        self.receivers = Receivers((HOME,), plain=False)

    async def set(self) -> Scene:
        self.ada, self.ben = [await self.house.person() for _ in range(2)]
        self.project = await self.house.do(self.ada.viewer, projects.create, NewProject("Garden"))
        self.member = await self.house.do(
            self.ada.viewer, projects.add_member, self.project.id, self.ben.id, None, Role.EDITOR
        )
        await self.workshop.all_done()
        return self

    async def webhook(
        self, path: str = "/hook", person: Person | None = None, **values: Any
    ) -> tuple[Webhook, str]:
        new = NewWebhook(self.receiver.url(path), **values)
        owner = (person or self.ada).viewer
        return await self.house.do(owner, webhooks.create, self.sealer, self.receivers, new)

    async def task(self, title: str = "Dig", person: Person | None = None, **values: Any) -> Task:
        self.house.clock.forward(seconds=1)
        new = NewTask(title, project_id=self.project.id, **values)
        return await self.house.do((person or self.ada).viewer, tasks.create, new)

    async def settle(self) -> None:
        """Everything is sent that is due, however many go to one receiver."""
        await self.workshop.catch_up()
        while await self.workshop.run_due():
            self.house.clock.forward(seconds=0.3)

    async def deliveries(self, webhook: Webhook) -> list[WebhookDelivery]:
        async with self.house.database.session() as session:
            query = (
                select(WebhookDelivery)
                .where(WebhookDelivery.webhook_id == webhook.id)
                .order_by(WebhookDelivery.created_at, WebhookDelivery.id)
            )
            return list(await session.scalars(query))

    async def delivery(self, webhook: Webhook) -> WebhookDelivery:
        (one,) = await self.deliveries(webhook)
        return one

    async def undelivered(self, webhook: Webhook) -> int:
        done = [one.state is DeliveryState.DELIVERED for one in await self.deliveries(webhook)]
        return CHANGES - sum(done)

    async def fresh(self, webhook: Webhook) -> Webhook:
        async with self.house.database.session() as session:
            return await session.get_one(Webhook, webhook.id)

    async def until_next(self, webhook: Webhook) -> dt.timedelta:
        """Let the time pass until the next attempt, and make it; how long that was."""
        due = (await self.delivery(webhook)).next_attempt_at
        assert due is not None
        wait = due - self.house.clock()
        self.house.clock.now = due
        await self.workshop.run_due()
        return wait

    def verify(self, request: Request, *secrets: str) -> None:
        for secret in secrets:
            Verifier(secret).verify(request.body, request.headers)


@pytest.fixture
async def scene(house: House, workshop: Workshop, receiver: Receiver) -> Scene:
    return await Scene(house, workshop, receiver).set()


# --- what arrives --------------------------------------------------------------------------------


async def test_an_event_arrives_once_and_signed(scene: Scene) -> None:
    webhook, secret = await scene.webhook()
    await scene.task("Dig a pond")
    await scene.settle()
    (request,) = scene.receiver.requests
    scene.verify(request, secret)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{scene.receiver.port}"
    assert request.json["kind"] == "TASK_CREATED"
    assert request.json["id"] == request.id
    assert request.json["task"]["title"] == "Dig a pond"
    assert request.json["actor"]["username"] == scene.ada.username
    delivery = await scene.delivery(webhook)
    assert request.id == f"event_{delivery.event_id.hex}"
    assert (delivery.state, delivery.attempt) == (DeliveryState.DELIVERED, 1)
    assert (delivery.response_status, delivery.response_body) == (200, "thank you")
    assert delivery.request_body == request.body.decode()
    assert delivery.request_headers is not None
    assert "webhook-signature" not in delivery.request_headers


async def test_a_forged_body_does_not_verify(scene: Scene) -> None:
    _, secret = await scene.webhook()
    await scene.task()
    await scene.settle()
    (request,) = scene.receiver.requests
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(request.body + b" ", request.headers)


async def test_the_payload_is_what_the_owner_selects(scene: Scene) -> None:
    await scene.webhook(
        payload="{ type: kind task { ...T } changes { field } } fragment T on Task { title }"
    )
    await scene.task("Weed")
    await scene.settle()
    (request,) = scene.receiver.requests
    assert request.json == {"type": "TASK_CREATED", "task": {"title": "Weed"}, "changes": []}


async def test_kinds_and_filter_choose_the_events(scene: Scene) -> None:
    await scene.webhook("/kinds", events=[EventKind.TASK_COMPLETED])
    await scene.webhook("/titles", filter={"task": {"title": {"contains": "pond"}}})
    await scene.webhook(
        "/both", events=[EventKind.TASK_COMPLETED], filter={"kinds": ["TASK_CREATED"]}
    )
    await scene.webhook("/others", filter={"excludeOwn": True})
    pond, hedge = await scene.task("Dig a pond"), await scene.task("Cut the hedge")
    for task in (pond, hedge):
        await scene.house.do(scene.ben.viewer, tasks.complete, task.id, None)
    await scene.settle()
    found = sorted(
        (one.path, one.json["kind"], one.json["task"]["title"]) for one in scene.receiver.requests
    )
    assert found == [
        ("/kinds", "TASK_COMPLETED", "Cut the hedge"),
        ("/kinds", "TASK_COMPLETED", "Dig a pond"),
        ("/others", "TASK_COMPLETED", "Cut the hedge"),
        ("/others", "TASK_COMPLETED", "Dig a pond"),
        ("/titles", "TASK_COMPLETED", "Dig a pond"),
        ("/titles", "TASK_CREATED", "Dig a pond"),
    ]


async def test_accounts_and_other_peoples_things_are_not_told(scene: Scene) -> None:
    stranger = await scene.house.person()
    webhook, _ = await scene.webhook(person=stranger)
    await scene.task()
    await scene.house.login(stranger)
    await scene.settle()
    assert scene.receiver.requests == []
    assert await scene.deliveries(webhook) == []


# --- secrets -------------------------------------------------------------------------------------


async def test_while_a_secret_is_rotated_both_verify(scene: Scene) -> None:
    webhook, old = await scene.webhook()
    _, new = await scene.house.do(
        scene.ada.viewer, webhooks.rotate_secret, scene.sealer, webhook.id, 24
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


async def test_without_overlap_the_old_secret_ends_at_once(scene: Scene) -> None:
    webhook, old = await scene.webhook()
    _, new = await scene.house.do(
        scene.ada.viewer, webhooks.rotate_secret, scene.sealer, webhook.id, 0
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
    assert scene.sealer.open(stored) == secret.encode()


# --- receivers that fail -------------------------------------------------------------------------


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
    assert disabled.disabled_reason == "Its receiver said that it is gone (410)."


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
    assert disabled.disabled_reason == "Nothing was accepted for 120 hours."
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


async def test_a_slow_receiver_leaves_room_for_others(scene: Scene) -> None:
    time = 0.0
    gate = Gate(5, each=2, clock=lambda: time)
    assert [gate.enter("slow") for _ in range(2)] == [None, None]
    assert gate.enter("quick") is None
    waits = [gate.enter("slow") for _ in range(3)]
    assert all(wait is not None for wait in waits)
    assert waits == sorted(waits, key=lambda wait: wait or 0)
    gate.leave("slow", 15.0)
    assert gate.enter("slow") is None


# --- rights --------------------------------------------------------------------------------------


async def test_what_the_owner_may_not_see_any_more_is_not_sent(scene: Scene) -> None:
    webhook, _ = await scene.webhook(person=scene.ben)
    await scene.task()
    await scene.workshop.catch_up()
    async with scene.house.work(scene.ada.viewer) as work:
        member = await work.session.scalar(
            select(ProjectMember).where(
                ProjectMember.project_id == scene.project.id,
                ProjectMember.user_id == scene.ben.id,
            )
        )
        assert member is not None
        await projects.remove_member(work, member.id)
    await scene.settle()
    assert [one.json["kind"] for one in scene.receiver.requests] == ["ACCESS_LOST"]
    skipped = (await scene.deliveries(webhook))[0]
    assert skipped.state is DeliveryState.SKIPPED
    assert skipped.request_body is None


async def test_nothing_goes_out_for_a_deactivated_owner(scene: Scene) -> None:
    webhook, _ = await scene.webhook()
    await scene.task()
    await scene.workshop.catch_up()
    async with scene.house.work() as work:
        users = update(User).where(User.id == scene.ada.id)
        await work.session.execute(users.values(is_active=False))
    await scene.task(person=scene.ben)
    await scene.settle()
    assert scene.receiver.requests == []
    assert (await scene.delivery(webhook)).state is DeliveryState.SKIPPED


async def test_the_payload_is_read_with_the_owners_rights(scene: Scene) -> None:
    """An address is shown to its user and to administrators alone."""
    await scene.webhook("/ada", payload="{ actor { username email } }")
    await scene.webhook("/ben", person=scene.ben, payload="{ actor { username email } }")
    await scene.task()
    await scene.settle()
    told = {one.path: one.json["actor"]["email"] for one in scene.receiver.requests}
    assert told == {"/ada": scene.ada.email, "/ben": None}


# --- again ---------------------------------------------------------------------------------------


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
    await periodic.run_once(scene.house.database, scene.house.settings, clock=scene.house.clock)
    assert len(await scene.deliveries(webhook)) == 1
    scene.house.clock.forward(days=2)
    await periodic.run_once(scene.house.database, scene.house.settings, clock=scene.house.clock)
    assert await scene.deliveries(webhook) == []


# --- workers that are killed ---------------------------------------------------------------------


async def test_nothing_is_lost_while_workers_are_killed(scene: Scene) -> None:
    """With 200 events on their way; each worker dies in the middle of sending some of them."""
    webhook, secret = await scene.webhook(events=[EventKind.TASK_CREATED], payload="{ kind }")
    for number in range(CHANGES):
        scene.house.clock.now = dt.datetime.now(dt.UTC)
        await scene.task(f"Task {number}")
    for life in range(1, KILLS + 1):
        async with worker(scene.house):
            while len(scene.receiver.requests) < life * CHANGES // (KILLS + 1):
                await asyncio.sleep(0.01)
    async with worker(scene.house):
        while await scene.undelivered(webhook):
            await asyncio.sleep(0.2)
    made = {f"event_{one.event_id.hex}" for one in await scene.deliveries(webhook)}
    assert len(made) == CHANGES
    assert set(scene.receiver.ids) == made
    for request in scene.receiver.requests:
        scene.verify(request, secret)


@asynccontextmanager
async def worker(house: House) -> AsyncIterator[None]:
    """A worker in a process of its own, which is killed (SIGKILL) when the block ends."""
    variables = {
        "DATABASE_URL": await address_of(house),
        "TASKLOOM_WEBHOOK_ALLOWED_NETWORKS": str(HOME),
        "TASKLOOM_JOB_LEASE_SECONDS": "1",
        "PYTHONPATH": str(ROOT),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "cli.py"), "worker", cwd=ROOT, env={**os.environ, **variables}
    )
    try:
        async with asyncio.timeout(120):
            yield
    finally:
        process.kill()
        await process.wait()
