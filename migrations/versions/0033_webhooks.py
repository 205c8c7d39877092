"""Webhooks have names, deliveries a row per attempt, and integrations name users by ID."""

from __future__ import annotations

from urllib.parse import urlsplit

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision: str = "0033"
down_revision: str | None = "0026"
branch_labels: str | None = None
depends_on: str | None = None

# `DeliveryState.SKIPPED`.
_SKIPPED = 4


def upgrade() -> None:
    _name_webhooks()
    _keep_attempts()


def downgrade() -> None:
    op.drop_table("webhook_attempts")
    op.drop_column("webhooks", "name")


def _name_webhooks() -> None:
    op.add_column("webhooks", sa.Column("name", sa.Text(), nullable=True))
    connection = op.get_bind()
    webhooks = sa.table("webhooks", sa.column("id", sa.Uuid()), sa.column("url", sa.Text()))
    named = sa.text("UPDATE webhooks SET name = :name WHERE id = :id").bindparams(
        sa.bindparam("id", type_=sa.Uuid())
    )
    for id_, url in connection.execute(sa.select(webhooks.c.id, webhooks.c.url)).all():
        connection.execute(named, {"id": id_, "name": _host(url)})
    op.alter_column("webhooks", "name", nullable=False)


def _host(url: str) -> str:
    """The host of a URL, with a port that is not the usual one."""
    parts = urlsplit(url)
    usual = {"https": ":443", "http": ":80"}.get(parts.scheme, "")
    return parts.netloc.lower().removesuffix(usual) or url


def _keep_attempts() -> None:
    op.create_table(
        "webhook_attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_headers", JSONB(), nullable=True),
        sa.Column("scopes", ARRAY(sa.Text()), nullable=True),
        sa.Column("response_status", sa.SmallInteger(), nullable=True),
        sa.Column("response_body", sa.Text(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_attempts"),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["webhook_deliveries.id"],
            name="fk_webhook_attempts_delivery_id_webhook_deliveries",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("delivery_id", "number", name="uq_webhook_attempts_delivery_id_number"),
    )
    # The error of a delivery that was skipped, or requested again, is not that of its attempt.
    backfill = sa.text(
        "INSERT INTO webhook_attempts SELECT id, id, attempt, attempted_at, request_headers,"
        " scopes, response_status, response_body, duration_ms,"
        " CASE WHEN response_status BETWEEN 200 AND 299 THEN NULL"
        " WHEN state <> :skipped AND error IS NOT NULL THEN error"
        " WHEN response_status IS NOT NULL"
        " THEN 'The receiver answered ' || response_status || '.'"
        " ELSE 'There was no response.' END"
        " FROM webhook_deliveries WHERE attempted_at IS NOT NULL AND attempt > 0"
    )
    op.execute(backfill.bindparams(skipped=_SKIPPED))
