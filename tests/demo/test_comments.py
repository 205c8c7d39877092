"""What is said at Larkspur, and in bulk."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from db.engine import Database
from db.models import Comment, CommentMention, CommentRevision, Event, Task, TaskShare
from demo.scale import TASKS_PER_PROJECT
from demo.seed import seed_demo
from settings import Settings


async def count(database: Database, *where: Any, of: Any = Comment) -> int:
    async with database.session() as session:
        found = await session.scalar(select(func.count()).select_from(of).where(*where))
    return found or 0


async def test_people_talk_about_their_tasks(company: Database) -> None:
    assert await count(company) > 200
    assert await count(company, Comment.parent_id.is_not(None)) > 100
    for part in (CommentMention, CommentRevision, TaskShare):
        assert await count(company, of=part) > 5
    told = await count(company, Event.kind == "COMMENT_CREATED", of=Event)
    assert told == await count(company)


async def test_there_are_three_comments_a_task_in_bulk(
    company: Database, settings: Settings
) -> None:
    before = await count(company)
    await seed_demo(company, settings, scale=2)
    made = await count(company) - before
    assert abs(made - 2 * 3 * TASKS_PER_PROJECT) < 0.02 * made
    told = await count(company, Event.kind == "COMMENT_CREATED", of=Event)
    assert told == await count(company)
    async with company.session() as session:
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
