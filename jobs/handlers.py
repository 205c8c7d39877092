"""What a worker can do, by name.

A handler is a function with a name under which the domain enqueues jobs. It may be run more than
once for one job (its worker can be killed between the work and the note that it was done), so it
has to be idempotent. It ends in one of four ways: it returns, and the job is done; it raises
`Later`, and the job waits; it raises `GiveUp`, and the job is held as failed; it raises anything
else, and the job is tried again after a while, `attempts` times in all, and then held. (The two
exceptions are those of `jobs.outcomes`.)

What has a state of its own (an export, a delivery) must not stay as it is when its job is held. So
every handler declares what follows then, in the same transaction: `on_given_up`.
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
    """For jobs whose end leaves nothing behind that waits for them."""


@dataclass(frozen=True, slots=True)
class Handler:
    """See the module. `seconds`: after which a run counts as failed. `first`: somebody waits in
    front of a screen, so it is done before everything else, in places that nothing else takes.
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
    """Register a function under a name. Twelve attempts stretch over about a day."""

    def register(run: Run) -> Run:
        if name in HANDLERS:
            raise ValueError(f"there are two handlers of {name}")
        HANDLERS[name] = Handler(run, attempts, seconds, on_given_up, first)
        return run

    return register
