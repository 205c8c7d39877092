"""The push messages about one notification: one for each device of its recipient."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from sqlalchemy import select

from db.models import Device, Notification, User
from domain.device import forget
from domain.notification import PUSH_JOB
from domain.work import Work
from graph import ids
from jobs.handlers import RunningJob, handler
from jobs.push.service import PushMessage, UnknownDevice
from jobs.told import Said, in_words, link_to, quoted
from jobs.tools import Tools


@handler(PUSH_JOB, attempts=6)
async def send_push(tools: Tools, job: RunningJob) -> None:
    """Tell all devices of the recipient; those that are no more are forgotten.

    When one of them fails, all are tried again: a device that shows a message twice replaces it.
    """

    async def read(work: Work) -> tuple[list[Device], Said | None]:
        return await _read(work, UUID(job.payload["notification"]))

    devices, said = await tools.do(PUSH_JOB, read)
    if said is None:
        return
    quote = await quoted(said.comment)
    text = "" if quote is None else quote.text
    message = _message(said, text, tools.settings.server.frontend_url)
    failures: list[Exception] = []
    for device in devices:
        try:
            await tools.push.send(device.token, message)
        except UnknownDevice:
            await _forget(tools, device)
        except Exception as error:  # noqa: BLE001 - the other devices are told all the same
            failures.append(error)
    if failures:
        raise failures[0]


async def _forget(tools: Tools, device: Device) -> None:
    await tools.do(PUSH_JOB, partial(forget, device_id=device.id, token=device.token))


async def _read(work: Work, id_: UUID) -> tuple[list[Device], Said | None]:
    notification = await work.session.get(Notification, id_)
    if notification is None or notification.read_at is not None:
        return [], None
    user = await work.session.get_one(User, notification.recipient_id)
    devices = list(
        await work.session.scalars(
            select(Device).where(Device.user_id == user.id).order_by(Device.id)
        )
    )
    if not devices or not user.is_active:
        return [], None
    said = await in_words(work, user, [notification])
    return devices, said[0] if said else None


def _message(said: Said, text: str, frontend_url: str) -> PushMessage:
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
