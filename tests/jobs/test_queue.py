"""The queue keeps what it was given: through failures, deaths of workers and races."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import json
import logging
from typing import Any

import pytest
from sqlalchemy import delete, select

from auth.request import RequestInfo
from auth.viewer import NOBODY
from db.models import Job, JobState
from domain.admin.job import queue_state
from domain.work import Work
from jobs import handlers, queue
from jobs.handlers import Handler
from jobs.leases import LeaseLost
from jobs.outcomes import GiveUp, Later
from jobs.queue import RunningJob
from jobs.runner import Runner
from jobs.worker_context import WorkerContext
from tests.accounts import House
from tests.jobs.conftest import LEASE, Workshop
from web.log_lines import LogFormatter


class Noted(list[Any]):
    """What the handler `test.note` was run with; it fails in the ways that the payload says."""

    def __init__(self) -> None:
        self.ended: list[tuple[Any, str]] = []

    async def given_up(self, _work: Work, job: RunningJob, reason: str) -> None:
        self.ended.append((job.payload.get("text"), reason))

    async def run(self, context: WorkerContext, job: RunningJob) -> None:
        self.append(job.payload.get("text"))
        match job.payload.get("then"):
            case "fail":
                raise ValueError("the moon is full")
            case "fail once" if job.attempt == 1:
                raise ValueError("not yet")
            case "give up":
                raise GiveUp("there is nobody there")
            case "later" if len(self) < 3:
                raise Later(dt.timedelta(minutes=1), "they are busy")
            case "hang":
                await asyncio.sleep(3600)


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Noted:
    made = Noted()
    monkeypatch.setitem(handlers.HANDLERS, "test.note", Handler(made.run, 3, 60, made.given_up))
    return made


async def jobs(house: House, **payload: Any) -> list[Job]:
    async with house.database.session() as session:
        query = select(Job).where(Job.payload.contains(payload)).order_by(Job.created_at)
        return list(await session.scalars(query))


async def only(house: House, **payload: Any) -> Job:
    found = await jobs(house, **payload)
    assert len(found) == 1
    return found[0]


async def test_a_job_is_there_if_and_only_if_its_change_is(
    house: House, workshop: Workshop, noted: Noted
) -> None:
    async def change(work: Work) -> None:
        await work.enqueue("test.note", {"text": "rolled back"})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await house.do(NOBODY, change)
    await workshop.enqueue("test.note", {"text": "committed"})
    await workshop.run_due()
    assert noted == ["committed"]
    job = await only(house, text="committed")
    assert (job.state, job.attempts, job.finished_at) == (JobState.DONE, 1, house.clock())


async def test_a_job_waits_for_its_time(house: House, workshop: Workshop, noted: Noted) -> None:
    run_at = house.clock() + dt.timedelta(hours=1)
    await workshop.enqueue("test.note", {"text": "in an hour"}, run_at=run_at)
    house.clock.forward(minutes=59)
    await workshop.run_due()
    assert noted == []
    house.clock.forward(minutes=1)
    await workshop.run_due()
    assert noted == ["in an hour"]


async def test_a_key_holds_while_its_job_waits_and_no_longer(
    house: House, workshop: Workshop, noted: Noted
) -> None:
    late = house.clock() + dt.timedelta(hours=2)
    early = house.clock() + dt.timedelta(hours=1)
    for run_at in (late, early, late):
        await workshop.enqueue("test.note", {"text": "keyed"}, key="a key", run_at=run_at)
    house.clock.forward(hours=1)
    await workshop.run_due()
    assert noted == ["keyed"]
    await workshop.enqueue("test.note", {"text": "keyed"}, key="a key")
    await workshop.run_due()
    assert noted == ["keyed", "keyed"]


async def test_who_joins_a_waiting_job_is_seen_by_it(
    house: House, workshop: Workshop, noted: Noted
) -> None:
    """Otherwise the job could run before the change is there, and nobody would look again."""
    await workshop.enqueue("test.note", {"text": "joined"}, key="joined")
    async with house.work() as work:
        await work.enqueue("test.note", {"text": "joined"}, key="joined")
        assert await workshop.run_due() == 0
    assert await workshop.run_due() == 1


async def test_failures_are_tried_again_and_then_held_with_the_reason(
    house: House, workshop: Workshop, noted: Noted
) -> None:
    await workshop.enqueue("test.note", {"text": "howl", "then": "fail"})
    await workshop.run_due()
    job = await only(house, text="howl")
    assert job.state is JobState.WAITING
    assert job.due_at > house.clock()
    for _ in range(5):
        house.clock.forward(hours=4)
        await workshop.run_due()
    job = await only(house, text="howl")
    assert (job.state, job.attempts) == (JobState.FAILED, 3)
    assert job.reason == "ValueError: the moon is full"
    assert noted == ["howl"] * 3


async def test_a_handler_may_give_up_at_once_or_ask_for_more_time(
    house: House, workshop: Workshop, noted: Noted
) -> None:
    await workshop.enqueue("test.note", {"text": "nobody", "then": "give up"})
    await workshop.run_due()
    job = await only(house, text="nobody")
    assert (job.state, job.attempts, job.reason) == (JobState.FAILED, 1, "there is nobody there")
    noted.clear()
    await workshop.enqueue("test.note", {"text": "busy", "then": "later"})
    for _ in range(5):
        await workshop.run_due()
        house.clock.forward(minutes=1)
    job = await only(house, text="busy")
    assert (job.state, noted) == (JobState.DONE, ["busy"] * 3)


async def test_a_lost_worker_s_job_is_taken_over_and_the_lost_one_changes_nothing(
    house: House, workshop: Workshop, noted: Noted
) -> None:
    await workshop.enqueue("test.note", {"text": "left behind"})
    lost = workshop.queue("lost")
    (job,) = await lost.take(["test.note"], 5)
    assert await workshop.run_due() == 0
    house.clock.forward(seconds=LEASE.total_seconds() - 1)
    assert await lost.keep([job]) == {job.id}
    house.clock.forward(seconds=2)
    assert await workshop.run_due() == 0
    house.clock.forward(seconds=LEASE.total_seconds())
    (again,) = await workshop.queue("other").take(["test.note"], 5)
    assert (again.id, again.attempt) == (job.id, 2)
    await lost.done(job)
    assert await lost.keep([job]) == set()
    assert (await only(house, text="left behind")).state is JobState.RUNNING
    await workshop.queue("other").done(again)
    assert (await only(house, text="left behind")).state is JobState.DONE


async def test_a_worker_that_lost_its_job_changes_nothing_and_sends_nothing(
    house: House, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suspended, say, and going on in the middle of a job that another one has taken over."""
    reached: list[str] = []

    async def handle(context: WorkerContext, job: RunningJob) -> None:
        if job.attempt > 1:
            return
        house.clock.forward(seconds=LEASE.total_seconds() + 1)
        assert len(await workshop.queue("other").take(["test.lost"], 5)) == 1

        async def act(work: Work) -> None:
            await work.enqueue("test.note", {"text": "by the lost one"})

        with pytest.raises(LeaseLost):
            await context.do("test", act)
        reached.append("fence")
        async with context.outside("test", "one", "one"):
            reached.append("outside")

    monkeypatch.setitem(
        handlers.HANDLERS, "test.lost", Handler(handle, 3, 60, handlers.nothing_to_end)
    )
    await workshop.enqueue("test.lost", {"text": "lost"})
    await workshop.run_due()
    assert reached == ["fence"]
    assert await jobs(house, text="by the lost one") == []
    job = await only(house, text="lost")
    assert (job.state, job.worker, job.attempts) == (JobState.RUNNING, "other", 2)


async def test_what_waits_for_a_job_ends_with_it_or_not_at_all(
    house: House, workshop: Workshop, noted: Noted
) -> None:
    await workshop.enqueue("test.note", {"text": "ended", "then": "give up"})
    await workshop.run_due()
    assert noted.ended == [("ended", "there is nobody there")]
    for _ in range(3):
        await workshop.enqueue("test.note", {"text": "failing", "then": "fail"}, key="once")
    for _ in range(4):
        await workshop.run_due()
        house.clock.forward(hours=4)
    assert noted.ended[1:] == [("failing", "ValueError: the moon is full")]


async def test_account_mail_has_places_that_nothing_else_takes(
    house: House, workshop: Workshop, noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        handlers.HANDLERS,
        "test.first",
        Handler(noted.run, 3, 60, handlers.nothing_to_end, first=True),
    )
    for number in range(20):
        await workshop.enqueue("test.note", {"text": number, "then": "hang"})
    runner = Runner(workshop.context, workshop.queue(), concurrency=3, lease=LEASE)
    hanging = await runner.take()
    assert len(hanging) == 3
    await workshop.enqueue("test.first", {"text": "first"})
    (only_one,) = await runner.take()
    await asyncio.wait([only_one])
    assert noted[-1] == "first"
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)
    async with house.work() as work:
        await work.session.execute(delete(Job))


async def test_a_job_that_kills_its_workers_is_given_up(
    house: House, workshop: Workshop, noted: Noted
) -> None:
    await workshop.enqueue("test.note", {"text": "deadly"})
    for number in range(3):
        await workshop.queue(f"victim {number}").take(["test.note"], 5)
        house.clock.forward(seconds=LEASE.total_seconds())
    await workshop.run_due()
    job = await only(house, text="deadly")
    assert (job.state, job.reason, noted) == (
        JobState.FAILED,
        "The worker died in each attempt.",
        [],
    )


async def test_no_job_is_taken_twice(house: House, workshop: Workshop, noted: Noted) -> None:
    for number in range(60):
        await workshop.enqueue("test.note", {"text": number})
    runners = [
        Runner(workshop.context, workshop.queue(f"worker {number}"), concurrency=7, lease=LEASE)
        for number in range(3)
    ]

    async def run(runner: Runner) -> None:
        while begun := await runner.take():
            await asyncio.wait(begun)

    await asyncio.gather(*(run(runner) for runner in runners))
    assert sorted(noted) == list(range(60))


async def test_a_stopped_worker_gives_back_what_it_cannot_finish(
    house: House, workshop: Workshop, noted: Noted
) -> None:
    await workshop.enqueue("test.note", {"text": "endless", "then": "hang"})
    runner = Runner(workshop.context, workshop.queue(), 5, LEASE, farewell_seconds=0.05)
    stop = asyncio.Event()
    running = asyncio.create_task(runner.run(stop))
    async with asyncio.timeout(30):
        while not noted:
            await asyncio.sleep(0.01)
        stop.set()
        await running
    job = await only(house, text="endless")
    assert (job.state, job.due_at) == (JobState.WAITING, house.clock())
    async with house.database.session() as session, session.begin():
        await session.delete(await session.merge(job))


async def test_the_state_of_the_queue_and_what_is_forgotten(
    house: House, workshop: Workshop, noted: Noted
) -> None:
    house.clock.forward(days=100)
    await queue.prune(house.database, house.clock())
    await workshop.enqueue("test.note", {"text": "held", "then": "give up"})
    await workshop.enqueue("test.note", {"text": "well done"})
    await workshop.run_due()
    due = house.clock()
    await workshop.enqueue("test.note", {"text": "waits"}, run_at=due)
    house.clock.forward(hours=1)
    state = await queue_state(house.database.all_rows, house.clock())
    assert (state.waiting, state.done, state.failed, state.oldest_due) == (1, 1, 1, due)
    house.clock.forward(days=1)
    assert await queue.prune(house.database, house.clock()) == 1
    assert await jobs(house, text="well done") == []
    assert len(await jobs(house, text="held")) == 1


async def test_what_a_job_logs_names_the_job_and_the_request_that_caused_it(
    house: House,
    workshop: Workshop,
    noted: Noted,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def logs(context: WorkerContext, job: RunningJob) -> None:
        logging.getLogger("taskloom.jobs").warning("in the job")
        await noted.run(context, job)

    handler = Handler(logs, 3, 60, noted.given_up)
    monkeypatch.setitem(handlers.HANDLERS, "test.note", handler)
    caplog.set_level(logging.INFO, "taskloom.jobs")
    formatter = LogFormatter(json=True)
    lines: list[dict[str, Any]] = []

    class Written(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(formatter.format(record)))

    written = Written()
    logging.getLogger("taskloom.jobs").addHandler(written)
    try:
        info = RequestInfo("the-request-of-this-job")
        await house.transactions.run(
            lambda work: work.enqueue("test.note", {"text": "logged"}),
            NOBODY,
            now=house.clock(),
            request=info,
        )
        await workshop.run_due()
    finally:
        logging.getLogger("taskloom.jobs").removeHandler(written)
    job = await only(house, text="logged")
    for message in ("in the job", "job"):
        (line,) = [line for line in lines if line["message"] == message]
        found = {name: line[name] for name in ("job", "job_name", "attempt", "request_id")}
        assert found == {
            "job": str(job.id),
            "job_name": "test.note",
            "attempt": 1,
            "request_id": info.id,
        }


async def test_the_log_of_a_server_names_a_failure_without_its_words(
    house: House, workshop: Workshop, noted: Noted, caplog: pytest.LogCaptureFixture
) -> None:
    """A mail server, say, repeats the address that it refuses."""
    await workshop.enqueue("test.note", {"text": "log", "then": "fail"})
    for _ in range(3):
        await workshop.run_due()
        house.clock.forward(hours=4)
    formatter = LogFormatter(json=True, messages=False)
    lines = [json.loads(formatter.format(record)) for record in caplog.records]
    assert sum("ValueError" in str(line) for line in lines) == 3
    assert not any("the moon is full" in line["message"] for line in lines)
    # Administrators read it.
    assert (await only(house, text="log")).reason == "ValueError: the moon is full"


async def test_the_log_of_a_server_has_no_words_of_lost_exceptions(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise ValueError("the moon is full")

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()
    formatter = LogFormatter(json=True, messages=False)
    # Those of other tests may be collected now, too.
    (lost,) = [one for one in caplog.records if "moon" in one.getMessage()]
    line = json.loads(formatter.format(lost))
    assert line["message"] == "Task exception was never retrieved"
    assert line["exception"].endswith("ValueError")
