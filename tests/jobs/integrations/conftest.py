"""A project that is connected with a service elsewhere, which speaks as GitHub and Slack do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from sqlalchemy import select

from auth.encryption import Encryption
from db.engine import Database
from db.models import (
    Comment,
    Integration,
    Notification,
    NotificationKind,
    Role,
    Task,
)
from domain.integrations import integration as integrations
from domain.integrations.integration import Config, GitHubConfig, Reach, SlackConfig
from domain.projects import project as projects
from domain.projects.project import NewProject
from events.kinds import EventKind
from settings import Settings
from tests.accounts import House, Person
from tests.jobs.conftest import Workshop
from tests.jobs.services import REPOSITORY, TOKEN, Service, service

HOME = ip_network("127.0.0.0/8")


@pytest.fixture
def house(settings: Settings, database: Database) -> Iterator[House]:
    """With servers on this machine taken."""
    taken = {"allowed_networks": (HOME,), "timeout_seconds": 2.0}
    changed = {"webhooks": settings.webhooks.model_copy(update=taken)}
    made = House(settings.model_copy(update=changed), database)
    yield made
    made.auth.close()


class Scene:
    """A project of Ada's with Ben as an editor, and a service elsewhere."""

    def __init__(self, house: House, workshop: Workshop, other: Service) -> None:
        self.house = house
        self.workshop = workshop
        self.other = other
        self.reach = Reach(Encryption(house.settings), (HOME,), plain=False)

    async def set(self) -> Scene:
        self.ada, self.ben = [await self.house.person() for _ in range(2)]
        self.project = await self.house.do(self.ada.viewer, projects.create, NewProject("Garden"))
        await self.house.do(
            self.ada.viewer, projects.add_member, self.project.id, self.ben.id, Role.EDITOR
        )
        await self.workshop.all_done()
        return self

    async def github(self, token: str = TOKEN, **values: Any) -> Integration:
        return await self._connect(GitHubConfig(REPOSITORY, token, self.other.api, **values))

    async def slack(self, *events: EventKind) -> Integration:
        return await self._connect(SlackConfig(f"{self.other.url}/hook", events or None))

    async def _connect(self, config: Config) -> Integration:
        return await self.house.do(
            self.ada.viewer, integrations.connect, self.reach, self.project.id, config
        )

    async def change(self, integration: Integration, **values: Any) -> None:
        await self.house.do(
            self.ada.viewer, integrations.change, self.reach, integration.id, **values
        )

    async def told(self, person: Person | None = None) -> list[Notification]:
        """The notifications of integrations that stopped, Ada's by default."""
        async with self.house.database.session() as session:
            query = select(Notification).where(
                Notification.recipient_id == (person or self.ada).id,
                Notification.kind == NotificationKind.INTEGRATION_FAILED,
            )
            return list(await session.scalars(query))

    async def later(self, **time: float) -> None:
        """Let time pass, and everything happen that is due."""
        self.house.clock.forward(**time)
        await self.workshop.all_done()
        await self.workshop.all_done()

    async def fresh(self, integration: Integration) -> Integration:
        async with self.house.database.session() as session:
            return await session.get_one(Integration, integration.id)

    async def tasks(self) -> dict[str, Task]:
        async with self.house.database.session() as session:
            query = select(Task).where(Task.project_id == self.project.id)
            return {task.title: task for task in await session.scalars(query)}

    async def all_tasks(self) -> list[Task]:
        """All tasks of the project, those of one title too."""
        async with self.house.database.session() as session:
            return list(
                await session.scalars(select(Task).where(Task.project_id == self.project.id))
            )

    async def comments(self, task: Task) -> list[str]:
        async with self.house.database.session() as session:
            query = select(Comment.body).where(Comment.task_id == task.id).order_by(Comment.id)
            return list(await session.scalars(query))


@pytest.fixture
async def other() -> AsyncIterator[Service]:
    async with service() as made:
        yield made


@pytest.fixture
async def scene(house: House, workshop: Workshop, other: Service) -> Scene:
    return await Scene(house, workshop, other).set()
