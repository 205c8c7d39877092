"""The queue of work behind the scenes, for administrators."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import strawberry

from db import models
from domain.admin import job as domain
from domain.work import Work
from errors import Forbidden
from graph.core import ids
from graph.core.enums import JobState
from graph.core.fields import BatchInfo, attribute, batch, column, root
from graph.core.inputs import MutationInput, optional, required
from graph.core.node import Node, node_id, node_type
from graph.kit import filtering, ordering, paging
from graph.kit.comparators import DateTimeFilter, IDFilter, StringFilter
from graph.kit.mutation import Payload, Refs, mutation, payload, ref
from graph.kit.ordering import Key, OrderBy
from graph.kit.paging import Page, paging_arguments, read_pages


@node_type(models.Job, "A piece of work behind the scenes: a mail, a delivery, a reminder.")
class Job(Node):
    """See `db.models.Job`. The payload is not shown: it may hold what is private."""

    id: strawberry.ID = node_id(models.Job)
    name: str = column(models.Job.name, "What is to be done.")
    state: JobState = column(models.Job.state, "What has become of it.", convert=JobState)
    attempts: int = column(models.Job.attempts, "How often it was begun.")
    reason: str | None = column(models.Job.reason, "Why the latest attempt failed.")
    created_at: dt.datetime = column(models.Job.created_at, "When it was queued.")
    due_at: dt.datetime = column(
        models.Job.due_at,
        "When it is to be run; for one that runs, when it counts as left behind unless its worker "
        "says that it lives.",
    )
    started_at: dt.datetime | None = column(models.Job.started_at, "When the latest attempt began.")
    finished_at: dt.datetime | None = column(
        models.Job.finished_at, "When it was done or given up."
    )
    worker: str | None = column(models.Job.worker, "The process that runs it, or ran it last.")


@paging.connection_type("A page of jobs.", edge="A job in a list.")
class JobConnection:
    """Relay connection."""

    node: Job


@strawberry.input(description="Compares states of jobs.")
class JobStateFilter:
    """Comparators of `JobState`."""

    eq: JobState | None = optional("This state.")
    not_eq: JobState | None = optional("Not this state.")
    in_: list[JobState] | None = optional("One of these states.", name="in")
    not_in: list[JobState] | None = optional("None of these states.")


@filtering.filter_input("Which jobs.")
class JobFilter:
    """Criteria for administrators."""

    id: IDFilter | None = filtering.by_id(models.Job.id, models.Job, "The job's id.")
    state: JobStateFilter | None = filtering.by(models.Job.state, "What has become of it.")
    name: StringFilter | None = filtering.by(models.Job.name, "What is to be done.")
    created_at: DateTimeFilter | None = filtering.by(models.Job.created_at, "When it was queued.")


@ordering.order_input("One step of an ordering of jobs; give exactly one field.")
class JobOrder:
    """Orderings of jobs."""

    created_at: OrderBy | None = ordering.by(models.Job.created_at, "By the time of queueing.")


@strawberry.type(description="How the queue stands.")
class JobQueue:
    """Numbers by state, and how far it is behind."""

    waiting: int = attribute("Jobs that wait for their time, or for another attempt.")
    running: int = attribute("Jobs that run now.")
    done: int = attribute("Jobs that were done within the last day.")
    failed: int = attribute("Jobs that were given up and are held.")
    oldest_due_at: dt.datetime | None = attribute(
        "Since when the longest overdue job has been due; null if none is overdue."
    )
    workers: int = attribute("Workers seen within the last minute.")


_NEWEST = (Key(ordering.source(models.Job.created_at), descending=True),)


def _demand_admin(info: BatchInfo) -> None:
    info.viewer.require()
    if not info.viewer.is_admin:
        raise Forbidden("Only administrators may look at the queue.")


async def _jobs(_: Sequence[Any], info: BatchInfo, **arguments: Any) -> list[Page]:
    _demand_admin(info)
    pages = await read_pages(info, models.Job, default_order=_NEWEST, **arguments)
    return [pages[None]]


async def _queue(info: BatchInfo) -> JobQueue:
    _demand_admin(info)
    context = info.context
    state = await domain.queue_state(context.services.database.reader, context.now)
    return JobQueue(
        waiting=state.waiting,
        running=state.running,
        done=state.done,
        failed=state.failed,
        oldest_due_at=state.oldest_due,
        workers=state.workers,
    )


@strawberry.type
class JobQuery:
    """Root fields."""

    jobs: JobConnection = batch(
        _jobs,
        "The work behind the scenes, the newest first; for administrators.",
        arguments=paging_arguments(JobFilter, JobOrder),
    )
    job_queue: JobQueue = root(_queue, "How the queue stands; for administrators.")


@strawberry.input(description="A job to run again.")
class JobRetryInput(MutationInput):
    """Input of `jobRetry`."""

    id: strawberry.ID = required("A job that failed.")


@payload("The answer of `jobRetry`.")
class JobRetryPayload(Payload):
    """The job."""

    job: Job | None = ref(models.Job, "The job, waiting again; null if nothing was done.")


async def _retry(work: Work, data: JobRetryInput) -> Refs:
    return {"job": (await domain.retry(work, ids.decode(models.Job, data.id, ("id",)))).id}


@strawberry.type
class JobMutation:
    """Root fields."""

    job_retry: JobRetryPayload = mutation(
        _retry, JobRetryInput, "Run a job again that was given up. For administrators."
    )
