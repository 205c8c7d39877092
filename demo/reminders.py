"""Ada's reminders, and a webhook that she disabled.

Notifications are not created here: the worker creates them from the log, as always.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from auth.encryption import Encryption
from db.models import WebhookStatus
from demo.company import LOGIN
from domain.integrations import webhook as webhooks
from domain.integrations.webhook import NewWebhook, Receivers
from domain.tasks import reminder as reminders
from domain.tasks.reminder import NewReminder
from domain.tasks.schedule import Anchor, Monthly, Once, Relative, Weekly
from domain.work import Work

Doing = tuple[dt.datetime, str, Callable[[Work], Awaitable[object]]]

# Nobody answers there: the name is reserved (RFC 2606), and nothing is sent while it is disabled.
_RECEIVER = "https://hooks.larkspur-cycles.example/taskloom"
_KINDS = ["TASK_CREATED", "TASK_COMPLETED"]
_FRIDAY = 5


@dataclass(frozen=True, slots=True)
class Reminders:
    """Tasks of Ada's that are due some day, and a project that she is a member of."""

    timezone: str
    due: tuple[UUID, ...]
    parts_id: UUID


def doings(reminders: Reminders, encryption: Encryption, now: dt.datetime) -> Iterator[Doing]:
    """When she creates what."""
    # All tasks exist by then.
    at = now - dt.timedelta(minutes=30)
    for minute, new in enumerate(_reminders(reminders, now)):
        yield at + dt.timedelta(minutes=minute), LOGIN, _noting(new)
    yield now - dt.timedelta(minutes=20), LOGIN, _connecting(encryption)


def _reminders(reminders: Reminders, now: dt.datetime) -> Iterator[NewReminder]:
    yield NewReminder(
        Weekly((_FRIDAY,), dt.time(16), reminders.timezone),
        message="Write down what is missing of this week's hours.",
    )
    yield NewReminder(
        Monthly(None, dt.time(9), reminders.timezone),
        project_id=reminders.parts_id,
        message="Order what has run short.",
    )
    yield NewReminder(
        Once(now + dt.timedelta(days=3)), message="Ring the tax adviser back.", is_enabled=False
    )
    for task_id in reminders.due[:2]:
        yield NewReminder(Relative(Anchor.DUE, offset=-24 * 3600), task_id=task_id)


def _noting(new: NewReminder) -> Callable[[Work], Awaitable[object]]:
    async def note(work: Work) -> None:
        await reminders.create(work, new)

    return note


def _connecting(encryption: Encryption) -> Callable[[Work], Awaitable[object]]:
    async def connect(work: Work) -> None:
        receivers = Receivers((), plain=False)
        made, _secret = await webhooks.create(
            work, encryption, receivers, NewWebhook(_RECEIVER, filter={"kind": {"in": _KINDS}})
        )
        off = {"status": WebhookStatus.DISABLED}
        await webhooks.change(work, receivers, made.id, off, if_version=None)

    return connect
