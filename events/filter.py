"""The filter of a reader, evaluated on events alone, without the database.

Live delivery, replay and `changes(since:)` use the same test, so that they agree. Whether the
reader *can* see an event is a separate question for the access rule (`events.log`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from events.kinds import EventKind

_LOSS = EventKind.ACCESS_LOST.value
# Often about a task or project, but only its owner receives it, so it does not name them.
_REMINDER = EventKind.REMINDER_DUE.value


@dataclass(frozen=True, slots=True)
class LogFilter:
    """All given conditions must hold; None means "any".

    `ACCESS_LOST` passes regardless of kinds and actors: clients must know what they can no longer
    see, or they would keep showing it.
    """

    kinds: frozenset[str] | None = None
    projects: frozenset[UUID] | None = None
    tasks: frozenset[UUID] | None = None
    actors: frozenset[UUID] | None = None
    # Excludes this user's own actions.
    not_by: UUID | None = None
    # Whether `ACCESS_LOST` passes as described above; False for readers that show nothing that can
    # be lost.
    losses: bool = True
    # Only events about tasks and projects, and reminders; not accounts and sessions.
    work_only: bool = False
    # The only projects whose events the reader receives, if their credentials are restricted.
    within: frozenset[UUID] | None = None

    def matches(self, event: Any) -> bool:
        """Whether an event's row matches."""
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
            # Losing a project includes losing its tasks.
            return loss and event.task_id is None
        return self.projects is None or event.project_id in self.projects


def _about_work(event: Any) -> bool:
    return event.task_id is not None or event.project_id is not None or event.kind == _REMINDER
