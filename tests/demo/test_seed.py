"""The demo company: complete, the same every time, made once, and seen as the access rules say."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select

from auth import access
from auth.authenticator import Authenticator
from auth.request import RequestInfo
from auth.viewer import NOBODY, Viewer
from db.engine import Database
from db.models import (
    Event,
    Project,
    ProjectMember,
    Reminder,
    Role,
    RuleKind,
    Task,
    TaskStatus,
    TimeEntry,
    User,
    Webhook,
    WebhookDelivery,
    WebhookStatus,
)
from demo.company import LOGIN, PASSWORD, PEOPLE
from demo.login import demo_login, exists
from demo.seed import DemoSummary, seed_demo
from domain.accounts import session as sessions
from domain.accounts import user as users
from domain.work import Transactions
from errors import Failure
from events.bus import LocalBus
from settings import Settings, load_settings
from tests.demo.conftest import Fresh

NOW = dt.datetime(2026, 11, 20, 10, 30, tzinfo=dt.UTC)
REQUEST = RequestInfo(id="test")


@pytest.fixture(scope="module")
async def seeded(fresh: Fresh, settings: Settings) -> tuple[Database, DemoSummary]:
    database = await fresh()
    return database, await seed_demo(database, settings, now=NOW)


@pytest.fixture
def company(seeded: tuple[Database, DemoSummary]) -> Database:
    return seeded[0]


async def all_of(database: Database, *columns: Any) -> list[Any]:
    async with database.session() as session:
        return list((await session.execute(select(*columns))).all())


async def viewer_of(database: Database, username: str) -> Viewer:
    async with database.session() as session:
        user = (await session.scalars(select(User).where(User.username == username))).one()
    return Viewer(user_id=user.id, is_admin=user.is_admin, timezone=user.timezone)


async def test_the_company_is_complete(seeded: tuple[Database, DemoSummary]) -> None:
    database, summary = seeded
    assert (summary.users, summary.projects, summary.tasks) == (12, 8, 600)
    assert summary.created
    people = await all_of(database, User.username, User.is_admin, User.timezone)
    assert [row.username for row in people if row.is_admin] == ["ines"]
    assert len({row.timezone for row in people}) > 6

    tasks = await all_of(database, Task)
    rows = [row[0] for row in tasks]
    assert {row.status for row in rows} == set(TaskStatus)
    still_open = [row for row in rows if row.status.is_open and row.due_at is not None]
    overdue = [row for row in still_open if row.due_at < NOW]
    assert 10 < len(overdue) < len(still_open)
    assert NOW - min(row.created_at for row in rows) > dt.timedelta(days=80)
    assert max(row.updated_at for row in rows) <= NOW
    assert Counter(row.project_id is None for row in rows)[True] == 15
    assert any(row.parent_id is not None and row.parent_id != row.root_id for row in rows)
    assert sum("- [" in (row.description or "") for row in rows) > 100
    assert sum(bool(row.tags) for row in rows) > 300

    archived = await all_of(database, Project.id, Project.archived_at, Project.name)
    closed = [row for row in archived if row.archived_at is not None]
    assert [row.name for row in closed] == ["Move to the dock hall"]
    assert not any(row.status.is_open for row in rows if row.project_id == closed[0].id)


async def test_the_log_tells_the_same_story(company: Database) -> None:
    events = await all_of(company, Event.position, Event.at, Event.kind, Event.subject_id)
    assert [row.at for row in sorted(events)] == sorted(row.at for row in events)
    created = {row.subject_id for row in events if row.kind == "TASK_CREATED"}
    assert created == {row.id for row in await all_of(company, Task.id)}
    kinds = Counter(row.kind for row in events)
    for kind in ("TASK_ASSIGNED", "TASK_COMPLETED", "TASK_REOPENED", "PROJECT_MEMBER_ADDED"):
        assert kinds[kind] > 1


async def test_two_databases_get_the_same_company(
    company: Database, fresh: Fresh, settings: Settings
) -> None:
    other = await fresh()
    await seed_demo(other, settings, now=NOW)
    for columns in (
        (Task.id, Task.title, Task.number, Task.status, Task.position, Task.assignee_id),
        (Task.id, Task.due_at, Task.created_at, Task.updated_at, Task.description),
        (User.id, User.username),
        (ProjectMember.id, ProjectMember.user_id, ProjectMember.role),
        (Event.id, Event.at, Event.kind, Event.subject_id),
        (Reminder.id, Reminder.kind, Reminder.next_run_at),
        (Webhook.id, Webhook.url, Webhook.status),
    ):
        first, second = await all_of(company, *columns), await all_of(other, *columns)
        assert sorted(first, key=lambda row: row[0]) == sorted(second, key=lambda row: row[0])


async def test_seeding_again_changes_nothing(company: Database, settings: Settings) -> None:
    before = await all_of(company, Task.id, Task.version)
    again = await seed_demo(company, settings, now=NOW + dt.timedelta(days=3))
    assert not again.created
    assert again.tasks == 600
    assert await all_of(company, Task.id, Task.version) == before


async def test_ada_sees_her_projects_and_no_other(company: Database) -> None:
    ada = await viewer_of(company, "ada")
    async with company.session() as session:
        seen = set(await session.scalars(select(Project.key).where(access.read(ada, Project))))
        tasks = list(await session.scalars(select(Task).where(access.read(ada, Task))))
    assert seen == {"WREN", "SHOP", "WORK", "PARTS", "CARE", "FAIR", "RIDE", "MOVE"}
    assert len(tasks) == 600
    roles = await all_of(company, ProjectMember.user_id, ProjectMember.role)
    assert {row.role for row in roles if row.user_id == ada.user_id} == set(Role)


async def test_the_accountant_sees_and_changes_nothing(company: Database) -> None:
    lena = await viewer_of(company, "lena")
    async with company.session() as session:
        seen = set(await session.scalars(select(Project.key).where(access.read(lena, Project))))
        editable = list(await session.scalars(select(Task.id).where(access.edit(lena, Task))))
        personal = select(Task.id).where(access.read(lena, Task), Task.project_id.is_(None))
        assert not list(await session.scalars(personal))
    assert seen == {"WREN", "WORK", "PARTS", "MOVE"}
    assert editable == []


async def test_everybody_can_sign_in_with_the_printed_password(
    company: Database, settings: Settings
) -> None:
    login = await demo_login(company)
    assert login is not None
    auth = Authenticator(settings, company)
    for username in (login[0], "ines", "lena@larkspur-cycles.example"):
        async with Transactions(company, LocalBus()).begin(
            NOBODY, now=NOW, request=REQUEST
        ) as work:
            grant = await sessions.create(work, auth, login=username, password=login[1])
        assert grant.viewer.signed_in
    auth.close()


async def test_no_login_is_offered_that_would_not_work(fresh: Fresh, settings: Settings) -> None:
    database = await fresh()
    assert await demo_login(database) is None
    auth = Authenticator(settings, database)
    async with Transactions(database, LocalBus()).begin(NOBODY, now=NOW, request=REQUEST) as work:
        await users.create(work, auth, username=LOGIN, email=PEOPLE[0].email, password=PASSWORD)
    assert await demo_login(database) == (LOGIN, PASSWORD)
    ada = await viewer_of(database, LOGIN)
    later = NOW + dt.timedelta(days=1)
    async with Transactions(database, LocalBus()).begin(ada, now=later, request=REQUEST) as work:
        await users.change_password(
            work, auth, current_password=PASSWORD, new_password="something of her own"
        )
    auth.close()
    async with database.session() as session:
        assert await exists(session)
    assert await demo_login(database) is None


async def test_production_refuses_the_known_password(company: Database) -> None:
    production = load_settings(
        {
            "TASKLOOM_ENV": "production",
            "TASKLOOM_SECRET": "s" * 40,
            "TASKLOOM_PASSWORD_PEPPER": "p" * 20,
            "TASKLOOM_PUBLIC_URL": "https://taskloom.example",
        },
        env_file=None,
    )
    with pytest.raises(Failure, match="--force"):
        await seed_demo(company, production)
    assert not (await seed_demo(company, production, force=True)).created


async def test_a_name_that_is_taken_leaves_nothing_half_made(
    fresh: Fresh, settings: Settings
) -> None:
    database = await fresh()
    auth = Authenticator(settings, database)
    async with Transactions(database, LocalBus()).begin(NOBODY, now=NOW, request=REQUEST) as work:
        await users.create(
            work, auth, username="Chiara", email="chiara@example.com", password="long enough"
        )
    auth.close()
    with pytest.raises(Failure, match="username is already in use"):
        await seed_demo(database, settings, now=NOW)
    assert [row.username for row in await all_of(database, User.username)] == ["Chiara"]


async def test_time_was_written_down_and_ada_has_a_timer_running(company: Database) -> None:
    entries = [row[0] for row in await all_of(company, TimeEntry)]
    assert len(entries) > 100
    assert len({entry.project_id for entry in entries}) == 8
    ada = (await viewer_of(company, LOGIN)).user_id
    assert [entry.user_id for entry in entries if entry.ended_at is None] == [ada]
    done = sorted(
        (entry.user_id, entry.started_at, entry.ended_at) for entry in entries if entry.ended_at
    )
    for (who, _, ended), (next_one, began, _) in itertools.pairwise(done):
        assert who != next_one or ended <= began


async def test_ada_has_reminders_to_come_and_a_webhook_that_sends_nothing(
    company: Database,
) -> None:
    ada = (await viewer_of(company, LOGIN)).user_id
    reminders = [row[0] for row in await all_of(company, Reminder)]
    assert {reminder.user_id for reminder in reminders} == {ada}
    assert {reminder.kind for reminder in reminders} >= {
        RuleKind.WEEKLY,
        RuleKind.MONTHLY,
        RuleKind.ONCE,
        RuleKind.DUE,
    }
    for reminder in reminders:
        assert reminder.next_run_at is None or reminder.next_run_at > NOW
        assert (reminder.next_run_at is None) is not reminder.is_enabled
    ((webhook,),) = await all_of(company, Webhook)
    assert (webhook.user_id, webhook.status) == (ada, WebhookStatus.DISABLED)
    assert await all_of(company, WebhookDelivery.id) == []
