"""The problems of an external object are stored in its link, which outlives the integration.

Issues are identified by GitHub's ids from here on, and no longer by their numbers, which another
repository of the same name has as well. A number that is still an external id begins with `#`; the
next synchronization reads everything again and replaces it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: str | None = None
depends_on: str | None = None

_LINK_TO_INTEGRATION = "fk_external_links_integration_id_integrations"
_ONE_PER_INTEGRATION = "uq_external_links_integration_id_kind_external_id"
_ONE_PER_PROJECT = "uq_external_links_project_id_source_kind_external_id"


def upgrade() -> None:
    op.add_column("integrations", sa.Column("external_id", sa.Text(), nullable=True))
    op.add_column(
        "integrations", sa.Column("wait_until", sa.DateTime(timezone=True), nullable=True)
    )
    op.create_unique_constraint(
        "uq_integrations_project_id_external_id", "integrations", ["project_id", "external_id"]
    )
    for column in (
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("page_url", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("problem_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("external_links", column)
    op.execute(
        "UPDATE external_links AS link SET project_id = integration.project_id,"
        " source = lower(integration.settings ->> 'baseUrl'),"
        " number = CASE WHEN link.kind = 'issue' THEN link.external_id::integer END,"
        " external_id = CASE WHEN link.kind = 'issue' THEN '#' ELSE '' END || link.external_id"
        " FROM integrations AS integration WHERE integration.id = link.integration_id"
    )
    op.execute("UPDATE integrations SET progress = '{}'")
    for name in ("project_id", "source"):
        op.alter_column("external_links", name, nullable=False)
    for name in ("integration_id", "local_id"):
        op.alter_column("external_links", name, nullable=True)
    op.drop_constraint(_ONE_PER_INTEGRATION, "external_links")
    op.drop_constraint(_LINK_TO_INTEGRATION, "external_links")
    op.create_foreign_key(
        _LINK_TO_INTEGRATION,
        "external_links",
        "integrations",
        ["integration_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.create_foreign_key(
        "fk_external_links_project_id_projects",
        "external_links",
        "projects",
        ["project_id"],
        ["id"],
        ondelete="CASCADE",
    )
    # Two integrations of a project could have the same repository, if it was renamed in between.
    op.execute(
        "DELETE FROM external_links AS link USING external_links AS other"
        " WHERE (link.project_id, link.source, link.kind, link.external_id)"
        " = (other.project_id, other.source, other.kind, other.external_id)"
        " AND link.kind = 'comment' AND link.id > other.id"
    )
    # Equal numbers of different repositories are different issues.
    op.execute(
        "UPDATE external_links SET external_id = external_id || '@' || integration_id"
        " WHERE kind = 'issue'"
    )
    op.create_unique_constraint(
        _ONE_PER_PROJECT, "external_links", ["project_id", "source", "kind", "external_id"]
    )
    op.create_index(
        "ix_external_links_integration_id_number", "external_links", ["integration_id", "number"]
    )
    op.create_index(
        "ix_external_links_problems",
        "external_links",
        ["integration_id", "problem_at", "id"],
        postgresql_where=sa.text("problem IS NOT NULL"),
    )


def downgrade() -> None:
    """Identify issues by their numbers again; delete links without a number or an integration."""
    op.drop_index("ix_external_links_problems", "external_links")
    op.drop_index("ix_external_links_integration_id_number", "external_links")
    op.drop_constraint(_ONE_PER_PROJECT, "external_links")
    op.drop_constraint("fk_external_links_project_id_projects", "external_links")
    op.drop_constraint(_LINK_TO_INTEGRATION, "external_links")
    op.execute(
        "DELETE FROM external_links WHERE integration_id IS NULL OR local_id IS NULL"
        " OR (kind = 'issue' AND number IS NULL)"
    )
    op.execute("UPDATE external_links SET external_id = number::text WHERE kind = 'issue'")
    op.create_foreign_key(
        _LINK_TO_INTEGRATION,
        "external_links",
        "integrations",
        ["integration_id"],
        ["id"],
        ondelete="CASCADE",
    )
    op.create_unique_constraint(
        _ONE_PER_INTEGRATION, "external_links", ["integration_id", "kind", "external_id"]
    )
    for name in ("integration_id", "local_id"):
        op.alter_column("external_links", name, nullable=False)
    for name in (
        "written_at",
        "retry_at",
        "problem_at",
        "problem",
        "page_url",
        "url",
        "number",
        "source",
        "project_id",
    ):
        op.drop_column("external_links", name)
    op.drop_constraint("uq_integrations_project_id_external_id", "integrations")
    op.drop_column("integrations", "wait_until")
    op.drop_column("integrations", "external_id")
