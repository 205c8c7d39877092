"""Which events a reader asked for, decided on the event alone, without the database.

The same test serves live delivery, replay and `changes(since:)`, so that all three agree. What the
reader *may* see is another question, asked of the access rule (`events.log`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from events.kinds import EventKind

_LOSS = EventKind.ACCESS_LOST.value
# About a task or project, often, but for its owner alone, and so without naming them.
_REMINDER = EventKind.REMINDER_DUE.value


@dataclass(frozen=True, slots=True)
class EventFilter:
    """All conditions that are given must hold; None stands for "any".

    A loss of access passes whatever kinds and actors are asked for: who lost a right has to know,
    or would keep showing what is no longer theirs to see.
    """

    kinds: frozenset[str] | None = None
    projects: frozenset[UUID] | None = None
    tasks: frozenset[UUID] | None = None
    actors: frozenset[UUID] | None = None
    # Leave out what this person did.
    not_by: UUID | None = None
    # Whether a loss of access passes as said above; for those who show nothing that can be lost.
    losses: bool = True
    # Only what is about tasks and projects, and reminders; not accounts and sessions.
    work_only: bool = False
    # The only projects that the reader hears of, where their credentials are restricted.
    within: frozenset[UUID] | None = None

    def matches(self, event: Any) -> bool:
        """Whether the row of an event is asked for."""
        if self.within is not None and event.project_id not in self.within:
            return False
        loss = self.losses and event.kind == _LOSS
        if not loss:
            if self.kinds is not None and event.kind not in self.kinds:
                return False
            if self.actors is not None and event.actor_id not in self.actors:
                return False
            if self.not_by is not None and event.actor_id == self.not_by:
                return False
            if self.work_only and not _about_work(event):
                return False
        if self.tasks is not None and event.task_id not in self.tasks:
            # A lost project takes its tasks with it.
            return loss and event.task_id is None
        return self.projects is None or event.project_id in self.projects


def _about_work(event: Any) -> bool:
    return event.task_id is not None or event.project_id is not None or event.kind == _REMINDER
