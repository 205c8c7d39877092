"""Runs jobs from the queue: several at once, each under a lease that is kept alive.

It looks for due jobs twice a second, and at once when woken. Jobs that a user waits for
(`Handler.first`) have reserved slots, which are free whatever else runs. When asked to stop, it
takes no more jobs, lets running ones finish for a while, and returns the rest to the queue.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from dataclasses import dataclass, field

import structlog

from db.faults import described
from domain.work import Work
from errors import Failure
from jobs.handlers import HANDLERS
from jobs.leases import CURRENT, Lease, LeaseLost
from jobs.outcomes import GiveUp, Later
from jobs.queue import Queue, RunningJob, wait_after
from jobs.worker_context import WorkerContext
from logs import logger
from telemetry import spans

log = logging.getLogger("taskloom.jobs")
job_log = logger("taskloom.jobs")

_POLL_SECONDS = 0.5
# Slots for jobs that come first, beside the others.
_FIRST_PLACES = 2
_FAREWELL_SECONDS = 10.0
# After a failure of the queue itself, such as an unreachable database.
_REST_SECONDS = 2.0


@dataclass(slots=True)
class Runner:
    """One per worker. Set `wake` when something is due."""

    context: WorkerContext
    queue: Queue
    concurrency: int
    lease: dt.timedelta
    farewell_seconds: float = _FAREWELL_SECONDS
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _running: dict[asyncio.Task[None], Lease] = field(default_factory=dict)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set."""
        keeping = asyncio.create_task(self._keep_leases())
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                self.wake.clear()
                # Woken by each job that ends: a slot is free then, and more may be due.
                await self.take()
                await self._pause(stopping)
            await self._farewell()
        finally:
            # Jobs are still running only if this was cancelled; other workers take them when their
            # leases end.
            ended = (keeping, stopping, *self._running)
            for task in ended:
                task.cancel()
            await asyncio.wait(ended, timeout=_FAREWELL_SECONDS)

    async def take(self) -> list[asyncio.Task[None]]:
        """Start due jobs, as far as slots are free."""
        begun: list[asyncio.Task[None]] = []
        for first, places in ((True, _FIRST_PLACES), (False, self.concurrency)):
            names = [name for name, one in HANDLERS.items() if one.first is first]
            # Own jobs whose leases have ended are not started a second time.
            mine = {lease.job.id for lease in self._running.values()}
            room = places - sum(lease.job.name in names for lease in self._running.values())
            asked = time.monotonic()
            try:
                jobs = await self.queue.take(names, room, mine) if room > 0 else []
            except Exception:
                log.exception("jobs could not be taken from the queue")
                await asyncio.sleep(_REST_SECONDS)
                return begun
            for job in jobs:
                lease = Lease(job, self.queue, asked + self.queue.seconds)
                task = asyncio.create_task(self._run(lease), name=f"job: {job.name}")
                self._running[task] = lease
                task.add_done_callback(self._ended)
                begun.append(task)
        return begun

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self.wake.set()

    async def _pause(self, stopping: asyncio.Task[bool]) -> None:
        woken = asyncio.create_task(self.wake.wait())
        try:
            await asyncio.wait(
                (woken, stopping), timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            woken.cancel()

    async def _run(self, lease: Lease) -> None:
        job = lease.job
        CURRENT.set(lease)
        # In each line that is logged meanwhile; this task runs nothing else.
        structlog.contextvars.bind_contextvars(
            job=str(job.id), job_name=job.name, attempt=job.attempt, request_id=job.request_id
        )
        started = time.perf_counter()
        attributes: spans.Attributes = {
            "messaging.system": "taskloom",
            "messaging.operation.type": "process",
            "messaging.message.id": str(job.id),
            "taskloom.job.attempt": job.attempt,
        }
        try:
            with spans.continued(f"job {job.name}", "consumer", job.trace, attributes) as span:
                if span is not None:
                    structlog.contextvars.bind_contextvars(trace_id=spans.trace_id())
                await self._judged(job)
            job_log.info("job", ms=round(1000 * (time.perf_counter() - started), 1))
        except asyncio.CancelledError:
            raise
        except LeaseLost:
            log.warning("job %s (%s) was taken by another worker", job.id, job.name)
        except Exception:
            # It could not be marked as done; its lease ends, and it runs again.
            log.exception("the result of job %s (%s) could not be recorded", job.id, job.name)

    async def _judged(self, job: RunningJob) -> None:
        """Run one job, and record the result in the queue."""
        handler = HANDLERS[job.name]
        if job.attempt > handler.attempts:
            await self._give_up(job, "The worker died in each attempt.")
            return
        try:
            async with asyncio.timeout(handler.seconds):
                await handler.run(self.context, job)
        except LeaseLost:
            raise
        except Later as later:
            spans.fail("Later")
            await self.queue.put_off(job, later.after, str(later))
        except GiveUp as end:
            spans.fail("GiveUp")
            await self._give_up(job, str(end))
        except Exception as error:
            spans.fail(type(error).__name__)
            reason = _reason(error, handler.seconds)
            # The reason has the words of the error, which are for administrators, not for the log.
            if job.attempt >= handler.attempts:
                log.exception("job %s (%s) failed for good", job.id, job.name)
                await self._give_up(job, reason)
            else:
                log.warning(
                    "job %s (%s) failed and will be retried: %s (%s)",
                    *(job.id, job.name, error, error.__cause__),
                )
                await self.queue.later(job, wait_after(job), reason)
        else:
            await self.queue.done(job)

    async def _give_up(self, job: RunningJob, reason: str) -> None:
        """Hold the job and handle the consequences, both or neither."""

        async def act(work: Work) -> None:
            await HANDLERS[job.name].on_given_up(work, job, reason)
            await work.session.flush()
            if not await self.queue.failed(work.session, job, reason):
                raise LeaseLost

        # The last statement is the fence here.
        token = CURRENT.set(None)
        try:
            await self.context.do(job.name, act)
        finally:
            CURRENT.reset(token)

    async def _keep_leases(self) -> None:
        """Extend the leases, three times in each; drop jobs that another worker has taken over."""
        while True:
            # After a suspension this is due at once.
            await asyncio.sleep(self.lease.total_seconds() / 3)
            running = dict(self._running)
            if not running:
                continue
            asked = time.monotonic()
            try:
                kept = await self.queue.keep([lease.job for lease in running.values()])
            except Exception:
                log.exception("leases could not be extended")
                continue
            for task, lease in running.items():
                job = lease.job
                if job.id in kept:
                    lease.until = asked + self.queue.seconds
                elif not task.done():
                    log.warning("job %s (%s) was taken over by another worker", job.id, job.name)
                    task.cancel()

    async def _farewell(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=self.farewell_seconds)
        for task, lease in list(self._running.items()):
            job = lease.job
            task.cancel()
            # Not `await task`: that could not tell its cancellation from our own.
            await asyncio.wait([task], timeout=_FAREWELL_SECONDS)
            try:
                await self.queue.put_off(job, dt.timedelta(), "Its worker was stopped.")
            except Exception:
                log.exception(
                    "job %s (%s) could not be returned; another worker takes it later",
                    job.id,
                    job.name,
                )


def _reason(error: Exception, seconds: float) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"It took longer than {seconds:g} seconds."
    if isinstance(error, Failure):
        return error.message
    cause = error.__cause__
    return described(error) if cause is None else f"{described(error)} ({described(cause)})"
