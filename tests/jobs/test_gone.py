"""Every job ends quietly if what it is about was deleted after it was queued."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from db.models import Job, JobState
from jobs.consumer import EVENT_JOB
from jobs.handlers import HANDLERS
from tests.jobs.conftest import Workshop

_GONE = {
    name: uuid4().hex
    for name in (
        *("user", "recipient", "notification", "device", "export_id", "share_id"),
        *("delivery", "webhook", "integration", "event", "task"),
    )
}
PAYLOAD: dict[str, Any] = {
    **_GONE,
    "email": "nobody@example.com",
    "change": "password_changed",
    "reason": "It is disabled.",
    "from": "2026-01-01T00:00:00+00:00",
    "to": "2026-01-02T00:00:00+00:00",
    "until": "2026-01-02T00:00:00+00:00",
}


# That an event is no longer in the log is for administrators to know.
@pytest.mark.parametrize("name", sorted(HANDLERS.keys() - {EVENT_JOB}))
async def test_what_a_job_is_about_is_gone(workshop: Workshop, name: str) -> None:
    await workshop.enqueue(name, PAYLOAD)
    await workshop.run_due()
    async with workshop.house.database.session() as session:
        jobs = (await session.scalars(select(Job).where(Job.name == name))).all()
    assert [(job.state, job.attempts, job.reason) for job in jobs] == [(JobState.DONE, 1, None)]
