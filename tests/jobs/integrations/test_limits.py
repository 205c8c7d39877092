"""Rate limits by GitHub's clock, and lists that have not changed."""

from __future__ import annotations

import datetime as dt

import pytest

from db.models import IntegrationStatus
from domain.tasks import task as tasks
from tests.jobs.integrations.conftest import Scene


async def test_a_limit_stops_every_request_of_the_connection(scene: Scene) -> None:
    for number in (1, 2, 3):
        scene.other.issue(number)
    integration = await scene.github()
    await scene.later()
    scene.other.refuse = (403, {"Retry-After": "300"})
    for title, task in (await scene.tasks()).items():
        scene.other.calls.clear()
        await scene.house.do(scene.ben.viewer, tasks.complete, task.id, None)
        await scene.later()
        # After the first refusal nothing is asked at all.
        assert len(scene.other.calls) == (title == "Issue 1")
    await scene.later(seconds=290)
    assert scene.other.calls == []
    scene.other.refuse = None
    await scene.later(seconds=20)
    assert {issue["state"] for issue in scene.other.issues.values()} == {"closed"}
    await scene.later(minutes=11)
    row = await scene.fresh(integration)
    assert (row.status, row.last_error) == (IntegrationStatus.ACTIVE, None)


@pytest.mark.parametrize("skew", [-3_000, 3_000])
async def test_the_reset_is_by_githubs_clock(scene: Scene, skew: int) -> None:
    scene.other.now = scene.house.clock() + dt.timedelta(seconds=skew)
    scene.other.issue(1)
    reset = int(scene.other.now.timestamp()) + 120
    scene.other.refuse = (
        403,
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)},
    )
    await scene.github()
    await scene.later()
    await scene.later(seconds=100)
    assert len(scene.other.calls) == 1
    scene.other.refuse = None
    await scene.later(seconds=30)
    assert set(await scene.tasks()) == {"Issue 1"}


@pytest.mark.parametrize("skew", [-40, 40])
async def test_changes_are_found_whatever_the_clocks_say(scene: Scene, skew: int) -> None:
    scene.other.now = scene.house.clock() + dt.timedelta(minutes=skew)
    scene.other.issue(1)
    await scene.github()
    await scene.later()
    for title in ("One", "Two", "Three"):
        scene.other.issue(1, title=title)
        await scene.later(minutes=11)
        assert set(await scene.tasks()) == {title}


async def test_a_thousand_issues_under_a_limit(scene: Scene) -> None:
    """Four requests an hour: each is used, none is made twice, and all issues come once."""
    scene.other.now = scene.house.clock()
    for number in range(1, 1_001):
        scene.other.issue(number)
    await scene.github()
    refused = 0
    for _ in range(6):
        scene.other.remaining = 4
        before = len(scene.other.calls)
        await scene.later(minutes=61)
        refused += len(scene.other.calls) - before > 4
    assert refused == 0
    assert len(await scene.all_tasks()) == 1_000
    pages = [
        query.get("page", "1") for query in scene.other.lists("issues") if "since" not in query
    ]
    assert pages == [str(page) for page in range(1, 11)]


async def test_an_unchanged_list_costs_nothing(scene: Scene) -> None:
    scene.other.issue(1)
    await scene.github()
    await scene.later()
    await scene.later(minutes=11)
    before = scene.other.remaining
    scene.other.calls.clear()
    for _ in range(3):
        await scene.later(minutes=11)
    # What the repository is called is asked each time; both lists are free.
    assert before - scene.other.remaining <= 3
    assert all("if-none-match" in call.headers for call in scene.other.calls if call.query)
    scene.other.issue(1, title="First")
    scene.other.comment(1, "Now")
    await scene.later(minutes=11)
    (task,) = await scene.all_tasks()
    assert task.title == "First"
    assert len(await scene.comments(task)) == 1
