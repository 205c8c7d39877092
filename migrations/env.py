"""What Alembic runs: migrations over one asynchronous connection that `db.migrate` has opened."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

import db.models  # noqa: F401 - fills the metadata
from db.base import Base
from db.migrate import include_name


def _run() -> None:
    connection: Connection | None = context.config.attributes.get("connection")
    if connection is None:
        raise RuntimeError("Migrations run by `taskloom migrate`, which knows the settings.")
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=include_name,
        compare_type=True,
        compare_server_default=True,
        # All or nothing: a start that fails in the middle leaves the database as it was.
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
