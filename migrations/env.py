"""Alembic's entry point: runs migrations on the connection that `db.migrate` has opened."""

from __future__ import annotations

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

import db.models  # noqa: F401 - fills the metadata
from db.base import Base, Ordered
from db.migrate import is_compared
from db.models.event import Xid8


def _render_item(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """Write our own types in a migration as the types that the database stores."""
    if kind == "type" and isinstance(item, Ordered):
        return "sa.SmallInteger()"
    if kind == "type" and isinstance(item, Xid8):
        context.imports.add("from db.models.event import Xid8")
        return "Xid8()"
    return False


def _run() -> None:
    connection: Connection | None = context.config.attributes.get("connection")
    if connection is None:
        raise RuntimeError("Run `taskloom migrate` instead of Alembic; it knows the settings.")
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=_render_item,
        compare_type=True,
        compare_server_default=True,
        include_name=is_compared,
        # All or nothing: a migration that fails leaves the database as it was.
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
