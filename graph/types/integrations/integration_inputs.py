"""Inputs of integrations."""

from __future__ import annotations

from typing import Any

import strawberry
from sqlalchemy import select
from sqlalchemy.orm import aliased

from auth.viewer import Viewer
from db import models
from graph.core.enums import EventKind, IntegrationStatus
from graph.core.inputs import (
    NAMES,
    TAKE_OVER,
    MutationInput,
    Names,
    UpdateInput,
    optional,
    required,
)
from graph.kit import ordering
from graph.kit.ordering import OrderBy

_CREDENTIALS = (
    "GITHUB: a token that may read and write the repository's issues. SLACK: the address of the "
    "incoming webhook. Encrypted, and never shown again."
)


def sync_problem(_: Viewer, task: Any) -> Any:
    """What is wrong between a task and its issue, for whoever sees the task."""
    link = aliased(models.ExternalLink)
    return (
        select(link.problem)
        .where(link.local_id == task.id, link.kind == "issue", link.integration_id.is_not(None))
        .where(link.problem.is_not(None))
        .limit(1)
        .scalar_subquery()
    )


@ordering.order_input("One step of an ordering of integrations; give exactly one field.")
class IntegrationOrder:
    """Orderings of integrations."""

    created_at: OrderBy | None = ordering.by(models.Integration.created_at, "By age.")


@strawberry.input(description="Who somebody on GitHub is here.")
class GitHubAssigneeInput:
    """One pair of names."""

    login: str = required("The login on GitHub.")
    username: str = required("The username here.", metadata={NAMES: Names.USERNAME})


@strawberry.input(description="What to import from GitHub.")
class GitHubSettingsInput:
    """Settings of GITHUB."""

    repository: str = required("Owner and name: `octocat/hello-world`.")
    base_url: str | None = optional(
        "Address of the API of a GitHub Enterprise server, `https://github.example.com/api/v3`; "
        "GitHub's own unless given."
    )
    assignees: list[GitHubAssigneeInput] | None = optional(
        "Whom issues are assigned to here, at most 200; nobody unless given. Members of the "
        "project count."
    )
    comments: bool | None = optional("Whether to import comments too; true unless given.")


@strawberry.input(description="What to tell a channel of.")
class SlackSettingsInput:
    """Settings of SLACK."""

    events: list[EventKind] | None = optional(
        "Kinds of events of the project: of projects, members, tasks, comments or attachments. "
        "TASK_CREATED, TASK_COMPLETED and COMMENT_CREATED unless given."
    )


@strawberry.input(description="A new integration. Give `github` or `slack`.")
class IntegrationConnectInput(MutationInput):
    """Input of `integrationConnect`."""

    project_id: strawberry.ID = required("The project.")
    github: GitHubSettingsInput | None = optional("Connect with issues on GitHub.")
    slack: SlackSettingsInput | None = optional(
        "Connect with a channel of Slack, or of what takes the same incoming webhooks."
    )
    credentials: str = required(_CREDENTIALS)


@strawberry.input(description="Changes to an integration; what is left out stays.")
class IntegrationUpdateInput(UpdateInput):
    """Input of `integrationUpdate`."""

    id: strawberry.ID = required("The integration.")
    github: GitHubSettingsInput | None = optional(
        "Settings of GITHUB, all of them; the repository stays what it is."
    )
    slack: SlackSettingsInput | None = optional("Settings of SLACK, all of them.")
    credentials: str | None = optional(_CREDENTIALS)
    status: IntegrationStatus | None = optional(
        "PAUSED, or ACTIVE to go on. What happened while it was paused is not told later; what "
        "changed on the other side is imported."
    )
    take_over: bool | None = optional(TAKE_OVER)


@strawberry.input(description="An integration.")
class IntegrationInput(MutationInput):
    """Input of mutations that take an integration and nothing more."""

    id: strawberry.ID = required("The integration.")
