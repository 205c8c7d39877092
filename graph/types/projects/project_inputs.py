"""What projects and members are filtered and ordered by, and what their mutations take."""

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
from graph.kit import filtering, ordering
from graph.kit.comparators import DateTimeFilter, IDFilter, RoleFilter, StringFilter
from graph.kit.ordering import OrderBy
from graph.types.accounts.user import UserFilter, UserOrder
from graph.types.time.tracked_time import project_tracked_seconds

# --- filters and orderings -----------------------------------------------------------------------


@filtering.filter_input("Which project members.")
class ProjectMemberFilter:
    """Criteria over members."""

    id: IDFilter | None = filtering.by_id(models.ProjectMember.id, models.ProjectMember, "Id.")
    role: RoleFilter | None = filtering.by(models.ProjectMember.role, "Role.")
    user: UserFilter | None = filtering.by_relation(
        models.ProjectMember.user, lambda: UserFilter, "The person."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.ProjectMember.created_at, "When they joined."
    )


@filtering.list_filter("Quantifies over the members of a project.", noun="member")
class ProjectMemberListFilter:
    """`some`, `none`, `every`."""

    of: ProjectMemberFilter


@filtering.filter_input("Which projects.")
class ProjectFilter:
    """Criteria over projects."""

    id: IDFilter | None = filtering.by_id(models.Project.id, models.Project, "Id.")
    name: StringFilter | None = filtering.by(models.Project.name, "Name.")
    key: StringFilter | None = filtering.by(models.Project.key, "Key, such as `WEB`.")
    description: StringFilter | None = filtering.by(models.Project.description, "Description.")
    owner: UserFilter | None = filtering.by_relation(
        models.Project.owner, lambda: UserFilter, "The owner."
    )
    members: ProjectMemberListFilter | None = filtering.by_relations(
        models.Project.members, lambda: ProjectMemberFilter, "The members."
    )
    is_archived: bool | None = filtering.by_condition(
        lambda _, project: project.archived_at.is_not(None), "Whether the project is read-only."
    )
    archived_at: DateTimeFilter | None = filtering.by(
        models.Project.archived_at, "When it was archived."
    )
    created_at: DateTimeFilter | None = filtering.by(models.Project.created_at, "When it was made.")
    updated_at: DateTimeFilter | None = filtering.by(
        models.Project.updated_at, "When it changed last."
    )
    search: str | None = filtering.by_search(
        (models.Project.name, models.Project.key, models.Project.description),
        "Words that all occur in name, key or description, without regard to case and accents.",
    )


@ordering.order_input("How to order projects; give one field.")
class ProjectOrder:
    """Keys of projects."""

    name: OrderBy | None = ordering.by_text(models.Project.name, "By name.")
    key: OrderBy | None = ordering.by(models.Project.key, "By key.")
    created_at: OrderBy | None = ordering.by(models.Project.created_at, "By time of creation.")
    updated_at: OrderBy | None = ordering.by(models.Project.updated_at, "By time of last change.")
    archived_at: OrderBy | None = ordering.by(models.Project.archived_at, "By time of archiving.")
    tracked_seconds: OrderBy | None = ordering.by_expression(
        "tracked_seconds",
        project_tracked_seconds,
        BigInteger(),
        "By the time tracked that you may see.",
        nullable=False,
    )
    owner: UserOrder | None = ordering.by_relation(
        models.Project.owner, lambda: UserOrder, "By the owner."
    )


@ordering.order_input("How to order project members; give one field.")
class ProjectMemberOrder:
    """Keys of members."""

    role: OrderBy | None = ordering.by(models.ProjectMember.role, "By role.")
    created_at: OrderBy | None = ordering.by(models.ProjectMember.created_at, "By time of joining.")
    user: UserOrder | None = ordering.by_relation(
        models.ProjectMember.user, lambda: UserOrder, "By the person."
    )


# --- inputs --------------------------------------------------------------------------------------


@strawberry.input(description="A new project.")
class ProjectCreateInput(MutationInput):
    """See `domain.projects.project.NewProject`."""

    name: str = required("The name, 1 to 200 characters.")
    id: strawberry.ID | None = new_id("project")
    description: str | None = optional("What it is about, up to 5,000 characters.")
    key: str | None = optional(
        "2 to 10 capital letters or digits, beginning with a letter, unique on the server. Made "
        "from the name where left out."
    )
    color: str | None = optional("A colour as `#rrggbb`.")


@strawberry.input(description="Changes to a project; what is left out stays, null clears.")
class ProjectUpdateInput(UpdateInput):
    """See `domain.projects.project.update_project`."""

    id: strawberry.ID = required("The project.")
    name: strawberry.Maybe[str | None] = change("The name, 1 to 200 characters.")
    description: strawberry.Maybe[str | None] = change("Up to 5,000 characters.")
    key: strawberry.Maybe[str | None] = change("2 to 10 capital letters or digits.")
    color: strawberry.Maybe[str | None] = change("A colour as `#rrggbb`.")
    time_locked_before: strawberry.Maybe[dt.date | None] = change(
        "Close the time before this day (which begins at midnight UTC): its entries cannot be "
        "made, changed or deleted any more, and `LOCKED` says so. Null opens all."
    )
    allow_overlaps: strawberry.Maybe[bool | None] = change(
        "False: time entries of this project may overlap no others of the same person (`OVERLAP`); "
        "what overlaps already stays."
    )


@strawberry.input
class _OneProject(UpdateInput):
    """For operations that need the project alone."""

    id: strawberry.ID = required("The project.")


@strawberry.input(description="The project to archive.")
class ProjectArchiveInput(_OneProject):
    """See `domain.projects.project.set_archived`."""


@strawberry.input(description="The archived project to open again.")
class ProjectUnarchiveInput(_OneProject):
    """See `domain.projects.project.set_archived`."""


@strawberry.input(description="The project to put into the trash.")
class ProjectDeleteInput(_OneProject):
    """See `domain.projects.project.delete`."""


@strawberry.input(description="The project to take out of the trash.")
class ProjectRestoreInput(MutationInput):
    """See `domain.projects.project.restore`."""

    id: strawberry.ID = required("The project.", metadata={NAMES: Names.TRASHED})


@strawberry.input(description="Who takes part, and as what.")
class ProjectMemberAddInput(MutationInput):
    """See `domain.projects.project.add_member`."""

    project_id: strawberry.ID = required("The project.")
    user_id: strawberry.ID | None = optional("The person, by id.")
    username: str | None = optional(
        "The person, by username (in place of `userId`).", metadata={NAMES: Names.USERNAME}
    )
    role: Role = required("What they may do; not OWNER.")


@strawberry.input(description="Another role for a member.")
class ProjectMemberUpdateInput(UpdateInput):
    """See `domain.projects.project.update_member`."""

    id: strawberry.ID = required("The membership.")
    role: Role = required("What they may do; not OWNER.")


@strawberry.input(description="The member to remove; your own membership to leave.")
class ProjectMemberRemoveInput(MutationInput):
    """See `domain.projects.project.remove_member`."""

    id: strawberry.ID = required("The membership.")


@strawberry.input(description="A new owner for a project.")
class ProjectTransferInput(UpdateInput):
    """See `domain.projects.project.transfer`."""

    id: strawberry.ID = required("The project.")
    user_id: strawberry.ID = required("A member of the project, who becomes its owner.")
