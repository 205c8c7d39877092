"""What a worker can do, by name.

A handler is a function with the name under which the domain enqueues its jobs. It can run more than
once for one job (its worker can be killed before the job is marked as done), so it must be
idempotent. It ends in one of four ways: it returns, and the job is done; it raises `Later`, and the
job waits; it raises `GiveUp`, and the job is held as failed; or it raises anything else, and the
job is retried after a while, `attempts` times in all, and then held. (The two exceptions are those
of `jobs.outcomes`.)

If the job's object has a state of its own (an export, a delivery), that state must change when the
job is held. So every handler declares what happens then, in the same transaction: `on_given_up`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from domain.work import Work
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext

Run = Callable[[WorkerContext, RunningJob], Awaitable[None]]
GivenUp = Callable[[Work, RunningJob, str], Awaitable[None]]
"""What is done in the transaction in which a job is held, for the given reason."""


async def nothing_to_end(_work: Work, _job: RunningJob, _reason: str) -> None:
    """For jobs that nothing waits for."""


@dataclass(frozen=True, slots=True)
class Handler:
    """See the module. `seconds`: after which a run counts as failed. `first`: a user is waiting, so
    it runs before everything else, in reserved slots.
    """

    run: Run
    attempts: int
    seconds: float
    on_given_up: GivenUp
    first: bool = False


HANDLERS: dict[str, Handler] = {}


def handler(
    name: str,
    *,
    on_given_up: GivenUp,
    attempts: int = 12,
    seconds: float = 120.0,
    first: bool = False,
) -> Callable[[Run], Run]:
    """Register a function under a name. Twelve attempts extend over about a day."""

    def register(run: Run) -> Run:
        if name in HANDLERS:
            raise ValueError(f"there are two handlers of {name}")
        HANDLERS[name] = Handler(run, attempts, seconds, on_given_up, first)
        return run

    return register
