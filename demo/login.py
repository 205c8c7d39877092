"""Whether the demo company is there, and who can sign in: all that the server needs of the demo."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Database
from db.models import User
from demo.company import LOGIN, PASSWORD, PEOPLE


async def demo_login(database: Database) -> tuple[str, str] | None:
    """Username and password of the demo user, while they work."""
    async with database.session() as session:
        return (LOGIN, PASSWORD) if await exists(session, unchanged=True) else None


async def exists(session: AsyncSession, *, unchanged: bool = False) -> bool:
    """Whether the demo user is there; `unchanged`, with the password that we print."""
    email = next(person.email for person in PEOPLE if person.username == LOGIN)
    query = select(User.id).where(User.email == email, User.deleted_at.is_(None))
    if unchanged:
        query = query.where(
            User.is_active, User.username == LOGIN, User.password_changed_at == User.created_at
        )
    return await session.scalar(query) is not None
