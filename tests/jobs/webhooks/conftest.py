"""Webhooks of people who work on a project, and a receiver on a real socket."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from sqlalchemy import select
from standardwebhooks import Webhook as Verifier

from auth.encryption import Encryption
from db.engine import Database
from db.models import (
    DeliveryState,
    Role,
    Task,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
)
from domain.integrations import webhook as webhooks
from domain.integrations.webhook import NewWebhook, Receivers
from domain.projects import project as projects
from domain.projects.project import NewProject
from domain.tasks import task as tasks
from domain.tasks.task import NewTask
from settings import Settings
from tests.accounts import House, Person
from tests.jobs.conftest import Workshop
from tests.receivers import Receiver, Request, receiving

HOME = ip_network("127.0.0.0/8")


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
        self.encryption = Encryption(house.settings)
        self.receivers = Receivers((HOME,), plain=False)

    async def set(self) -> Scene:
        self.ada, self.ben = [await self.house.person() for _ in range(2)]
        self.project = await self.house.do(self.ada.viewer, projects.create, NewProject("Garden"))
        self.member = await self.house.do(
            self.ada.viewer, projects.add_member, self.project.id, self.ben.id, Role.EDITOR
        )
        await self.workshop.all_done()
        return self

    async def webhook(
        self, path: str = "/hook", person: Person | None = None, **values: Any
    ) -> tuple[Webhook, str]:
        new = NewWebhook(self.receiver.url(path), **values)
        owner = (person or self.ada).viewer
        return await self.house.do(owner, webhooks.create, self.encryption, self.receivers, new)

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

    async def attempts(self, webhook: Webhook) -> list[WebhookAttempt]:
        """The attempts of its deliveries, oldest first."""
        async with self.house.database.session() as session:
            query = (
                select(WebhookAttempt)
                .join(WebhookDelivery)
                .where(WebhookDelivery.webhook_id == webhook.id)
                .order_by(WebhookAttempt.delivery_id, WebhookAttempt.number)
            )
            return list(await session.scalars(query))

    async def delivered(self, webhook: Webhook) -> int:
        return sum(one.state is DeliveryState.DELIVERED for one in await self.deliveries(webhook))

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
