"""Integrations in the schema. Credentials can be written but not read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import fields
from operator import itemgetter
from typing import Annotated, Any
from uuid import UUID

import strawberry

from auth.encryption import Encryption
from db import models
from domain import rules
from domain.integrations import integration as domain
from domain.integrations.integration import (
    GITHUB_URL,
    Config,
    GitHubConfig,
    Reach,
    SlackConfig,
)
from domain.rules import Path
from domain.work import Work
from graph.core import ids
from graph.core.context import Context
from graph.core.enums import Connector, EventKind, IntegrationStatus
from graph.core.fields import BatchInfo, attribute, batch, column, derived
from graph.core.inputs import given, is_given
from graph.core.node import Node, node_id, node_type
from graph.core.scalars import URL
from graph.kit import ordering, paging
from graph.kit.loading import by_id, load_objects, to_one
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref, shared_payload, value
from graph.kit.ordering import Key
from graph.request.scopes import demand
from graph.types.accounts.api_key import BY_KEY, ApiKey, sender_of
from graph.types.accounts.user import User
from graph.types.integrations.integration_inputs import (
    GitHubConfigInput,
    IntegrationConfigInput,
    IntegrationConfigUpdateInput,
    IntegrationCreateInput,
    IntegrationDeleteInput,
    IntegrationFilter,
    IntegrationOrder,
    IntegrationSyncInput,
    IntegrationUpdateInput,
)
from graph.types.projects.project import Project
from graph.types.tasks.task import Task

# --- types ---------------------------------------------------------------------------------------


async def _tasks(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.Task, [parent.local_id for parent in parents])


@node_type(
    models.ExternalLink,
    "A GitHub issue or comment that could not be synchronized in one of the two directions, or "
    "an assignee who does not exist. It does not affect others, and disappears as soon as a later "
    "attempt succeeds, or the assignees are changed.",
)
class IntegrationProblem(Node):
    id: strawberry.ID = node_id(models.ExternalLink)
    task: Task | None = batch(
        _tasks,
        "The task; null if there is none, if the problem is about a comment or if you cannot "
        "see the task.",
        requires=("local_id",),
    )
    failure_reason: str = column(
        models.ExternalLink.problem, "The problem, as a sentence.", may_fail=True
    )
    external_url: URL | None = column(
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


async def _users(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.User, [UUID(one["userId"]) for one in parents])


@strawberry.type(description="A GitHub login, and the Taskloom user whom issues are assigned to.")
class GitHubAssignee:
    login: str = derived((), itemgetter("login"), "The login on GitHub.")
    user: User | None = batch(_users, "The user; null if you can no longer see them.")


@strawberry.type(description="Settings of a GITHUB integration.")
class GitHubSettings:
    repository: str = attribute("Owner and name of the repository, by its current name.")
    base_url: URL | None = attribute(
        "The API URL of a GitHub Enterprise server; null for github.com."
    )
    assignees: list[GitHubAssignee] = attribute(
        "Which users issues are assigned to. Only project members are assigned."
    )
    has_comments: bool = attribute("Whether comments are imported.")


@strawberry.type(description="Settings of a SLACK integration.")
class SlackSettings:
    events: list[EventKind] = attribute("The kinds of events that are posted.")


IntegrationSettings = Annotated[
    GitHubSettings | SlackSettings,
    strawberry.union(
        name="IntegrationSettings",
        description="Settings of an integration, by its service. More types may be added.",
    ),
]


def _settings(integration: Any) -> GitHubSettings | SlackSettings:
    kept = integration.settings
    if integration.connector == models.Connector.SLACK:
        return SlackSettings(events=[EventKind(kind) for kind in kept["events"]])
    base_url = kept["baseUrl"]
    return GitHubSettings(
        repository=kept["repository"],
        base_url=None if base_url == GITHUB_URL else base_url,
        assignees=kept["assignees"],
        has_comments=kept["hasComments"],
    )


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
    settings: IntegrationSettings = derived(
        (models.Integration.connector, models.Integration.settings),
        _settings,
        "The settings, without credentials.",
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


def integrations() -> Any:
    """The field `Viewer.integrations`."""
    return paging.connection(
        models.Integration,
        "Your integrations, oldest first by default.",
        filter_type=IntegrationFilter,
        order_type=IntegrationOrder,
        default_order=(Key(ordering.source(models.Integration.created_at)),),
    )


@strawberry.type
class IntegrationQuery:
    integration: Integration | None = by_id(
        models.Integration,
        "The integration's ID.",
        "One of your integrations; null with `NOT_FOUND` if it does not exist.",
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


def _given(config: Any, name: str, path: Path) -> Any:
    """A field of a change: None if it was omitted. Null is refused."""
    value = getattr(config, name)
    return rules.not_null(value, (*path, name)) if is_given(value) else None


def _config(data: IntegrationConfigInput | IntegrationConfigUpdateInput) -> Config:
    github: Any = given(data.github)
    if github is None:
        slack: Any = given(data.slack)
        path = SlackConfig.path
        return SlackConfig(**{name: _given(slack, name, path) for name in _SLACK})
    path = GitHubConfig.path
    # In a new connection, null is github.com.
    is_default = isinstance(github, GitHubConfigInput) and github.base_url is None
    names = [name for name in _GITHUB if not (is_default and name == "base_url")]
    values = {name: _given(github, name, path) for name in names}
    if values["assignees"] is not None:
        values["assignees"] = [
            (one.login, ids.decode(models.User, one.user_id, (*path, "assignees", n, "user_id")))
            for n, one in enumerate(values["assignees"])
        ]
    return GitHubConfig(**values)


_GITHUB = [field.name for field in fields(GitHubConfig)]
_SLACK = [field.name for field in fields(SlackConfig)]


async def _check_scopes(work: Work, integration: models.Integration) -> None:
    """An API key must not send what it cannot read to another service."""
    demand(await sender_of(work, integration), domain.scopes_of(integration))


async def _create(context: Context, work: Work, data: IntegrationCreateInput) -> Refs:
    project_id = ids.decode(models.Project, data.project_id, ("project_id",))
    made = await domain.connect(work, _reach(context), project_id, _config(data.config))
    await _check_scopes(work, made)
    return {"integration": made.id}


async def _update(context: Context, work: Work, data: IntegrationUpdateInput) -> Refs:
    config = _given(data, "config", ())
    changed = await domain.change(
        work,
        _reach(context),
        _id(data),
        config=None if config is None else _config(config),
        is_paused=_given(data, "is_paused", ()),
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
        _create,
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
