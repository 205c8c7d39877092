"""Comments on tasks, and shares with people outside of a project.

Planned after all else, with a random generator of its own, so that it changes nothing of the story.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from uuid import UUID

from sqlalchemy import select

from db.base import new_id
from db.models import Permission, User
from domain.tasks import comment as comments
from domain.tasks import share as shares
from domain.work import Work

Doing = tuple[dt.datetime, str, Callable[[Work], Awaitable[object]]]

OPENINGS = (
    "Tried it this morning: works, but **loud**. Can somebody else listen to it?",
    "@{other}, you did this last time. What was the torque, 8 or 12 Nm?",
    "Waiting for the supplier. They said *Thursday*, which with them means Monday.",
    "Photo is on the board. The left one is ours.",
    "Two things left:\n\n1. measure it once more\n2. tell @{other}",
    "I would rather do this after the weekend; the hall is full of crates.",
    "Done on the first two, the third one has another bracket.\n\n> see the note in the drawer",
    "Is this still wanted? It has been here for a while.",
    "The manual says:\n\n```\n36 V, 250 W, fuse 15 A\n```\n\nOurs has a 10 A fuse.",
    "Costs less than we thought: ~~180~~ 140 €.",
    "Took me half an hour, not four. Lucky.",
    "See https://www.rfc-editor.org/rfc/rfc3339 before you touch the dates again.",
)
ANSWERS = (
    "12. I have it written on the wall.",
    "Yes please.",
    "Go ahead, I am in the shop until five.",
    "Thank you, @{other}!",
    "Not before I have seen it.",
    "Same here.",
    "I can do that, but not today.",
    "Where is the drawer?",
)
EDITED = " (Corrected, I had looked at the wrong one.)"


@dataclass(frozen=True, slots=True)
class Topic:
    """A task that is discussed between two moments, by people who can see it all that time."""

    task_id: UUID
    # Can share the task.
    owner: str
    people: Sequence[str]
    begin: dt.datetime
    end: dt.datetime
    # People who cannot see it.
    outsiders: Sequence[str] = ()


def doings(topics: Sequence[Topic], random: Random) -> list[Doing]:
    """All comments and shares."""
    found: list[Doing] = []
    for topic in topics:
        if len(topic.people) > 1:
            for _ in range(random.choice((0, 0, 0, 0, 0, 1, 1))):
                found += _thread(topic, random)
        if topic.outsiders and random.random() < 0.08:
            found.append(_showing(topic, random))
    return found


def _thread(topic: Topic, random: Random) -> list[Doing]:
    at = _moment(topic.begin, topic.end, random)
    who, other = random.sample(list(topic.people), 2)
    opening_id = new_id(at, random.getrandbits)
    text = random.choice(OPENINGS).format(other=other)

    async def open_it(work: Work) -> None:
        await comments.create(work, topic.task_id, text, id_=opening_id)

    found: list[Doing] = [(at, who, open_it)]
    if random.random() < 0.1:

        async def edit(work: Work) -> None:
            await comments.update(work, opening_id, text + EDITED, None)

        found.append((_moment(at, topic.end, random), who, edit))
    for _ in range(random.choice((0, 0, 1, 2))):
        later = _moment(at, topic.end, random)
        who, other = random.sample(list(topic.people), 2)
        answer_id = new_id(later, random.getrandbits)
        found.append((later, who, _answering(topic, opening_id, answer_id, other, random)))
    return found


def _answering(
    topic: Topic, opening_id: UUID, answer_id: UUID, other: str, random: Random
) -> Callable[[Work], Awaitable[object]]:
    text = random.choice(ANSWERS).format(other=other)

    async def answer(work: Work) -> None:
        await comments.create(work, topic.task_id, text, parent_id=opening_id, id_=answer_id)

    return answer


def _showing(topic: Topic, random: Random) -> Doing:
    outsider = random.choice(list(topic.outsiders))
    permission = random.choice((Permission.VIEW, Permission.VIEW, Permission.EDIT))

    async def show(work: Work) -> None:
        user_id = await work.session.scalar(select(User.id).where(User.username == outsider))
        assert user_id is not None
        await shares.create(work, topic.task_id, user_id=user_id, permission=permission)

    return _moment(topic.begin, topic.end, random), topic.owner, show


def _moment(low: dt.datetime, high: dt.datetime, random: Random) -> dt.datetime:
    # Microseconds away from what happens at the bounds themselves.
    return low + (high - low) * (0.001 + 0.998 * random.random())
