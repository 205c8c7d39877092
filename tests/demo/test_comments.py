"""What is said at Larkspur, and in bulk."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from db.engine import Database
from db.models import Comment, CommentMention, CommentRevision, Event, Task, TaskShare
from demo.scale import TASKS_PER_PROJECT
from demo.seed import seed_demo
from settings import Settings
from tests.demo.conftest import Fresh


async def count(database: Database, *where: Any, of: Any = Comment) -> int:
    async with database.session() as session:
        found = await session.scalar(select(func.count()).select_from(of).where(*where))
    return found or 0


@pytest.fixture(scope="module")
async def database(fresh: Fresh, settings: Settings) -> Database:
    made = await fresh()
    await seed_demo(made, settings)
    return made


async def test_people_talk_about_their_tasks(database: Database) -> None:
    assert await count(database) > 400
    assert await count(database, Comment.parent_id.is_not(None)) > 100
    for part in (CommentMention, CommentRevision, TaskShare):
        assert await count(database, of=part) > 5
    told = await count(database, Event.kind == "COMMENT_CREATED", of=Event)
    assert told == await count(database)


async def test_there_are_three_comments_a_task_in_bulk(
    database: Database, settings: Settings
) -> None:
    before = await count(database)
    await seed_demo(database, settings, scale=2)
    made = await count(database) - before
    assert abs(made - 2 * 3 * TASKS_PER_PROJECT) < 0.02 * made
    told = await count(database, Event.kind == "COMMENT_CREATED", of=Event)
    assert told == await count(database)
    async with database.session() as session:
        parent = aliased(Comment)
        strays = await session.scalar(
            select(func.count())
            .select_from(Comment)
            .join(Task, Task.id == Comment.task_id)
            .outerjoin(parent, parent.id == Comment.parent_id)
            .where(
                (Comment.created_at < Task.created_at)
                | (parent.task_id != Comment.task_id)
                | parent.parent_id.is_not(None)
                | (parent.created_at > Comment.created_at)
            )
        )
    assert strays == 0
