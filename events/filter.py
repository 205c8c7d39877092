"""The filter of a reader, evaluated on events alone, without the database.

Live delivery, replay, `events` and webhooks use the same test, so that they agree. Whether the
reader *can* see an event is a separate question for the access rule (`events.log`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from events.kinds import EventKind

_LOSS = EventKind.ACCESS_LOST.value
# Only their owner needs to receive these, so they often name no task or project.
_OWN = frozenset({"Reminder", "TimeEntry"})

Decide = Callable[[Any], "bool | None"]
"""Whether an event matches: None if the event alone does not tell."""

Pair = tuple[UUID, UUID]
"""The IDs of a user and an event."""

Ask = Callable[[Collection[UUID], Collection[UUID]], Awaitable[set[Pair]]]
"""Which of some events (first) match for which of some users."""


@dataclass(frozen=True, slots=True, eq=False)
class LogFilter:
    """All given conditions must hold; None means "any".

    Listeners with the same filter should share one object, whose answer to an event is then found
    once for all of them.

    `ACCESS_LOST` passes regardless of everything but the named projects and tasks: clients must
    know what they can no longer see, or they would keep showing it.
    """

    kinds: frozenset[str] | None = None
    # The projects and tasks that an event must be about, and at least one of which a listener must
    # be able to see.
    projects: frozenset[UUID] | None = None
    tasks: frozenset[UUID] | None = None
    actors: frozenset[UUID] | None = None
    # A client's filter, which includes what it says about projects and tasks.
    decide: Decide | None = None
    # Asks the database what the event alone does not tell, of many users at once. The same object
    # for all filters with the same answer. Without it, the reader has to ask for itself.
    ask: Ask | None = None
    # Whether `ACCESS_LOST` passes as described above; False for readers that show nothing that can
    # be lost.
    losses: bool = True
    # Only events about tasks, projects, time and reminders; not accounts and sessions.
    work_only: bool = False
    # The only projects whose events the reader receives, if their credentials are restricted.
    within: frozenset[UUID] | None = None

    def matches(self, event: Any) -> bool | None:
        """Whether an event's row matches: None if the event alone does not tell."""
        if self.within is not None and event.project_id not in self.within:
            return False
        loss = self.losses and event.kind == _LOSS
        if not loss:
            if self.kinds is not None and event.kind not in self.kinds:
                return False
            if self.actors is not None and event.actor_id not in self.actors:
                return False
            if self.work_only and not _about_work(event):
                return False
            if self.decide is not None:
                return self.decide(event)
        if self.tasks is not None and event.task_id not in self.tasks:
            # Losing a project includes losing its tasks.
            return loss and event.task_id is None
        return self.projects is None or event.project_id in self.projects


def _about_work(event: Any) -> bool:
    return event.task_id is not None or event.project_id is not None or event.subject_type in _OWN
