"""Integrations in the schema. Credentials can be written but not read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import strawberry
from strawberry.scalars import JSON

from auth.encryption import Encryption
from db import models
from domain.integrations import integration as domain
from domain.integrations.integration import GitHubSettings, Reach, SlackSettings
from domain.work import Work
from errors import BadInput
from graph.core import ids
from graph.core.context import Context
from graph.core.enums import Connector, IntegrationStatus
from graph.core.fields import BatchInfo, batch, column
from graph.core.inputs import given
from graph.core.node import Node, node_id, node_type
from graph.kit import ordering, paging
from graph.kit.loading import by_id, load_objects, to_one
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref, shared_payload, value
from graph.kit.ordering import Key
from graph.request.scopes import demand
from graph.types.accounts.api_key import BY_KEY, ApiKey, sender_of
from graph.types.integrations.integration_inputs import (
    GitHubConfigInput,
    IntegrationCreateInput,
    IntegrationDeleteInput,
    IntegrationFilter,
    IntegrationOrder,
    IntegrationSyncInput,
    IntegrationUpdateInput,
    SlackConfigInput,
)
from graph.types.projects.project import Project
from graph.types.tasks.task import Task

# --- types ---------------------------------------------------------------------------------------


async def _tasks(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.Task, [parent.local_id for parent in parents])


@node_type(
    models.ExternalLink,
    "A GitHub issue or comment that could not be synchronized in one of the two directions. It "
    "does not affect others, and disappears as soon as a later attempt succeeds.",
)
class IntegrationProblem(Node):
    id: strawberry.ID = node_id(models.ExternalLink)
    task: Task | None = batch(
        _tasks,
        "The task; null if there is none, if the problem is about a comment or if you cannot "
        "see the task.",
        requires=("local_id",),
    )
    failure_reason: str = column(models.ExternalLink.problem, "The problem, as a sentence.")
    external_url: str | None = column(
        models.ExternalLink.page_url, "The page of the issue or comment; null if unknown."
    )
    since: dt.datetime = column(models.ExternalLink.problem_at, "When the problem first occurred.")
    retry_at: dt.datetime | None = column(
        "When it is retried automatically. `integrationSync` retries at once. Null if no retry "
        "is scheduled."
    )


@paging.connection_type("A page of problems.", edge="A problem in a list, with its cursor.")
class IntegrationProblemConnection:
    node: IntegrationProblem


@node_type(
    models.Integration,
    "Connects one of your projects to another service and acts with your permissions.",
)
class Integration(Node):
    id: strawberry.ID = node_id(models.Integration)
    connector: Connector = column("The connected service.", convert=Connector)
    project: Project | None = to_one(
        models.Integration.project, "The project; null if you can no longer see it."
    )
    settings: JSON = column(
        "The settings as they were given. GITHUB: `repository`, `baseUrl`, `assignees`, "
        "`hasComments`; SLACK: `events`."
    )
    status: IntegrationStatus = column("The status of the integration.", convert=IntegrationStatus)
    last_sync_at: dt.datetime | None = column(
        "When the last synchronization completed or the last message was posted; null before "
        "the first."
    )
    failure_reason: str | None = column(
        models.Integration.last_error,
        "The connection's latest error; null if it has worked since.",
    )
    problems: IntegrationProblemConnection = paging.to_many(
        models.Integration.problems,
        "Problems with single issues and comments, newest first.",
        default_order=(Key(ordering.source(models.ExternalLink.problem_at), descending=True),),
    )
    api_key: ApiKey | None = to_one(models.Integration.api_key, BY_KEY)
    created_at: dt.datetime = column("When the integration was created.")
    updated_at: dt.datetime = column("When the integration last changed.")
    version: int = column("Increases with each change; pass it as `ifVersion`.")


@paging.connection_type(
    "A page of integrations.", edge="An integration in a list, with its cursor."
)
class IntegrationConnection:
    node: Integration


# --- queries -------------------------------------------------------------------------------------


@strawberry.type
class IntegrationQuery:
    integration: Integration | None = by_id(
        models.Integration,
        "The integration's ID.",
        "One of your integrations; null with `NOT_FOUND` if it does not exist.",
    )
    integrations: IntegrationConnection = paging.connection(
        models.Integration,
        "Your integrations, oldest first by default.",
        filter_type=IntegrationFilter,
        order_type=IntegrationOrder,
        default_order=(Key(ordering.source(models.Integration.created_at)),),
    )


# --- mutations -----------------------------------------------------------------------------------


@shared_payload("`integration` is the current one.")
class _IntegrationPayload(MutationPayload):
    integration: Integration | None = ref(
        models.Integration, "The integration; null if nothing was changed."
    )


@payload("Payload of `integrationDelete`.")
class IntegrationDeletePayload(MutationPayload):
    deleted_id: strawberry.ID | None = value("deleted_id", "The ID of the deleted integration.")
    integration: Integration | None = ref(
        models.Integration, "The current integration on `CONFLICT`, otherwise null."
    )


def _id(
    data: IntegrationDeleteInput | IntegrationSyncInput | IntegrationUpdateInput,
) -> Any:
    return ids.decode(models.Integration, data.id, ("id",))


def _reach(context: Context) -> Reach:
    settings = context.services.settings
    return Reach(
        Encryption(settings),
        settings.webhooks.allowed_networks,
        plain=not settings.server.production,
    )


def _settings(
    data: IntegrationCreateInput | IntegrationUpdateInput,
) -> GitHubSettings | SlackSettings | None:
    github: GitHubConfigInput | None = given(data.github)
    slack: SlackConfigInput | None = given(data.slack)
    if github is not None and slack is not None:
        raise BadInput("Provide either github or slack, not both.", path=("slack",))
    if github is not None:
        return GitHubSettings(
            repository=github.repository,
            base_url=given(github.base_url),
            assignees=[(one.login, one.username) for one in github.assignees],
            comments=github.has_comments,
        )
    return None if slack is None else SlackSettings(events=slack.events)


async def _check_scopes(work: Work, integration: models.Integration) -> None:
    """An API key must not send what it cannot read to another service."""
    demand(await sender_of(work, integration), domain.scopes_of(integration))


async def _connect(context: Context, work: Work, data: IntegrationCreateInput) -> Refs:
    settings = _settings(data)
    project_id = ids.decode(models.Project, data.project_id, ("project_id",))
    if settings is None:
        raise BadInput("Provide github or slack.", path=("github",))
    made = await domain.connect(work, _reach(context), project_id, settings, data.credentials)
    await _check_scopes(work, made)
    return {"integration": made.id}


async def _update(context: Context, work: Work, data: IntegrationUpdateInput) -> Refs:
    changed = await domain.change(
        work,
        _reach(context),
        _id(data),
        settings=_settings(data),
        credentials=given(data.credentials),
        status=given(data.status),
        if_version=given(data.if_version),
        take_over=data.take_over,
    )
    await _check_scopes(work, changed)
    return {"integration": changed.id}


async def _disconnect(work: Work, data: IntegrationDeleteInput) -> Refs:
    gone = await domain.disconnect(work, _id(data), given(data.if_version))
    return {"deleted_id": ids.encode(models.Integration, gone)}


async def _sync(work: Work, data: IntegrationSyncInput) -> Refs:
    return {"integration": (await domain.sync(work, _id(data))).id}


@strawberry.type
class IntegrationMutation:
    integration_create: _IntegrationPayload = mutation(
        _connect,
        IntegrationCreateInput,
        "Connects a project in which you can create tasks to another service. You can have at "
        "most 50 integrations, and a repository only once per project. An API key needs the "
        "scopes for all data that passes: for GITHUB `tasks:write` and `comments:write`; for "
        "SLACK `events:read`, `projects:read`, `tasks:read` and those of the kinds of events.",
        in_context=True,
    )
    integration_update: _IntegrationPayload = mutation(
        _update,
        IntegrationUpdateInput,
        "Changes the settings or credentials of an integration, pauses it or resumes it.",
        in_context=True,
    )
    integration_delete: IntegrationDeletePayload = mutation(
        _disconnect,
        IntegrationDeleteInput,
        "Deletes an integration and its credentials. Imported tasks and comments stay.",
    )
    integration_sync: _IntegrationPayload = mutation(
        _sync,
        IntegrationSyncInput,
        "Synchronizes now instead of at the next scheduled run (every 10 minutes).",
    )
