"""Random changes on both sides, with random faults in between: in the end both sides agree.

The oracle is a dictionary: what was done here stands as long as nobody changes the state there.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest

from db.models import Integration, IntegrationStatus, Task, TaskStatus
from domain import integration as integrations
from domain import task as tasks
from tests.jobs.integrations.conftest import Scene
from tests.jobs.services import Call

STEPS = 18
ISSUES = 5
FAULTS: list[tuple[int, dict[str, str]]] = [
    (301, {"Location": "http://127.0.0.2:9/elsewhere"}),
    (403, {}),
    (403, {"Retry-After": "90"}),
    (403, {"X-RateLimit-Remaining": "0"}),
    (404, {}),
    (410, {}),
    (422, {}),
    (429, {}),
    (500, {}),
    (503, {"Retry-After": "30"}),
]


class Run:
    """One sequence. `done_here`: what was done here and must stand, by the number of the issue."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene = scene
        self.other = scene.other
        self.random = random.Random(seed)
        self.skew = dt.timedelta(seconds=self.random.randint(-600, 600))
        self.done_here: dict[int, bool] = {}
        # How many synchronisations have ended since the state was changed there.
        self.changed_there: dict[int, int] = {}
        self.last_sync: dt.datetime | None = None
        self.names = 0

    # --- both sides ------------------------------------------------------------------------------

    def issues(self) -> dict[int, dict[str, Any]]:
        """All of them, by the numbers that they had at first."""
        return self.other.issues | self.other.transferred

    async def tasks(self) -> dict[int, Task]:
        found = await self.scene.all_tasks()
        by_number = {int(task.title.split()[1]): task for task in found}
        assert len(by_number) == len(found), "something was imported twice"
        return by_number

    async def change_here(self, number: int) -> None:
        task = (await self.tasks()).get(number)
        if task is None:
            return
        status = self.random.choice(
            [TaskStatus.COMPLETED, TaskStatus.CANCELLED]
            if task.status.is_open
            else [TaskStatus.TODO, TaskStatus.IN_PROGRESS]
        )
        await self.scene.house.do(
            self.scene.ben.viewer, tasks.update_task, task.id, {"status": status}, None
        )
        if number not in self.changed_there:
            self.done_here[number] = status.is_open

    def change_there(self, number: int) -> None:
        issue = self.issues()[number]
        self.other.now += dt.timedelta(seconds=10)
        issue["updated_at"] = self.other.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        if self.random.random() < 0.5:
            self.names += 1
            issue["title"] = f"Issue {number} ({self.names})"
            return
        issue["state"] = "open" if issue["state"] == "closed" else "closed"
        issue["state_reason"] = self.random.choice(["completed", "not_planned"])
        self.done_here.pop(number, None)
        self.changed_there[number] = 0

    # --- a sequence ------------------------------------------------------------------------------

    async def step(self, integration: Integration) -> None:
        self.other.now = max(self.other.now, self.scene.house.clock() + self.skew)
        number = self.random.choice(list(self.issues()))
        act = self.random.choice(["here", "here", "here", "there", "there", "new", "comment",
                                  "transfer", "rename", "again"])  # fmt: skip
        if act == "here":
            await self.change_here(number)
        elif act == "there":
            self.change_there(number)
        elif act == "new" and len(self.issues()) < ISSUES + 3:
            self.other.issue(max(self.issues()) + 1)
        elif act == "comment" and number in self.other.issues:
            self.other.comment(number, "Something to say")
        elif act == "transfer" and len(self.other.issues) > 3 and number in self.other.issues:
            # One that moves before it was read never comes.
            if number in await self.tasks():
                self.other.transfer(number)
        elif act == "rename":
            self.names += 1
            self.other.rename(f"octocat/name-{self.names}")
        elif act == "again":
            await self.resume(integration)
        await self.scene.later(minutes=self.random.choice([0, 1, 5, 11]))
        await self.check(integration)

    async def resume(self, integration: Integration) -> None:
        """What an owner does who sees that it has stopped."""
        await self.scene.house.do(self.scene.ada.viewer, integrations.sync, integration.id)

    async def check(self, integration: Integration) -> None:
        here = await self.tasks()
        for number, is_open in self.done_here.items():
            assert here[number].status.is_open == is_open, f"a change of {number} was undone"
        ended = (await self.scene.fresh(integration)).last_sync_at
        if ended != self.last_sync:
            self.last_sync = ended
            for number in self.changed_there:
                self.changed_there[number] += 1
        # Two: the first may have read the list before. What was moved may be in none.
        self.changed_there = {
            number: ends
            for number, ends in self.changed_there.items()
            if ends < 2 or number in self.other.transferred
        }

    def faults(self, share: float) -> None:
        def fault(_call: Call) -> tuple[int, dict[str, str]] | None:
            return self.random.choice(FAULTS) if self.random.random() < share else None

        self.other.fault = fault
        self.other.lost = lambda call: call.method == "PATCH" and self.random.random() < share


async def run(scene: Scene, seed: int) -> None:
    sequence = Run(scene, seed)
    for number in range(1, ISSUES + 1):
        scene.other.issue(number)
    integration = await scene.github()
    await scene.later()
    sequence.faults(0.25)
    for _ in range(STEPS):
        await sequence.step(integration)
    sequence.faults(0.0)
    # A transfer is in no list: it shows when something is to be told, which one of two changes is.
    for _ in range(2):
        await scene.later(hours=3)
        await sequence.resume(integration)
        await scene.later(seconds=1)
        for number in list(scene.other.transferred):
            await sequence.change_here(number)
    for _ in range(2):
        await scene.later(hours=3)
        await sequence.resume(integration)
        await scene.later(seconds=1)
        await sequence.check(integration)
    await scene.later(minutes=11)
    here, there = await sequence.tasks(), sequence.issues()
    assert here.keys() == there.keys()
    for number, issue in there.items():
        assert here[number].title == issue["title"]
        assert here[number].status.is_open == (issue["state"] == "open")
        assert number not in sequence.done_here or (
            here[number].status.is_open == sequence.done_here[number]
        )
    row = await scene.fresh(integration)
    assert (row.status, row.last_error) == (IntegrationStatus.ACTIVE, None)
    assert row.settings["repository"] == scene.other.repository
    comments = [body for task in here.values() for body in await scene.comments(task)]
    kept = {
        int(one["issue_url"].rpartition("/")[2]) for one in scene.other.comments
    } - scene.other.transferred.keys()
    said = [one for one in scene.other.comments
            if int(one["issue_url"].rpartition("/")[2]) in kept]  # fmt: skip
    assert len(said) <= len(comments) <= len(scene.other.comments)


@pytest.mark.parametrize("seed", range(2))
async def test_in_the_end_both_sides_agree(scene: Scene, seed: int) -> None:
    await run(scene, seed)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 130))
async def test_in_the_end_both_sides_agree_often(scene: Scene, seed: int) -> None:
    await run(scene, seed)
