"""The push message about one notification to one device."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from db.models import Channel, Device, Notification, User
from domain.notifications.device import forget
from domain.notifications.notification import PUSH_JOB
from domain.work import Work
from graph.core import ids
from jobs.handlers import handler, nothing_to_end
from jobs.notification_text import NotificationText, describe, link_to, quoted
from jobs.push.fitting import PushMessage
from jobs.push.service import UnknownDevice
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext


@handler(PUSH_JOB, on_given_up=nothing_to_end, attempts=6)
async def send_push(context: WorkerContext, job: RunningJob) -> None:
    """Notify one device. Each has its own job, so that a failure of one repeats no other."""

    async def read(work: Work) -> tuple[Device, NotificationText] | None:
        return await _read(work, UUID(job.payload["notification"]), UUID(job.payload["device"]))

    found = await context.do(PUSH_JOB, read)
    if found is None:
        return
    device, said = found
    quote = await quoted(said.comment)
    text = "" if quote is None else quote.text
    message = _message(said, text, context.settings.server.frontend_url)
    try:
        host = context.push.destination(device)
        async with context.outside("push", host, host):
            await context.push.send(device, message)
    except UnknownDevice:
        await context.do(PUSH_JOB, partial(forget, device_id=device.id, token=device.token))


async def _read(work: Work, id_: UUID, device_id: UUID) -> tuple[Device, NotificationText] | None:
    """The device and its text; None if there is nothing (left) to say."""
    notification = await work.session.get(Notification, id_)
    device = await work.session.get(Device, device_id)
    if notification is None or device is None:
        return None
    user = await work.session.get_one(User, notification.recipient_id)
    # A device belongs to the last user who signed in on it.
    if device.user_id != user.id:
        return None
    said = await describe(work, user, [notification], Channel.PUSH)
    return (device, said[0]) if said else None


def _message(said: NotificationText, text: str, frontend_url: str) -> PushMessage:
    notification, task = said.notification, said.task
    data = {
        "notificationId": ids.encode(Notification, notification.id),
        "kind": notification.kind.name,
        "url": link_to(frontend_url, task),
    }
    if task is not None:
        data["taskId"] = ids.encode(type(task), task.id)
    return PushMessage(
        title=said.sentence,
        body=text,
        data=data,
        collapse=(notification.task_id or notification.id).hex,
    )
