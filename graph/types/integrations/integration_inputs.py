"""Inputs of integrations."""

from __future__ import annotations

from typing import Any

import strawberry
from sqlalchemy import select
from sqlalchemy.orm import aliased

from auth.viewer import Viewer
from db import models
from domain.integrations.integration import SLACK_EVENTS
from graph.core.enums import EventKind, IntegrationStatus
from graph.core.inputs import (
    NAMES,
    TAKE_OVER,
    MutationInput,
    Names,
    UpdateInput,
    defaulted,
    optional,
    required,
)
from graph.kit import ordering
from graph.kit.ordering import SortOrder

_CREDENTIALS = (
    "GITHUB: a token that can read and write the repository's issues. SLACK: the URL of the "
    "incoming webhook. Stored encrypted and never shown again."
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


@ordering.order_input("Sort key for integrations. Provide exactly one field.")
class IntegrationOrder:
    created_at: SortOrder | None = ordering.by(
        models.Integration.created_at, "Sorts by creation time."
    )


@strawberry.input(description="Maps a GitHub login to a Taskloom user.")
class GitHubAssigneeInput:
    login: str = required("The login on GitHub.")
    username: str = required("The username in Taskloom.", metadata={NAMES: Names.USERNAME})


@strawberry.input(description="Settings of a GITHUB integration.")
class GitHubConfigInput:
    repository: str = required("Owner and name of the repository: `octocat/hello-world`.")
    base_url: str | None = optional(
        "The API URL of a GitHub Enterprise server, such as "
        "`https://github.example.com/api/v3`. Defaults to github.com."
    )
    assignees: list[GitHubAssigneeInput] = defaulted(
        [],
        "Which users issues are assigned to, at most 200 pairs. Only project members are assigned.",
    )
    has_comments: bool = defaulted(True, "Whether to import comments.")


@strawberry.input(description="Settings of a SLACK integration.")
class SlackConfigInput:
    events: list[EventKind] = defaulted(
        list(SLACK_EVENTS),
        "Kinds of events to post, about the project and its members, tasks, comments or "
        "attachments.",
    )


@strawberry.input(
    description="Input for `integrationCreate`. Provide exactly one of `github` and `slack`."
)
class IntegrationCreateInput(MutationInput):
    project_id: strawberry.ID = required("The project to connect.")
    github: GitHubConfigInput | None = optional("Connects the project to issues on GitHub.")
    slack: SlackConfigInput | None = optional(
        "Connects the project to a Slack channel, or to any service with Slack-compatible "
        "incoming webhooks."
    )
    credentials: str = required(_CREDENTIALS)


@strawberry.input(description="Input for `integrationUpdate`. Omitted fields stay unchanged.")
class IntegrationUpdateInput(UpdateInput):
    id: strawberry.ID = required("The integration to change.")
    github: GitHubConfigInput | None = optional(
        "The complete settings of a GITHUB integration. The repository cannot be changed."
    )
    slack: SlackConfigInput | None = optional("The complete settings of a SLACK integration.")
    credentials: str | None = optional(_CREDENTIALS)
    status: IntegrationStatus | None = optional(
        "PAUSED to pause it, ACTIVE to resume it. Events during a pause are not sent later; "
        "changes in the other service are imported."
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
