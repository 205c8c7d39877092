"""What everybody at Larkspur did in the last three months, as a list of acts in order of time.

The plan is complete before anything is written: who creates which task when, who takes, begins and
completes it, and what is still open. The same seed and the same "now" give the same plan.
`demo.seed` carries it out; each act calls one operation of the domain, as the API would.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from auth.authenticator import Authenticator
from auth.encryption import Encryption
from db.base import new_id
from db.models import Role, TaskPriority, TaskStatus
from demo import comments as comment_texts
from demo import company, hours
from demo import reminders as reminder_texts
from demo import tasks as task_outlines
from demo.company import LOGIN, PASSWORD, PEOPLE, STORIES, Person, Story
from demo.outline import Item, parse
from domain.accounts import user as users
from domain.projects import project as projects
from domain.projects.project import NewProject
from domain.tasks import task as tasks
from domain.tasks.external_references import ExternalReference
from domain.tasks.task import NewTask
from domain.work import Work

# When everybody had joined, in days before now.
_FOUNDED = 91
# Reads the books of some projects; nobody shares single tasks with her.
_ACCOUNTANT = "lena"
_PRIORITIES = {
    TaskPriority.NONE: 35,
    TaskPriority.LOW: 15,
    TaskPriority.MEDIUM: 28,
    TaskPriority.HIGH: 16,
    TaskPriority.URGENT: 6,
}
_ESTIMATES = (None, None, *(60 * minutes for minutes in (15, 30, 60, 90, 120, 240, 480, 960)))
_NOTES = (
    "Waiting for an answer.",
    "Ask Bram first.",
    "See the photo on the board.",
    "Half a day at most.",
    "The second drawer, not the first.",
    "Nobody has to know who suggested this.",
)


class Cast(dict[str, UUID]):
    """Everybody's ID by username, as far as the plan has been carried out."""


@dataclass(frozen=True, slots=True)
class Act:
    """One person (None: nobody yet) does something at a moment."""

    at: dt.datetime
    who: str | None
    do: Callable[[Work, Cast], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class _List:
    """A list of planned tasks: a project's, or Ada's own.

    `people` can create tasks and be assigned.
    """

    project_id: UUID | None
    people: tuple[str, ...]
    # All people who see them.
    members: tuple[str, ...]
    owner: str
    why: tuple[str, ...]
    done: tuple[str, ...]
    begin: dt.datetime
    end: dt.datetime
    archived: bool = False


def make(now: dt.datetime, seed: str, auth: Authenticator) -> list[Act]:
    """All acts, in order of time."""
    planner = _Planner(now, Random(seed), auth)  # noqa: S311 - a story, not a secret
    planner.plan()
    planner.comments(Random(f"{seed} talk"))  # noqa: S311 - as above
    planner.hours(Random(f"{seed} hours"))  # noqa: S311 - as above
    planner.reminders()
    # Stable, so that acts of one moment keep the order of planning.
    return sorted(planner.acts, key=lambda act: act.at)


class _Planner:
    def __init__(self, now: dt.datetime, random: Random, auth: Authenticator) -> None:
        self.now = now
        self.random = random
        self.auth = auth
        self.acts: list[Act] = []
        self.topics: list[comment_texts.Topic] = []
        self.periods: list[hours.WorkPeriod] = []
        self.projects: dict[str, UUID] = {}
        # Ada's open tasks that are not due yet.
        self.due: list[UUID] = []

    def plan(self) -> None:
        for number, person in enumerate(PEOPLE):
            self._join(person, self._ago(_FOUNDED) + dt.timedelta(minutes=7 * number))
        for story in STORIES:
            self._tell(story)
        own = _List(
            None,
            (LOGIN,),
            (LOGIN,),
            LOGIN,
            company.PERSONAL_WHY,
            company.PERSONAL_DONE,
            self._ago(70),
            self._ago(0.1),
        )
        for item in parse(task_outlines.PERSONAL):
            self._task(own, item, None, own.begin, own.end)

    def comments(self, random: Random) -> None:
        """The comments on the tasks planned so far."""
        for at, who, do in comment_texts.doings(self.topics, random):
            self._alone(at, who, do)

    def hours(self, random: Random) -> None:
        """The time entries for them."""
        for at, who, do in hours.doings(self.periods, random, self.now):
            self._alone(at, who, do)

    def reminders(self) -> None:
        """Ada's private tasks."""
        ada = next(person for person in PEOPLE if person.username == LOGIN)
        things = reminder_texts.Reminders(ada.timezone, tuple(self.due), self.projects["PARTS"])
        for at, who, do in reminder_texts.doings(things, Encryption(self.auth.settings), self.now):
            self._alone(at, who, do)

    # --- people and projects ---------------------------------------------------------------------

    def _join(self, person: Person, at: dt.datetime) -> None:
        async def register(work: Work, cast: Cast) -> None:
            user = await users.create(
                work,
                self.auth,
                username=person.username,
                email=person.email,
                password=PASSWORD,
                full_name=person.full_name,
                timezone=person.timezone,
                is_admin=person.is_admin,
            )
            cast[person.username] = user.id

        async def settle_in(work: Work, _: Cast) -> None:
            await users.update_profile(work, self.auth, person.profile)

        self._act(at, None, register)
        if person.profile:
            self._act(at + dt.timedelta(minutes=5), person.username, settle_in)

    def _tell(self, story: Story) -> None:
        begin = self._ago(story.began)
        end = self._ago(0.1 if story.archived is None else story.archived)
        project_id = self.projects[story.key] = self._id(begin)
        new = NewProject(
            story.name,
            description=story.description,
            key=story.key,
            color=story.color,
            id=project_id,
        )

        async def found(work: Work, cast: Cast) -> None:
            await projects.create(work, new)
            for name, role in story.members.items():
                if role is not Role.OWNER:
                    await projects.add_member(work, project_id, cast[name], role)

        self._act(begin, story.owner, found)
        hands = tuple(name for name, role in story.members.items() if role >= Role.EDITOR)
        of_project = _List(
            project_id,
            hands,
            tuple(story.members),
            story.owner,
            story.why,
            story.done,
            begin,
            end,
            archived=story.archived is not None,
        )
        for item in parse(story.outline):
            self._task(of_project, item, None, begin, end)
        if story.archived is not None:

            async def archive(work: Work, _: Cast) -> None:
                await projects.set_archived(work, project_id, archived=True, if_version=None)

            self._act(end + dt.timedelta(hours=1), story.owner, archive)

    # --- tasks -----------------------------------------------------------------------------------

    def _task(
        self,
        where: _List,
        item: Item,
        parent_id: UUID | None,
        low: dt.datetime,
        high: dt.datetime,
        *,
        finished: bool = False,
    ) -> None:
        """Plan a task that is created between two moments, its life, and its subtasks.

        With `finished`, its parent is completed at `high`, so this one must be by then.
        """
        at = self._between(low, high)
        fate = self._fate(where, at, finished=finished or where.archived)
        if fate is TaskStatus.COMPLETED:
            latest = min(high, at + dt.timedelta(days=self.random.uniform(1, 20)))
            end = self._between(at, latest)
        else:
            end = high
        taken = fate is not TaskStatus.TODO or self.random.random() < 0.6
        assignee = self.random.choice(where.people) if taken else None
        at_once = assignee is not None and self.random.random() < 0.85
        task_id = self._id(at)
        new = {
            "title": item.title,
            "id": task_id,
            "project_id": where.project_id if parent_id is None else None,
            "parent_id": parent_id,
            "description": self._description(where, finished=fate is TaskStatus.COMPLETED),
            "notes": self._sometimes(0.12, _NOTES),
            "priority": self._weighted(_PRIORITIES),
            "estimate": self.random.choice(_ESTIMATES),
            "tags": item.tags,
            "external_references": self._imported(where, task_id),
            **self._dates(at, end, still_open=fate.is_open),
        }
        maker = self.random.choice((where.owner, *where.people))

        async def create(work: Work, cast: Cast) -> None:
            given = None if assignee is None or not at_once else cast[assignee]
            await tasks.create(work, NewTask(**new, assignee_id=given))

        self._act(at, maker, create)
        if fate.is_open and assignee == LOGIN and self._is_to_come(new):
            self.due.append(task_id)
        if where.project_id is not None or maker == LOGIN:
            self.topics.append(
                comment_texts.Topic(
                    task_id,
                    where.owner,
                    where.members,
                    at,
                    where.end,
                    [
                        one.username
                        for one in PEOPLE
                        if one.username not in {*where.members, _ACCOUNTANT}
                    ],
                )
            )
        if assignee is not None and not at_once:
            self._assign(task_id, where.owner, assignee, self._between(at, end))
        self._live(where, task_id, fate, hand=assignee or where.owner, at=at, end=end)
        for child in item.children:
            self._task(where, child, task_id, at, end, finished=fate is TaskStatus.COMPLETED)

    def _imported(self, where: _List, task_id: UUID) -> list[ExternalReference]:
        """A few tasks came from an older tracker."""
        number = task_id.int % 997
        if where.project_id is None or number > 60:
            return []
        address = f"https://tracker.example.com/browse/OLD-{number}"
        return [ExternalReference("tracker", f"OLD-{number}-{task_id.hex[-4:]}", address)]

    def _fate(self, where: _List, at: dt.datetime, *, finished: bool) -> TaskStatus:
        """A task's state now: the older, the likelier it is done."""
        chance = self.random.random()
        if finished:
            return TaskStatus.CANCELLED if chance < 0.05 else TaskStatus.COMPLETED
        age = (where.end - at) / (where.end - where.begin)
        completed = 0.1 + 0.6 * age
        for limit, fate in (
            (completed, TaskStatus.COMPLETED),
            (completed + 0.04, TaskStatus.CANCELLED),
            (completed + 0.2, TaskStatus.IN_PROGRESS),
        ):
            if chance < limit:
                return fate
        return TaskStatus.TODO

    def _live(
        self,
        where: _List,
        task_id: UUID,
        fate: TaskStatus,
        *,
        hand: str,
        at: dt.datetime,
        end: dt.datetime,
    ) -> None:
        """What happens to a task after its creation."""
        if where.project_id is not None and fate is not TaskStatus.TODO:
            going_on = fate is TaskStatus.IN_PROGRESS and not where.archived
            self.periods.append(hours.WorkPeriod(task_id, hand, at, end, is_open=going_on))
        if fate is TaskStatus.COMPLETED:
            if self.random.random() < 0.35:
                self._update(task_id, hand, {"status": TaskStatus.IN_PROGRESS}, at + (end - at) / 2)
            self._complete(task_id, hand, end)
        elif fate is TaskStatus.IN_PROGRESS:
            self._update(task_id, hand, {"status": fate}, self._between(at, end))
        elif fate is TaskStatus.CANCELLED:
            self._update(task_id, where.owner, {"status": fate}, end)
        elif self.random.random() < 0.1:
            self._update(
                task_id, where.owner, {"priority": TaskPriority.HIGH}, self._between(at, end)
            )
        elif self.random.random() < 0.05:
            middle = at + (end - at) / 2
            self._complete(task_id, hand, middle)
            self._reopen(task_id, where.owner, end)

    def _assign(self, task_id: UUID, who: str, assignee: str, at: dt.datetime) -> None:
        async def assign(work: Work, cast: Cast) -> None:
            await tasks.assign(work, task_id, cast[assignee], None)

        self._act(at, who, assign)

    def _update(self, task_id: UUID, who: str, changes: Mapping[str, Any], at: dt.datetime) -> None:
        async def update(work: Work, _: Cast) -> None:
            await tasks.update_task(work, task_id, changes, None)

        self._act(at, who, update)

    def _complete(self, task_id: UUID, who: str, at: dt.datetime) -> None:
        async def complete(work: Work, _: Cast) -> None:
            await tasks.complete(work, task_id, None)

        self._act(at, who, complete)

    def _reopen(self, task_id: UUID, who: str, at: dt.datetime) -> None:
        async def reopen(work: Work, _: Cast) -> None:
            await tasks.reopen(work, task_id, None)

        self._act(at, who, reopen)

    # --- details ---------------------------------------------------------------------------------

    def _dates(self, at: dt.datetime, end: dt.datetime, *, still_open: bool) -> dict[str, Any]:
        """When it is due, and when it can begin: around now for open tasks."""
        if self.random.random() < 0.4:
            return {}
        if still_open:
            due = self.now + dt.timedelta(days=self.random.triangular(-12, 40, 6))
        else:
            due = end + dt.timedelta(days=self.random.gauss(1, 4))
        due = max(due, at + dt.timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
        dates: dict[str, Any] = {}
        if self.random.random() < 0.7:
            dates["due_on"] = due.date()
        else:
            dates["due_at"] = due
        if self.random.random() < 0.2:
            dates["start_at"] = at + (due - at) / 3
        return dates

    def _is_to_come(self, new: Mapping[str, Any]) -> bool:
        """Whether a new task is due so late that the day before is still to come, in every time
        zone.
        """
        on = new["due_at"].date() if "due_at" in new else new.get("due_on")
        return on is not None and on > (self.now + dt.timedelta(days=2)).date()

    def _description(self, where: _List, *, finished: bool) -> str | None:
        chance = self.random.random()
        if chance < 0.4:
            return None
        why = self.random.choice(where.why)
        if chance < 0.6:
            return why
        steps = self.random.sample(where.done, k=min(3, len(where.done)))
        boxes = "\n".join(f"- [{'x' if finished else ' '}] {step}" for step in steps)
        if chance < 0.92:
            return f"{why}\n\n**Done when**\n\n{boxes}"
        table = f"| Tried | By | Result |\n|---|---|---|\n| once | {where.owner} | so-so |"
        return f"> {why}\n\n{table}"

    def _sometimes(self, chance: float, choices: Sequence[str]) -> str | None:
        return self.random.choice(choices) if self.random.random() < chance else None

    def _weighted(self, weights: Mapping[TaskPriority, int]) -> TaskPriority:
        return self.random.choices(list(weights), list(weights.values()))[0]

    def _id(self, at: dt.datetime) -> UUID:
        return new_id(at, self.random.getrandbits)

    def _ago(self, days: float) -> dt.datetime:
        return self.now - dt.timedelta(days=days)

    def _between(self, low: dt.datetime, high: dt.datetime) -> dt.datetime:
        """A moment between two, in working hours if there are any."""
        at = low
        for _ in range(12):
            at = low + (high - low) * self.random.random()
            if at.weekday() < 5 and 7 <= at.hour < 18:
                break
        return at

    def _act(
        self, at: dt.datetime, who: str | None, do: Callable[[Work, Cast], Awaitable[object]]
    ) -> None:
        self.acts.append(Act(at, who, do))

    def _alone(self, at: dt.datetime, who: str, do: Callable[[Work], Awaitable[object]]) -> None:
        """An act that needs no IDs of others."""

        async def act(work: Work, _: Cast) -> None:
            await do(work)

        self._act(at, who, act)
