"""Forgetting sessions that ended long ago, and the links of their chains.

An ended session is kept for a month, so that somebody who was signed out, or whose token was
copied, can still see when and from where. A used refresh token is kept that long after its time as
well: until then its reuse is recognised and ends the session.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from sqlalchemy import delete, or_, select

from db.models import RefreshToken, Session
from domain.work import Work

KEPT = dt.timedelta(days=30)
PORTION = 2_000


class Forgotten(NamedTuple):
    """How many rows went; tokens that went with their session are not counted."""

    sessions: int
    tokens: int


async def prune(work: Work, *, portion: int = PORTION) -> Forgotten:
    """Forget up to `portion` sessions and as many tokens that ended 30 days ago or earlier."""
    limit = work.now - KEPT
    ended = (
        select(Session.id)
        .where(or_(Session.expires_at <= limit, Session.revoked_at <= limit))
        .limit(portion)
    )
    expired = select(RefreshToken.hash).where(RefreshToken.expires_at <= limit).limit(portion)
    # Their tokens by themselves first: those of a long session are many.
    tokens = await work.session.scalars(
        delete(RefreshToken)
        .where(RefreshToken.hash.in_(expired))
        .returning(RefreshToken.session_id)
        .execution_options(synchronize_session=False)
    )
    sessions = await work.session.scalars(
        delete(Session)
        .where(Session.id.in_(ended))
        .returning(Session.id)
        .execution_options(synchronize_session=False)
    )
    return Forgotten(sessions=len(sessions.all()), tokens=len(tokens.all()))
