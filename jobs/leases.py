"""What a running job may still do: its lease, as far as this process knows.

A worker can be suspended at any moment (a paused virtual machine, a debugger) and continue long
after another one took over its jobs. It must not repeat what the other one does. So a job first
asks what both workers see, the job's row:

- a transaction of a job commits only if the job is still this worker's (`fence`, in the transaction
  itself, for every handler, since `WorkerContext.do` does it);
- before something leaves for the outside, the lease is renewed (`hold`, by
  `WorkerContext.outside`), and once a connection is open, the process's own clock says whether that
  was too long ago (`check`).

Times are the database's; a process uses only differences of its own clock.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from domain.work import Work
from jobs.queue import Queue, RunningJob


class LeaseLost(Exception):  # noqa: N818 - a state, and nobody's fault
    """Another worker has the job: nothing more is done about it here."""


@dataclass(slots=True)
class Lease:
    """The lease of one running job. `until`: by `time.monotonic`, when it certainly still holds."""

    job: RunningJob
    queue: Queue
    until: float = field(default=0.0)


CURRENT: ContextVar[Lease | None] = ContextVar("lease", default=None)
"""Of the job that this task runs; none outside of jobs."""


async def hold() -> None:
    """Renew the lease before an irreversible step. Raises `LeaseLost`."""
    lease = CURRENT.get()
    while lease is not None:
        asked = time.monotonic()
        if not await lease.queue.keep([lease.job]):
            raise LeaseLost
        lease.until = asked + lease.queue.seconds
        # Unless the process was suspended between the question and the answer.
        if time.monotonic() < lease.until:
            return


async def fence(work: Work) -> None:
    """Let the transaction commit only if the job is this worker's, and hold it until then."""
    lease = CURRENT.get()
    if lease is not None and not await lease.queue.is_held(work, lease.job):
        raise LeaseLost


def check() -> None:
    """Raise `LeaseLost` if the lease may have ended, without a query."""
    lease = CURRENT.get()
    if lease is not None and time.monotonic() >= lease.until:
        raise LeaseLost
