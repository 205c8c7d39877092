"""The mail about notifications: all that is pending for one user about one task, in one mail.

First the notifications are bound to the job, in a transaction of their own; then the mail is sent.
So a job that runs again, because its worker was killed, sends the same mail with the same ID; later
notifications belong to another job. Preferences, address and rights are checked when the mail is
sent.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select, update

from auth.links import UnsubscribeLinks
from db.models import Channel, Notification, User
from domain.notifications.notification import MAIL_JOB, locked, named
from domain.work import Work
from jobs.handlers import handler, nothing_to_end
from jobs.mail.compose import compose
from jobs.notification_text import NotificationText, describe, link_to, quoted, title_of
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext


@handler(MAIL_JOB, on_given_up=nothing_to_end)
async def send_mail(context: WorkerContext, job: RunningJob) -> None:
    """Notify one user by mail of what is new about one task."""

    async def bind(work: Work) -> None:
        await _bind(work, job)

    async def read(work: Work) -> tuple[User, list[NotificationText]] | None:
        return await _letter(work, job)

    await context.do(MAIL_JOB, bind)
    letter = await context.do(MAIL_JOB, read)
    if letter is None:
        return
    user, said = letter
    settings = context.settings
    kinds = {one.notification.kind for one in said}
    first = said[0]
    subject = first.sentence
    if len(said) > 1 and first.task is not None:
        subject = f"{len(said)} updates on {title_of(first.task)}"
    items = [{"sentence": one.sentence, "quote": await quoted(one.comment)} for one in said]
    message = compose(
        settings,
        "notifications",
        {
            "items": items,
            "link": link_to(settings.server.frontend_url, first.task),
            "about": named(kinds),
        },
        id_=job.id,
        to=user.email,
        name=user.full_name or user.username,
        subject=subject.removesuffix("."),
        now=job.created_at,
        unsubscribe=UnsubscribeLinks(settings).link(user.id, kinds),
    )
    async with context.outside("mail", "smtp", context.sender.host, by_kind=True):
        await context.sender.send(message)


async def _bind(work: Work, job: RunningJob) -> None:
    """Bind pending notifications to this job, unless an earlier attempt did."""
    bound = select(Notification.id).where(Notification.mail_id == job.id).limit(1)
    if await work.session.scalar(bound) is not None:
        return
    task = job.payload["task"]
    pending = locked(
        Notification.recipient_id == UUID(job.payload["recipient"]),
        Notification.id == UUID(job.payload["notification"])
        if task is None
        else Notification.task_id == UUID(task),
        Notification.email,
        Notification.mail_id.is_(None),
    )
    await work.session.execute(
        update(Notification).where(Notification.id.in_(pending)).values(mail_id=job.id)
    )


async def _letter(work: Work, job: RunningJob) -> tuple[User, list[NotificationText]] | None:
    """The recipient and the texts; None if there is nothing (left) to say."""
    user = await work.session.get(User, UUID(job.payload["recipient"]))
    if user is None or user.email_verified_at is None:
        return None
    notifications = await work.session.scalars(
        select(Notification)
        .where(Notification.mail_id == job.id)
        .order_by(Notification.created_at, Notification.id)
    )
    said = await describe(work, user, list(notifications), Channel.EMAIL)
    return (user, said) if said else None
