"""Inputs of integrations."""

from __future__ import annotations

from typing import Any

import strawberry
from sqlalchemy import select
from sqlalchemy.orm import aliased

from auth.viewer import Viewer
from db import models
from domain.integrations.integration import SLACK_EVENTS
from graph.core.enums import EventKind
from graph.core.inputs import (
    TAKE_OVER,
    MutationInput,
    UpdateInput,
    defaulted,
    optional,
    required,
)
from graph.core.scalars import URL
from graph.kit import filtering, ordering
from graph.kit.comparators import (
    DateTimeFilter,
    IDFilter,
    IntegrationKindFilter,
    IntegrationStatusFilter,
)
from graph.kit.ordering import SortOrder
from graph.types.projects.project_inputs import ProjectFilter

_REPOSITORY = "Owner and name of the repository: `octocat/hello-world`."
_BASE_URL = (
    "The API URL of a GitHub Enterprise server, such as `https://github.example.com/api/v3`."
)
_ASSIGNEES = (
    "Which users issues are assigned to, at most 200 pairs. Only project members are assigned."
)
_HAS_COMMENTS = "Whether to import comments."
_KINDS = (
    "Kinds of events to post, about the project and its members, tasks, comments or attachments."
)
_ENCRYPTED = "Stored encrypted and never shown again."
_TOKEN = f"A token that can read and write the repository's issues. {_ENCRYPTED}"
_WEBHOOK_URL = f"The URL of the incoming webhook. {_ENCRYPTED}"
_TO_GITHUB = "Connects the project to issues on GitHub."
_TO_SLACK = (
    "Connects the project to a Slack channel, or to any service with Slack-compatible incoming "
    "webhooks."
)


def sync_problem(_: Viewer, task: Any) -> Any:
    """The synchronization problem of a task, for every user who can see the task."""
    link = aliased(models.ExternalLink)
    return (
        select(link.problem)
        .where(link.local_id == task.id, link.kind == "issue", link.integration_id.is_not(None))
        .where(link.problem.is_not(None))
        .limit(1)
        .scalar_subquery()
    )


@filtering.filter_input("Filter for integrations.")
class IntegrationFilter:
    id: IDFilter | None = filtering.by_id(
        models.Integration.id, models.Integration, "The integration's ID."
    )
    connector: IntegrationKindFilter | None = filtering.by(
        models.Integration.connector, "The service."
    )
    project: ProjectFilter | None = filtering.by_relation(
        models.Integration.project, "The project that is connected."
    )
    status: IntegrationStatusFilter | None = filtering.by(models.Integration.status, "The status.")
    created_at: DateTimeFilter | None = filtering.by(
        models.Integration.created_at, "When the integration was created.", order="creation time"
    )
    updated_at: DateTimeFilter | None = filtering.by(
        models.Integration.updated_at,
        "When the integration last changed.",
        order="the time of the last change",
    )


@ordering.order_input("Sort key for integrations. Provide exactly one field.", of=IntegrationFilter)
class IntegrationOrder:
    last_sync_at: SortOrder | None = ordering.by(
        models.Integration.last_sync_at, "Sorts by the time of the last synchronization."
    )


@strawberry.input(description="Maps a GitHub login to a Taskloom user.")
class GitHubAssigneeInput:
    login: str = required("The login on GitHub.")
    user_id: strawberry.ID = required("The Taskloom user: an ID, or a username such as @ada.")


@strawberry.input(description="Configuration of a GITHUB integration.")
class GitHubConfigInput:
    repository: str = required(_REPOSITORY)
    token: str = required(_TOKEN)
    base_url: URL | None = optional(f"{_BASE_URL} Defaults to github.com.")
    assignees: list[GitHubAssigneeInput] = defaulted([], _ASSIGNEES)
    has_comments: bool = defaulted(True, _HAS_COMMENTS)


@strawberry.input(description="Configuration of a SLACK integration.")
class SlackConfigInput:
    webhook_url: URL = required(_WEBHOOK_URL)
    events: list[EventKind] = defaulted(list(SLACK_EVENTS), _KINDS)


@strawberry.input(
    one_of=True, description="The other service and its settings. Provide exactly one field."
)
class IntegrationConfigInput:
    github: GitHubConfigInput | None = optional(_TO_GITHUB)
    slack: SlackConfigInput | None = optional(_TO_SLACK)


@strawberry.input(
    description="New configuration of a GITHUB integration. Omitted fields stay unchanged."
)
class GitHubConfigUpdateInput:
    repository: str | None = optional(f"{_REPOSITORY} It must be the connected one.")
    token: str | None = optional(_TOKEN)
    base_url: URL | None = optional(f"{_BASE_URL} It must be that of the connected repository.")
    assignees: list[GitHubAssigneeInput] | None = optional(f"{_ASSIGNEES} Replaces all pairs.")
    has_comments: bool | None = optional(_HAS_COMMENTS)


@strawberry.input(
    description="New configuration of a SLACK integration. Omitted fields stay unchanged."
)
class SlackConfigUpdateInput:
    webhook_url: URL | None = optional(_WEBHOOK_URL)
    events: list[EventKind] | None = optional(f"{_KINDS} Replaces all kinds.")


@strawberry.input(
    one_of=True,
    description="New configuration of an integration. Provide the field of its service.",
)
class IntegrationConfigUpdateInput:
    github: GitHubConfigUpdateInput | None = optional("For a GITHUB integration.")
    slack: SlackConfigUpdateInput | None = optional("For a SLACK integration.")


@strawberry.input(description="Input for `integrationCreate`.")
class IntegrationCreateInput(MutationInput):
    project_id: strawberry.ID = required("The project to connect.")
    config: IntegrationConfigInput = required("The other service and its settings.")


@strawberry.input(description="Input for `integrationUpdate`. Omitted fields stay unchanged.")
class IntegrationUpdateInput(UpdateInput):
    id: strawberry.ID = required("The integration to change.")
    config: IntegrationConfigUpdateInput | None = optional(
        "New settings or credentials. The repository of a GITHUB integration cannot be changed."
    )
    is_paused: bool | None = optional(
        "True pauses the integration; false resumes it, also after a failure. Events during a "
        "pause are not sent later; changes in the other service are imported."
    )
    take_over: bool = defaulted(False, TAKE_OVER)


@strawberry.input(description="Input for `integrationDelete`.")
class IntegrationDeleteInput(UpdateInput):
    """`integrationDelete`."""

    id: strawberry.ID = required("The integration.")


@strawberry.input(description="Input for `integrationSync`.")
class IntegrationSyncInput(MutationInput):
    """`integrationSync`."""

    id: strawberry.ID = required("The integration.")
