"""Replaces time zone names that are no longer accepted by the places that they link to.

PostgreSQL read `CET`, `EET`, `MET`, `WET`, `EST`, `MST` and `HST` as fixed offsets; `localtime`
came from the system and `Factory` is a placeholder.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | None = None
depends_on: str | None = None

# As the time zone database links them.
PLACES = {
    "CET": "Europe/Brussels",
    "EET": "Europe/Athens",
    "MET": "Europe/Brussels",
    "WET": "Europe/Lisbon",
    "EST": "America/Panama",
    "MST": "America/Phoenix",
    "HST": "Pacific/Honolulu",
    "localtime": "UTC",
    "Factory": "UTC",
}


_COLUMNS = {"users": "timezone", "tasks": "due_timezone", "report_exports": "timezone"}


def upgrade() -> None:
    for name, place in PLACES.items():
        for table_name, column_name in _COLUMNS.items():
            table = sa.table(table_name, sa.column(column_name))
            column = table.c[column_name]
            op.execute(table.update().values({column: place}).where(column == name))
        op.execute(
            sa.text(
                "UPDATE reminders SET rule = jsonb_set(rule, '{timezone}', to_jsonb(:place))"
                " WHERE rule ->> 'timezone' = :name"
            ).bindparams(sa.bindparam("place", place, type_=sa.Text()), name=name)
        )


def downgrade() -> None:
    """Nothing to do: the previous version also accepts the places."""
