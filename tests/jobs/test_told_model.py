"""Random changes, compared with a plain model of who is notified of what, how and how often.

The model is what the documents promise (docs/mail.md, docs/push.md, the descriptions in the
schema), and shares no code with the server. What is compared is each inbox, the order in which it
was streamed, and what a mail server and a push service received.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select

from db.models import (
    Channel,
    Event,
    Notification,
    NotificationKind,
    Platform,
    ProjectMember,
    Role,
    TaskShare,
    TaskStatus,
)
from domain.notifications import device as devices
from domain.notifications import notification as notifications
from domain.projects import project as projects
from domain.tasks import comment as comments
from domain.tasks import share as shares
from domain.tasks import task as tasks
from tests.accounts import House, Person
from tests.jobs.conftest import MailServer, Workshop
from tests.jobs.test_notifications import Scene
from tests.jobs.test_push import Google, google  # noqa: F401 - a fixture

ASSIGNED, SHARED, COMPLETED = "TASK_ASSIGNED_TO_ME", "TASK_SHARED_WITH_ME", "TASK_COMPLETED"
COMMENT, MENTIONED = "COMMENT_ON_MY_TASK", "MENTIONED"
KINDS = (ASSIGNED, SHARED, COMPLETED, COMMENT, MENTIONED)
WAYS = ("in_app", "email", "push")
SAYS = {
    ASSIGNED: "{} assigned “{}” to you.",
    SHARED: "{} shared “{}” with you.",
    COMPLETED: "{} completed “{}”.",
    COMMENT: "{} commented on “{}”.",
    MENTIONED: "{} mentioned you on “{}”.",
}
DELAY = 30


# --- the model -----------------------------------------------------------------------------------


@dataclass
class Who:
    name: str
    member: bool = True
    active: bool = True
    verified: bool = True
    mail: bool = True
    off: set[tuple[str, str]] = field(default_factory=lambda: {(COMPLETED, way) for way in WAYS})
    devices: set[str] = field(default_factory=set)

    def wants(self, kind: str, way: str) -> bool:
        return (kind, way) not in self.off and (way != "email" or self.mail)


@dataclass
class Job:
    """A task of the model."""

    title: str
    owner: str
    assignee: str | None = None
    done: bool = False
    trashed: bool = False
    shares: set[str] = field(default_factory=set)


@dataclass
class Note:
    """A comment of the model."""

    task: str
    author: str
    mentions: set[str]
    gone: bool = False
    told: set[str] = field(default_factory=set)


@dataclass
class Told:
    """A notification of the model, by one or more channels."""

    who: str
    kind: str
    actor: str
    task: str
    note: int | None
    read: bool = False


@dataclass
class Model:
    people: dict[str, Who]
    tasks: dict[str, Job]
    notes: list[Note] = field(default_factory=list)
    happened: list[dict[str, Any]] = field(default_factory=list)
    inbox: list[Told] = field(default_factory=list)
    to_push: list[tuple[Told, str]] = field(default_factory=list)
    to_mail: dict[tuple[str, str], tuple[int, list[Told]]] = field(default_factory=dict)
    pushed: list[tuple[str, str]] = field(default_factory=list)
    mailed: list[tuple[str, list[str]]] = field(default_factory=list)
    now: int = 0

    def sees(self, who: str, task: str) -> bool:
        job, person = self.tasks[task], self.people[who]
        if job.trashed:
            return False
        return person.member or job.assignee == who or who in job.shares

    def happen(self, actor: str, what: str, task: str, **more: Any) -> None:
        job = self.tasks[task]
        mine = {job.owner, job.assignee} - {None}
        self.happened.append(
            {"actor": actor, "what": what, "task": task, "mine": mine, "note": None, **more}
        )

    def consume(self) -> None:
        """What a worker does about all that has happened."""
        for event in self.happened:
            job, note = self.tasks[event["task"]], event["note"]
            if job.trashed or (note is not None and self.notes[note].gone):
                continue
            for who, kinds in sorted(self._concerned(event)):
                person = self.people[who]
                if who == event["actor"] or not person.active:
                    continue
                if not self.sees(who, event["task"]):
                    continue
                for way in WAYS:
                    if way == "email" and not person.verified:
                        continue
                    kind = next((one for one in kinds if person.wants(one, way)), None)
                    if kind is not None:
                        self._tell(way, who, kind, event)
        self.happened.clear()

    def _concerned(self, event: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
        found: dict[str, list[str]] = {}
        if event["what"] in {"assigned", "completed"} and event.get("to") is not None:
            found.setdefault(event["to"], []).append(ASSIGNED)
        if event["what"] == "completed":
            for who in event["mine"]:
                found.setdefault(who, []).append(COMPLETED)
        if event["what"] == "shared":
            found.setdefault(event["to"], []).append(SHARED)
        if event["what"] in {"commented", "edited"}:
            for who in event["mentions"]:
                if who not in self.notes[event["note"]].told:
                    found.setdefault(who, []).append(MENTIONED)
        if event["what"] == "commented":
            for who in event["mine"]:
                found.setdefault(who, []).append(COMMENT)
        yield from found.items()

    def _tell(self, way: str, who: str, kind: str, event: dict[str, Any]) -> None:
        task, note = event["task"], event["note"]
        if kind == MENTIONED:
            self.notes[note].told.add(who)
        # One row for the channels of one kind, which are read together.
        same = next((one for one in self._latest if one.who == who and one.kind == kind), None)
        if same is None or self._event is not event:
            if self._event is not event:
                self._event, self._latest = event, []
            same = Told(who, kind, event["actor"], task, note)
            self._latest.append(same)
        if way == "in_app":
            self.inbox.append(same)
        elif way == "push":
            self.to_push += [(same, token) for token in sorted(self.people[who].devices)]
        else:
            _, rows = self.to_mail.setdefault((who, task), (self.now + DELAY, []))
            rows.append(same)

    _event: Any = None
    _latest: list[Told] = field(default_factory=list)

    def send(self) -> None:
        """What a worker sends that is due."""
        for told, token in self.to_push:
            if token in self.people[told.who].devices and self._says(told, "push"):
                self.pushed.append((token, self._sentence(told)))
        self.to_push.clear()
        for key, (due, rows) in list(self.to_mail.items()):
            if due <= self.now:
                del self.to_mail[key]
                said = [self._sentence(one) for one in rows if self._says(one, "email")]
                if said and self.people[key[0]].verified:
                    self.mailed.append((key[0], said))

    def _says(self, told: Told, way: str) -> bool:
        job, person = self.tasks[told.task], self.people[told.who]
        if told.read or not person.active or not person.wants(told.kind, way):
            return False
        if told.note is not None and self.notes[told.note].gone:
            return False
        if told.kind == ASSIGNED and job.assignee != told.who:
            return False
        if told.kind == COMPLETED and not job.done:
            return False
        return self.sees(told.who, told.task)

    def _sentence(self, told: Told) -> str:
        return SAYS[told.kind].format(self.people[told.actor].name, told.task)


# --- both, at random -----------------------------------------------------------------------------


class Run:
    """Does the same to the server and the model."""

    def __init__(self, scene: Scene, mail: MailServer, push: Google, seed: int) -> None:
        self.scene, self.mail, self.push = scene, mail, push
        self.random = random.Random(seed)
        self.done: list[str] = []
        self.ids: dict[str, Any] = {}
        self.note_ids: list[Any] = []
        self.tokens = 0

    async def begun(self) -> Run:
        # One after the other: of several to one service, some would have to wait.
        self.scene.workshop.concurrency = 1
        dan = await self.scene.verified()
        self.people: dict[str, Person] = {
            "ada": self.scene.ada,
            "ben": self.scene.ben,
            "cem": self.scene.cem,
            "dan": dan,
        }
        self.model = Model(
            {name: Who(f"Person {one.username}") for name, one in self.people.items()}, {}
        )
        self.model.people["dan"].member = False
        for title, owner in (("T1", "ada"), ("T2", "ben")):
            made = await self.scene.task(self.people[owner], title)
            self.ids[title] = made.id
            self.model.tasks[title] = Job(title, owner)
        await self.scene.workshop.all_done()
        return self

    def actor(self, task: str) -> str | None:
        can = [
            name
            for name, one in self.model.people.items()
            if one.active and one.member and self.model.sees(name, task)
        ]
        return self.random.choice(can) if can else None

    async def do(self, who: str, act: Any, *arguments: Any, **options: Any) -> Any:
        return await self.scene.house.do(self.people[who].viewer, act, *arguments, **options)

    async def step(self) -> None:
        name = self.random.choice(list(_WEIGHTS.elements()))
        task = self.random.choice(list(self.model.tasks))
        if self.random.random() < 0.5:
            self.scene.house.clock.forward(seconds=1)
            self.model.now += 1
        self.done.append(f"{name} {task}")
        await getattr(self, f"_{name}")(task)

    def say(self, *words: Any) -> None:
        self.done[-1] += f" {words}"

    async def _assign(self, task: str) -> None:
        job, who = self.model.tasks[task], self.actor(task)
        if who is None:
            return
        # To assign somebody who does not see the task needs the right to share it.
        able = [n for n, p in self.model.people.items() if p.active and self.model.sees(n, task)]
        if who == "ada" and self.model.people["dan"].active:
            able.append("dan")
        to = self.random.choice([None, *able])
        self.say(who, to)
        if to == job.assignee:
            return
        id_ = None if to is None else self.people[to].id
        if not job.done and self.random.random() < 0.25:
            values = {"assignee_id": id_, "status": TaskStatus.COMPLETED}
            await self.do(who, tasks.update_task, self.ids[task], values, None)
            job.assignee, job.done = to, True
            self.model.happen(who, "completed", task, to=to)
            self.say("and completed")
        else:
            await self.do(who, tasks.assign, self.ids[task], id_, None)
            job.assignee = to
            self.model.happen(who, "assigned", task, to=to)

    async def _complete(self, task: str) -> None:
        job, who = self.model.tasks[task], self.actor(task)
        if who is None:
            return
        self.say(who, job.done)
        act = tasks.reopen if job.done else tasks.complete
        await self.do(who, act, self.ids[task], None)
        job.done = not job.done
        if job.done:
            self.model.happen(who, "completed", task)

    def _body(self, task: str) -> tuple[str, set[str]]:
        parts, mentioned = [f"n{self.random.random()}"], set()
        for name, one in self.model.people.items():
            if self.random.random() < 0.4:
                username = self.people[name].username
                form = self.random.choice(
                    ["@{}", "@{} and @{}", "`@{}`", "x@{}", "[@{}](https://a.b)"]
                )
                written = self.random.choice([username, username.upper()])
                parts.append(form.replace("{}", written))
                if form.startswith("@") and one.active and self.model.sees(name, task):
                    mentioned.add(name)
        return ", ".join(parts), mentioned

    async def _comment(self, task: str) -> None:
        who = self.actor(task)
        if who is None:
            return
        body, mentioned = self._body(task)
        made = await self.do(who, comments.create, self.ids[task], body)
        self.note_ids.append(made.id)
        self.model.notes.append(Note(task, who, mentioned))
        index = len(self.note_ids) - 1
        self.say(who, index, mentioned)
        self.model.happen(who, "commented", task, note=index, mentions=mentioned)

    def _mine(self, task: str) -> int | None:
        found = [
            index
            for index, note in enumerate(self.model.notes)
            if note.task == task
            and not note.gone
            and self.model.people[note.author].active
            and self.model.sees(note.author, task)
        ]
        # The latest, so that much happens to one.
        return self.random.choice(found[-3:]) if found else None

    async def _edit(self, task: str) -> None:
        index = self._mine(task)
        if index is None:
            return
        note = self.model.notes[index]
        body, mentioned = self._body(task)
        self.say(note.author, index, mentioned)
        await self.do(note.author, comments.update, self.note_ids[index], body, None)
        new, note.mentions = mentioned - note.mentions, mentioned
        self.model.happen(note.author, "edited", task, note=index, mentions=new)

    async def _uncomment(self, task: str) -> None:
        index = self._mine(task)
        if index is None:
            return
        note = self.model.notes[index]
        self.say(note.author, index)
        await self.do(note.author, comments.delete, self.note_ids[index])
        note.gone = True
        # What is about it goes, too.
        self.model.inbox = [one for one in self.model.inbox if one.note != index]

    async def _share(self, task: str) -> None:
        job = self.model.tasks[task]
        if job.trashed or not self.model.people["dan"].active:
            return
        if "dan" in job.shares:
            async with self.scene.house.database.session() as session:
                share = await session.scalar(
                    select(TaskShare.id).where(
                        TaskShare.task_id == self.ids[task],
                        TaskShare.user_id == self.people["dan"].id,
                    )
                )
            await self.do("ada", shares.delete, share)
            job.shares.discard("dan")
        else:
            await self.do("ada", shares.create, self.ids[task], user_id=self.people["dan"].id)
            job.shares.add("dan")
            self.model.happen("ada", "shared", task, to="dan")

    async def _leave(self, _task: str) -> None:
        cem, project = self.people["cem"], self.scene.project.id
        who = self.model.people["cem"]
        if who.member:
            async with self.scene.house.database.session() as session:
                member = await session.scalar(
                    select(ProjectMember.id).where(
                        ProjectMember.project_id == project, ProjectMember.user_id == cem.id
                    )
                )
            await self.do("ada", projects.remove_member, member)
            for job in self.model.tasks.values():
                job.assignee = None if job.assignee == "cem" else job.assignee
        elif who.active:
            await self.do("ada", projects.add_member, project, cem.id, Role.EDITOR)
        else:
            return
        who.member = not who.member

    async def _trash(self, task: str) -> None:
        job = self.model.tasks[task]
        act = (tasks.restore, ()) if job.trashed else (tasks.delete, (None,))
        await self.do("ada", act[0], self.ids[task], *act[1])
        job.trashed = not job.trashed

    async def _choose(self, _task: str) -> None:
        name = self.random.choice(list(self.people))
        who = self.model.people[name]
        if self.random.random() < 0.2:
            who.mail = not who.mail
            await self.do(name, notifications.update_preferences, is_email_enabled=who.mail)
            return
        kind, way = self.random.choice(KINDS), self.random.choice(WAYS)
        who.off ^= {(kind, way)}
        on = (kind, way) not in who.off
        self.say(name, kind, way, on)
        choices = {NotificationKind[kind]: {Channel(way): on}}
        await self.do(name, notifications.update_preferences, choices=choices)

    async def _account(self, _task: str) -> None:
        name = self.random.choice(["ben", "cem", "dan"])
        who = self.model.people[name]
        if self.random.random() < 0.5:
            who.active = not who.active
            await self.scene.set_user(self.people[name], is_active=who.active)
        else:
            who.verified = not who.verified
            at = self.scene.house.clock() if who.verified else None
            await self.scene.set_user(self.people[name], email_verified_at=at)
        self.say(name, who.active, who.verified)

    async def _device(self, _task: str) -> None:
        name = self.random.choice(list(self.people))
        who = self.model.people[name]
        if who.devices and self.random.random() < 0.5:
            token = who.devices.pop()
            await self.do(name, devices.unregister, None, token)
        else:
            self.tokens += 1
            token = f"{self.people[name].username}-{self.tokens}"
            await self.do(name, devices.register, token, Platform.ANDROID, None)
            who.devices.add(token)

    async def _read(self, _task: str) -> None:
        name = self.random.choice(list(self.people))
        await self.do(name, notifications.mark_all_read)
        for told in self.model.inbox:
            told.read |= told.who == name

    async def _consume(self, _task: str) -> None:
        await self.scene.workshop.catch_up()
        self.model.consume()
        await self.compare_inboxes()

    async def _send(self, _task: str) -> None:
        late = self.random.choice([0, 10, DELAY])
        self.scene.house.clock.forward(seconds=late)
        self.model.now += late
        self.push.messages.clear()
        self.mail.letters.clear()
        self.model.pushed.clear()
        self.model.mailed.clear()
        await self.scene.workshop.run_due()
        self.model.send()
        self.say(self.model.pushed, self.model.mailed)
        # Other tests may have left something to send.
        mine = {person.username for person in self.people.values()}
        pushed = [
            (one["token"], one["notification"]["title"])
            for one in self.push.messages
            if one["token"].partition("-")[0] in mine
        ]
        assert sorted(pushed) == sorted(self.model.pushed), self.story()
        by_address = {one.email: name for name, one in self.people.items()}
        mailed = []
        for letter in self.mail.letters:
            (address,) = letter.to
            if address not in by_address:
                continue
            said = [line for line in letter.text.splitlines() if line.startswith("Person ")]
            assert said == re.findall(r"<p>(Person .*?)</p>", letter.html)
            mailed.append((by_address[address], said))
        assert sorted(mailed) == sorted(self.model.mailed), self.story()

    async def compare_inboxes(self) -> None:
        titles = {id_: title for title, id_ in self.ids.items()}
        for name, person in self.people.items():
            async with self.scene.house.database.session() as session:
                query = select(Notification).where(
                    Notification.recipient_id == person.id, Notification.in_app
                )
                rows = list(
                    await session.scalars(query.order_by(Notification.created_at, Notification.id))
                )
                streamed = await session.scalars(
                    select(Event.subject_id)
                    .where(
                        Event.kind == "NOTIFICATION_CREATED", Event.audience.contains([person.id])
                    )
                    .order_by(Event.xid, Event.position)
                )
                there = {row.id for row in rows}
                order = [id_ for id_ in streamed if id_ in there]
                assert order == [row.id for row in rows], self.story()
            found = [(row.kind.name, titles[row.task_id]) for row in rows]
            expected = [(one.kind, one.task) for one in self.model.inbox if one.who == name]
            assert found == expected, (name, self.story())

    def story(self) -> str:
        return "\n".join(self.done[-40:])


class _Weights(dict[str, int]):
    def elements(self) -> Iterator[str]:
        for name, count in self.items():
            yield from [name] * count


_WEIGHTS = _Weights(
    assign=8,
    complete=4,
    comment=8,
    edit=6,
    uncomment=2,
    share=3,
    leave=2,
    trash=2,
    choose=5,
    account=2,
    device=3,
    read=1,
    consume=7,
    send=6,
)


@pytest.fixture
async def scene(
    house: House,
    workshop: Workshop,
    mail: MailServer,
    google: Google,  # noqa: F811
) -> Scene:
    return await Scene(house, workshop).set()


@pytest.mark.parametrize("seed", [1, 2, pytest.param(3, marks=pytest.mark.nightly)])
async def test_everyone_is_told_what_concerns_them(
    scene: Scene,
    mail: MailServer,
    google: Google,  # noqa: F811
    seed: int,
) -> None:
    run = await Run(scene, mail, google, seed).begun()
    for _ in range(250):
        await run.step()
