"""A worker that is killed again and again loses nothing, and tells nothing twice."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict

import pytest
from sqlalchemy import func, select, update

from db.models import Job, JobState, Notification, User
from domain.tasks import comment as comments
from domain.tasks import task as tasks
from domain.tasks.task import NewTask
from tests.accounts import House
from tests.databases import address_of
from tests.jobs.conftest import killed_again_and_again, mail_server

TASKS = 10


@pytest.mark.parametrize(
    ("changes", "kills"),
    [(80, 2), pytest.param(500, 20, marks=pytest.mark.nightly)],
)
async def test_every_change_is_told_once_and_mailed_whoever_is_killed(
    house: House, changes: int, kills: int
) -> None:
    ada, ben = await house.person(), await house.person()
    async with house.work() as work:
        await work.session.execute(
            update(User).where(User.id == ben.id).values(email_verified_at=house.clock())
        )
    made = [
        await house.do(ada.viewer, tasks.create, NewTask(f"Task {n}", assignee_id=ben.id))
        for n in range(TASKS)
    ]

    async def finished() -> bool:
        async with house.database.session() as session:
            told = await session.scalar(
                select(func.count()).where(Notification.recipient_id == ben.id)
            )
            left = await session.scalar(
                select(func.count()).where(Job.state.in_([JobState.WAITING, JobState.RUNNING]))
            )
        return told == changes + TASKS and left == 0

    async with mail_server() as (mail, port):
        variables = {
            "DATABASE_URL": await address_of(house.settings, house.database),
            "TASKLOOM_MAIL_HOST": "127.0.0.1",
            "TASKLOOM_MAIL_PORT": str(port),
            "TASKLOOM_MAIL_TLS": "none",
            "TASKLOOM_MAIL_DELAY_SECONDS": "0",
            "TASKLOOM_JOB_LEASE_SECONDS": "1",
        }
        async with asyncio.timeout(60 + 30 * kills):
            async with killed_again_and_again(house.database, kills, **variables) as killed:
                for number in range(changes):
                    task = made[number % TASKS]
                    await house.do(ada.viewer, comments.create, task.id, f"Note <{number}>.")
                    # Spread over the lives of the workers.
                    while killed() < kills * number // changes:
                        await asyncio.sleep(0.02)
                while killed() < kills or not await finished():
                    await asyncio.sleep(0.1)

    async with house.database.session() as session:
        rows = await session.execute(
            select(Notification.event_id, Notification.kind, func.count())
            .where(Notification.recipient_id == ben.id)
            .group_by(Notification.event_id, Notification.kind)
        )
        assert Counter(count for _, _, count in rows) == {1: changes + TASKS}
        failed = await session.scalar(select(func.count()).where(Job.state == JobState.FAILED))
        assert failed == 0
    texts: dict[str, set[str]] = defaultdict(set)
    where: dict[str, set[str]] = defaultdict(set)
    for letter in mail.to(ben.email):
        id_ = str(letter.message["Message-ID"])
        texts[id_].add(letter.text)
        for note in re.findall(r"Note <(\d+)>", letter.text):
            where[note].add(id_)
    assert sorted(map(int, where)) == list(range(changes))
    # A mail that came twice is the same one, by its id.
    assert {len(ids) for ids in where.values()} == {1}
    assert {len(variants) for variants in texts.values()} == {1}
