"""Filters and orderings of projects and members, and the inputs of their mutations."""

from __future__ import annotations

import datetime as dt

import strawberry
from sqlalchemy import BigInteger

from db import models
from db.models import Role
from graph.core.inputs import (
    NAMES,
    MutationInput,
    Names,
    UpdateInput,
    change,
    new_id,
    optional,
    required,
)
from graph.core.scalars import Color, Markdown
from graph.kit import filtering, ordering
from graph.kit.comparators import (
    DateTimeFilter,
    IDFilter,
    ProjectRoleFilter,
    SecondsFilter,
    StringFilter,
)
from graph.types.accounts.user import UserFilter, UserOrder
from graph.types.time.tracked_time import project_tracked_seconds, tracked_projects

# --- filters and orderings -----------------------------------------------------------------------


@filtering.filter_input("Filter for project members.")
class ProjectMemberFilter:
    id: IDFilter | None = filtering.by_id(
        models.ProjectMember.id, models.ProjectMember, "The membership's ID."
    )
    role: ProjectRoleFilter | None = filtering.by(
        models.ProjectMember.role, "The role.", order="role"
    )
    user: UserFilter | None = filtering.by_relation(models.ProjectMember.user, "The user.")
    created_at: DateTimeFilter | None = filtering.by(
        models.ProjectMember.created_at, "When the user joined.", order="the time of joining"
    )
    updated_at: DateTimeFilter | None = filtering.by(
        models.ProjectMember.updated_at, "When the membership last changed."
    )


@filtering.list_filter("Filter for a project's members.", noun="member")
class ProjectMemberListFilter:
    of: ProjectMemberFilter


@filtering.filter_input("Filter for projects.")
class ProjectFilter:
    is_null: bool | None = filtering.by_absence("project")
    id: IDFilter | None = filtering.by_id(models.Project.id, models.Project, "The project's ID.")
    key: StringFilter | None = filtering.by_name(
        models.Project.key, "The key, such as `WEB`.", order="key"
    )
    name: StringFilter | None = filtering.by_name(models.Project.name, "The name.", order="name")
    description: StringFilter | None = filtering.by(models.Project.description, "The description.")
    owner: UserFilter | None = filtering.by_relation(models.Project.owner, "The owner.")
    members: ProjectMemberListFilter | None = filtering.by_relations(
        models.Project.members, "The members."
    )
    tracked: SecondsFilter | None = filtering.by_expression(
        project_tracked_seconds,
        BigInteger(),
        "The time tracked in the project, in entries that you can see.",
        order="the tracked time that you can see",
        mark="tracked_seconds",
        positive=tracked_projects,
    )
    is_archived: bool | None = filtering.by_condition(
        lambda _, project: project.archived_at.is_not(None), "Whether the project is archived."
    )
    is_deleted: bool | None = filtering.by_trash("project")
    archived_at: DateTimeFilter | None = filtering.by(
        models.Project.archived_at,
        "When the project was archived.",
        order="the time of archiving",
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.Project.created_at, "When the project was created.", order="creation time"
    )
    updated_at: DateTimeFilter | None = filtering.by(
        models.Project.updated_at,
        "When the project last changed.",
        order="the time of the last change",
    )
    search: str | None = filtering.by_search(
        (models.Project.name, models.Project.key, models.Project.description),
        "Words that must all occur in the name, key or description. Ignores case and accents.",
    )


@ordering.order_input("Sort key for projects. Provide exactly one field.", of=ProjectFilter)
class ProjectOrder:
    owner: UserOrder | None = ordering.by_relation(models.Project.owner, "Sorts by owner.")


@ordering.order_input(
    "Sort key for project members. Provide exactly one field.", of=ProjectMemberFilter
)
class ProjectMemberOrder:
    user: UserOrder | None = ordering.by_relation(models.ProjectMember.user, "Sorts by user.")


# --- inputs --------------------------------------------------------------------------------------


@strawberry.input(description="Input for `projectCreate`.")
class ProjectCreateInput(MutationInput):
    """See `domain.projects.project.NewProject`."""

    name: str = required("The name, 1 to 200 characters.")
    id: strawberry.ID | None = new_id("project")
    description: Markdown | None = optional("The description, up to 5,000 characters.")
    key: str | None = optional(
        "The key: 2 to 10 capital letters or digits, starting with a letter, unique on the "
        "server. Derived from the name by default."
    )
    color: Color | None = optional("The color.")


@strawberry.input(
    description="Input for `projectUpdate`. Omitted fields stay unchanged; null clears a field."
)
class ProjectUpdateInput(UpdateInput):
    """See `domain.projects.project.update_project`."""

    id: strawberry.ID = required("The project's ID or key.")
    name: strawberry.Maybe[str | None] = change("The name, 1 to 200 characters.")
    description: strawberry.Maybe[Markdown | None] = change(
        "The description, up to 5,000 characters."
    )
    key: strawberry.Maybe[str | None] = change(
        "The key: 2 to 10 capital letters or digits, starting with a letter, unique on the server."
    )
    color: strawberry.Maybe[Color | None] = change("The color.")
    time_locked_before: strawberry.Maybe[dt.date | None] = change(
        "Locks the time before this day: entries that begin before it, in their user's time "
        "zone, cannot be created, changed or deleted (`TIME_LOCKED`). Null unlocks all time."
    )
    is_overlap_allowed: strawberry.Maybe[bool | None] = change(
        "Whether time entries in this project may overlap other entries of the same user. If "
        "false, an overlapping entry fails with `TIME_OVERLAP`; existing overlaps stay."
    )


@strawberry.input
class _OneProject(UpdateInput):
    """Input of operations that need only the project."""

    id: strawberry.ID = required("The project's ID or key.")


@strawberry.input(description="Input for `projectArchive`.")
class ProjectArchiveInput(_OneProject):
    """See `domain.projects.project.set_archived`."""


@strawberry.input(description="Input for `projectUnarchive`.")
class ProjectUnarchiveInput(_OneProject):
    """See `domain.projects.project.set_archived`."""


@strawberry.input(description="Input for `projectDelete`.")
class ProjectDeleteInput(_OneProject):
    """See `domain.projects.project.delete`."""


@strawberry.input(description="Input for `projectRestore`.")
class ProjectRestoreInput(MutationInput):
    """See `domain.projects.project.restore`."""

    id: strawberry.ID = required("The project's ID or key.", metadata={NAMES: Names.TRASHED})


@strawberry.input(description="Input for `projectMemberAdd`.")
class ProjectMemberAddInput(MutationInput):
    """See `domain.projects.project.add_member`."""

    project_id: strawberry.ID = required("The project's ID or key.")
    user_id: strawberry.ID = required("The user to add: an ID, or a username such as @ada.")
    role: Role = required("The member's role; not OWNER.")


@strawberry.input(description="Input for `projectMemberUpdate`.")
class ProjectMemberUpdateInput(UpdateInput):
    """See `domain.projects.project.update_member`."""

    id: strawberry.ID = required("The membership's ID.")
    role: Role = required("The new role; not OWNER.")


@strawberry.input(description="Input for `projectMemberRemove`.")
class ProjectMemberRemoveInput(UpdateInput):
    """See `domain.projects.project.remove_member`."""

    id: strawberry.ID = required(
        "The ID of the membership to remove. Your own to leave the project."
    )


@strawberry.input(description="Input for `projectTransfer`.")
class ProjectTransferInput(UpdateInput):
    """See `domain.projects.project.transfer`."""

    id: strawberry.ID = required("The project's ID or key.")
    user_id: strawberry.ID = required(
        "The new owner, who must be a member of the project: an ID, or a username such as @ada."
    )
