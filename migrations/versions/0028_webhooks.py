"""Webhooks have names, deliveries a row per attempt, and integrations name users by ID."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision: str = "0028"
down_revision: str | None = "0027"
branch_labels: str | None = None
depends_on: str | None = None

# `DeliveryState.SKIPPED`.
_SKIPPED = 4


def upgrade() -> None:
    _name_webhooks()
    _keep_attempts()
    _name_assignees_by_id()


def downgrade() -> None:
    _name_assignees_by_name()
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


def _name_assignees_by_id() -> None:
    """Users of integrations by ID. For a name that nobody has, a problem says so instead."""
    for integration in _github():
        old = integration.settings.get("assignees", ())
        name = sa.func.lower(_USERS.c.username)
        known = _known(name, _USERS.c.id, [one["username"].lower() for one in old])
        pairs = [(one, known.get(one["username"].lower())) for one in old]
        found = [{"login": one["login"], "userId": id_.hex} for one, id_ in pairs if id_]
        _store(integration, found)
        lost = {one["login"]: one["username"] for one, id_ in pairs if id_ is None}
        for login, username in lost.items():
            _note_lost(integration, login, username)


def _name_assignees_by_name() -> None:
    op.execute("DELETE FROM external_links WHERE kind = 'assignee'")
    for integration in _github():
        new = integration.settings.get("assignees", ())
        known = _known(_USERS.c.id, _USERS.c.username, [UUID(one["userId"]) for one in new])
        pairs = [(one, known.get(UUID(one["userId"]))) for one in new]
        found = [{"login": one["login"], "username": name} for one, name in pairs if name]
        _store(integration, found)


_USERS = sa.table("users", sa.column("id", sa.Uuid()), sa.column("username", sa.Text()))


def _known(key: Any, value: Any, wanted: list[Any]) -> dict[Any, Any]:
    """One property of users by another."""
    rows = op.get_bind().execute(sa.select(key, value).where(key.in_(wanted)))
    return {row[0]: row[1] for row in rows}


def _note_lost(integration: Any, login: str, username: str) -> None:
    now = dt.datetime.now(dt.UTC)
    links = sa.table(
        "external_links",
        sa.column("id", sa.Uuid()),
        sa.column("integration_id", sa.Uuid()),
        sa.column("project_id", sa.Uuid()),
        sa.column("source", sa.Text()),
        sa.column("kind", sa.Text()),
        sa.column("external_id", sa.Text()),
        sa.column("seen", JSONB()),
        sa.column("problem", sa.Text()),
        sa.column("problem_at", sa.DateTime(timezone=True)),
    )
    op.get_bind().execute(
        sa.insert(links).values(
            id=_new_id(now),
            integration_id=integration.id,
            project_id=integration.project_id,
            source=integration.settings["baseUrl"].lower(),
            kind="assignee",
            # Two repositories of a project can have lost the same login.
            external_id=f"{login}@{integration.id.hex}",
            seen={},
            problem=f"Issues of the GitHub user {login} are not assigned: there is no user with "
            f"the username {username}. Change the assignees of the integration.",
            problem_at=now,
        )
    )


_INTEGRATIONS = sa.table(
    "integrations",
    sa.column("id", sa.Uuid()),
    sa.column("project_id", sa.Uuid()),
    sa.column("connector", sa.SmallInteger()),
    sa.column("settings", JSONB()),
)
# `Connector.GITHUB`.
_GITHUB = 1


def _github() -> Sequence[Any]:
    """The integrations with GitHub."""
    mine = sa.select(_INTEGRATIONS).where(_INTEGRATIONS.c.connector == _GITHUB)
    return op.get_bind().execute(mine).all()


def _store(integration: Any, assignees: list[dict[str, str]]) -> None:
    settings = {**integration.settings, "assignees": assignees}
    if settings == integration.settings:
        return
    changed = sa.update(_INTEGRATIONS).where(_INTEGRATIONS.c.id == integration.id)
    op.get_bind().execute(changed.values(settings=sa.bindparam("new", settings, JSONB())))


def _new_id(now: dt.datetime) -> UUID:
    """A UUIDv7, as `db.base.new_id` makes them."""
    value = int(now.timestamp() * 1000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76
    return UUID(int=value & ~(0x3 << 62) | 2 << 62)
