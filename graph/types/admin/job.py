"""The background job queue, for administrators."""

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
from graph.core.inputs import MutationInput, required
from graph.core.node import Node, node_id, node_type
from graph.kit import filtering, ordering, paging
from graph.kit.comparators import DateTimeFilter, IDFilter, JobStatusFilter, StringFilter
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref
from graph.kit.ordering import Key
from graph.kit.paging import Page, paging_arguments, read_pages


@node_type(models.Job, "A background job, such as a mail, a delivery or a reminder.")
class Job(Node):
    """See `db.models.Job`. The payload is not shown: it can contain private data."""

    id: strawberry.ID = node_id(models.Job)
    name: str = column("The kind of job.")
    status: JobState = column(models.Job.state, "The current status of the job.", convert=JobState)
    attempt_count: int = column(models.Job.attempts, "The number of attempts so far.")
    failure_reason: str | None = column(models.Job.reason, "Why the latest attempt failed.")
    created_at: dt.datetime = column("When the job was queued.")
    run_at: dt.datetime = column(
        models.Job.due_at,
        "When the job runs next. For a running job, when its lease expires unless the worker "
        "renews it.",
    )
    attempted_at: dt.datetime | None = column(
        models.Job.started_at, "When the latest attempt started."
    )
    finished_at: dt.datetime | None = column("When the job was done or failed for good.")
    worker: str | None = column("The process that runs the job or ran it last.")


@paging.connection_type("A page of jobs.", edge="A job in a list, with its cursor.")
class JobConnection:
    node: Job


@filtering.filter_input("Filter for jobs.")
class JobFilter:
    id: IDFilter | None = filtering.by_id(models.Job.id, models.Job, "The job's ID.")
    name: StringFilter | None = filtering.by_name(models.Job.name, "The kind of job.")
    status: JobStatusFilter | None = filtering.by(
        models.Job.state, "The current status of the job."
    )
    run_at: DateTimeFilter | None = filtering.by(
        models.Job.due_at,
        "When the job runs next. For a running job, when its lease expires.",
        order="when the job runs next",
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.Job.created_at, "When the job was queued.", order="when the job was queued"
    )


@ordering.order_input("Sort key for jobs. Provide exactly one field.", of=JobFilter)
class JobOrder: ...


@strawberry.type(description="Statistics of the background job queue.")
class JobQueue:
    """Counts by status, and the lag."""

    waiting: int = attribute("Jobs that wait for their due time or for another attempt.")
    running: int = attribute("Jobs that are running.")
    done: int = attribute("Jobs that were done within the last day.")
    failed: int = attribute("Jobs that failed for good and can be retried.")
    oldest_run_at: dt.datetime | None = attribute(
        "The due time of the longest overdue job; null if none is overdue."
    )
    workers: int = attribute("Workers that reported within the last minute.")


_NEWEST = (Key(ordering.source(models.Job.created_at), descending=True),)


def _demand_admin(info: BatchInfo) -> None:
    info.viewer.require()
    if not info.viewer.is_admin:
        raise Forbidden("Only administrators can read the job queue.")


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
        oldest_run_at=state.oldest_due,
        workers=state.workers,
    )


@strawberry.type
class JobQuery:
    admin_jobs: JobConnection = batch(
        _jobs,
        "Background jobs, newest first. Administrators only.",
        arguments=paging_arguments(JobFilter, JobOrder),
    )
    admin_job_queue: JobQueue = root(
        _queue, "Statistics of the background job queue. Administrators only."
    )


@strawberry.input(description="Input for `adminJobRetry`.")
class AdminJobRetryInput(MutationInput):
    id: strawberry.ID = required("A failed job.")


@payload("Payload of `adminJobRetry`.")
class AdminJobRetryPayload(MutationPayload):
    job: Job | None = ref(
        models.Job, "The job, which waits to run again; null if nothing was changed."
    )


async def _retry(work: Work, data: AdminJobRetryInput) -> Refs:
    return {"job": (await domain.retry(work, ids.decode(models.Job, data.id, ("id",)))).id}


@strawberry.type
class JobMutation:
    admin_job_retry: AdminJobRetryPayload = mutation(
        _retry, AdminJobRetryInput, "Retries a failed job. Administrators only."
    )
