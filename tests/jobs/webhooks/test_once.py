"""However a delivery is asked for, there is one of it; and nothing from before the webhook."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import replace

import pytest
from sqlalchemy import func, select, update

from auth.viewer import NOBODY
from db.models import DeliveryState, Job, JobState, WebhookStatus
from domain.admin.job import retry
from domain.integrations import webhook as webhooks
from domain.integrations import webhook_delivery
from domain.integrations.webhook_delivery import DELIVER_JOB
from domain.projects import project as projects
from domain.tasks import task as tasks
from domain.work import Work
from errors import BadInput
from jobs.handlers import HANDLERS, nothing_to_end
from tests.factories import gid
from tests.jobs.webhooks.conftest import Scene


@pytest.fixture(autouse=True)
async def _alone(scene: Scene) -> None:
    """The jobs of other tests are none of ours."""
    async with scene.house.work() as work:
        await work.session.execute(update(Job).values(state=JobState.DONE))


async def unfinished(scene: Scene) -> int:
    async with scene.house.database.session() as session:
        query = select(func.count()).where(
            Job.name == DELIVER_JOB, Job.state.in_([JobState.WAITING, JobState.RUNNING])
        )
        return await session.scalar(query) or 0


async def test_retries_move_the_one_job_and_use_up_a_step_for_each_attempt(scene: Scene) -> None:
    webhook, _ = await scene.webhook("/500")
    await scene.task()
    await scene.workshop.all_done()
    assert len(scene.receiver.requests) == 1
    delivery = await scene.delivery(webhook)
    for _ in range(4):
        await scene.house.do(scene.ada.viewer, webhooks.retry, delivery.id)
    assert await unfinished(scene) == 1
    await scene.settle()
    assert len(scene.receiver.requests) == 2
    delivery = await scene.delivery(webhook)
    # The schedule began anew, and one step of it was used.
    assert (delivery.attempt, delivery.tries) == (2, 1)
    assert delivery.next_attempt_at is not None
    wait = delivery.next_attempt_at - scene.house.clock()
    assert wait <= dt.timedelta(seconds=6)
    # Later attempts of the same job are the same request.
    scene.house.clock.forward(seconds=10)
    await scene.workshop.run_due()
    assert len(scene.receiver.requests) == 3
    viewer = scene.ada.viewer
    await asyncio.gather(
        *(scene.house.do(viewer, webhooks.retry, delivery.id) for _ in range(4)),
    )
    assert await unfinished(scene) == 1
    await scene.settle()
    assert len(scene.receiver.requests) == 4


async def test_replays_do_not_multiply_what_waits(scene: Scene) -> None:
    webhook, _ = await scene.webhook("/500", filter={"kind": {"eq": "TASK_CREATED"}})
    for number in range(3):
        await scene.task(f"Task {number}")
    await scene.workshop.all_done()
    await scene.settle()
    before = len(scene.receiver.requests)
    start, end = scene.house.clock() - dt.timedelta(hours=1), scene.house.clock()
    scene.house.clock.forward(seconds=1)
    for _ in range(3):
        await scene.house.do(scene.ada.viewer, webhooks.replay, webhook.id, start, end)
    await scene.settle()
    assert await unfinished(scene) == 3
    # Each delivery at most once for each replay.
    assert len(scene.receiver.requests) - before <= 9
    scene.receiver.status = 200
    scene.house.clock.forward(hours=1)
    await scene.settle()
    assert await unfinished(scene) == 0
    assert await scene.delivered(webhook) == 3


async def test_what_is_asked_for_while_it_runs_is_done_once_more(scene: Scene) -> None:
    """The attempt may have been noted already when somebody wants another one."""
    webhook, _ = await scene.webhook()
    await scene.task()
    await scene.workshop.catch_up()
    queue = scene.workshop.queue("other")
    (job,) = await queue.take([DELIVER_JOB], 5)
    await HANDLERS[DELIVER_JOB].run(scene.workshop.context, job)
    delivery = await scene.delivery(webhook)
    assert delivery.state is DeliveryState.DELIVERED
    await scene.house.do(scene.ada.viewer, webhooks.retry, delivery.id)
    assert await unfinished(scene) == 1
    await queue.done(job)
    await scene.settle()
    assert len(scene.receiver.requests) == 2
    assert (await scene.delivery(webhook)).state is DeliveryState.DELIVERED
    assert await unfinished(scene) == 0


async def test_a_webhook_gets_nothing_older_than_itself(scene: Scene) -> None:
    # The consumer has seen none of these when the webhook is made.
    for number in range(5):
        await scene.task(f"Before {number}")
    webhook, _ = await scene.webhook(payload=None)
    await scene.task("After")
    await scene.workshop.all_done()
    await scene.settle()
    assert [request.json["task"]["title"] for request in scene.receiver.requests] == ["After"]

    async def switch(status: WebhookStatus) -> None:
        await scene.house.do(
            scene.ada.viewer, webhooks.change, scene.receivers, webhook.id, {"status": status}, None
        )

    await switch(WebhookStatus.DISABLED)
    await scene.task("While it was off")
    await switch(WebhookStatus.ACTIVE)
    await scene.task("Once it was on")
    # What only changes it hides nothing that is on its way.
    await scene.house.do(
        scene.ada.viewer, webhooks.change, scene.receivers, webhook.id, {"filter": None}, None
    )
    await scene.settle()
    titles = [
        request.json["task"]["title"]
        for request in scene.receiver.requests
        if request.json.get("task")
    ]
    assert titles == ["After", "Once it was on"]


async def test_a_delivery_whose_job_is_given_up_has_failed_with_the_reason(scene: Scene) -> None:
    webhook, _ = await scene.webhook()
    await scene.task()
    await scene.workshop.catch_up()
    queue = scene.workshop.queue("other")
    (job,) = await queue.take([DELIVER_JOB], 5)

    async def end(work: Work) -> None:
        await HANDLERS[DELIVER_JOB].on_given_up(work, job, "The worker died in each attempt.")

    await scene.house.do(NOBODY, end)
    delivery = await scene.delivery(webhook)
    assert (delivery.state, delivery.error) == (
        DeliveryState.FAILED,
        "The worker died in each attempt.",
    )
    assert delivery.next_attempt_at is None
    await queue.done(job)


async def test_a_held_job_is_not_run_again_beside_another_one(scene: Scene) -> None:
    webhook, _ = await scene.webhook()
    await scene.task()
    await scene.workshop.catch_up()
    queue = scene.workshop.queue("other")
    (job,) = await queue.take([DELIVER_JOB], 5)
    async with scene.house.work() as work:
        assert await queue.failed(work.session, job, "by hand")
    await scene.house.do(scene.ada.viewer, webhooks.retry, (await scene.delivery(webhook)).id)
    admin = replace(scene.ada.viewer, is_admin=True)
    with pytest.raises(BadInput, match="queued again"):
        await scene.house.do(admin, retry, job.id)
    await scene.settle()
    assert len(scene.receiver.requests) == 1
    # With nothing beside it, it is.
    assert (await scene.house.do(admin, retry, job.id)).state is JobState.WAITING
    await scene.settle()
    assert await unfinished(scene) == 0


def test_what_has_a_state_of_its_own_says_how_it_ends() -> None:
    ending = {name for name, one in HANDLERS.items() if one.on_given_up is not nothing_to_end}
    stateless = {
        "mail.password_reset",
        "mail.email_verification",
        "mail.account_notice",
        "mail.notifications",
        "push.device",
        "log.event",
        "share.end",
        "webhook.replay",
        "webhook.skip",
        "webhook.delete_deliveries",
        "account.erase",
        "notification.read_all",
    }
    assert {DELIVER_JOB, "report_export", "integration.sync", "integration.tell"} <= ending
    # A handler that is new here has to be thought about: does anything wait for its job?
    assert HANDLERS.keys() - ending <= stateless
    assert webhook_delivery.DELIVER_JOB in ending


async def test_every_task_that_goes_is_announced_once(scene: Scene) -> None:
    """With its parent, and with its project; to the owner of the webhook, who sees them all."""
    deleted = {"kind": {"in": ["TASK_DELETED", "ACCESS_LOST"]}}
    webhook, _ = await scene.webhook(filter=deleted, person=scene.ben, path="/deleted")
    top = await scene.task("top")
    middle = await scene.task("middle", parent_id=top.id)
    low = await scene.task("low", parent_id=middle.id)
    other = await scene.task("other")
    owner = scene.ada.viewer
    await scene.house.do(owner, tasks.delete, middle.id, None)
    await scene.workshop.all_done()
    await scene.settle()
    first = [request.json["subjectId"] for request in scene.receiver.requests]
    assert sorted(first) == sorted(map(gid, (middle, low)))
    await scene.house.do(owner, projects.delete, scene.project.id, None)
    await scene.workshop.all_done()
    await scene.settle()
    told = [request.json["subjectId"] for request in scene.receiver.requests]
    assert sorted(told) == sorted(map(gid, (top, middle, low, other)))
    assert {request.json["kind"] for request in scene.receiver.requests} == {"TASK_DELETED"}
    assert len(await scene.deliveries(webhook)) == 4
