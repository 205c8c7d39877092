"""The event log in partitions by month; what it is so far becomes the first, as it is.

Only the catalog changes: neither rows nor indexes are read or written, however many there are.
Writers and readers of the log wait meanwhile, for some ten milliseconds.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0044"
down_revision: str | None = "0043"
branch_labels: str | None = None
depends_on: str | None = None
oldest_code: str = "0039"

# See `events.months`.
_SIZE = 10**12
_INDEXES = """
SELECT relname AS name, pg_get_indexdef(indexrelid) AS definition
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = 'events'::regclass AND NOT indisunique
"""
_GRANTS = """
SELECT privilege_type AS privilege, is_grantable AS grantable,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee
FROM pg_class, aclexplode(relacl)
WHERE pg_class.oid = 'events_first'::regclass AND grantee <> relowner
"""


def upgrade() -> None:
    bind = op.get_bind()
    bind.execute(sa.text("LOCK TABLE events IN ACCESS EXCLUSIVE MODE"))
    month: int = bind.execute(
        sa.text("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMM')::int")
    ).scalar_one()
    indexes = bind.execute(sa.text(_INDEXES)).all()
    op.execute("ALTER TABLE events ALTER COLUMN position DROP IDENTITY")
    op.execute("ALTER TABLE events RENAME TO events_first")
    op.execute("ALTER TABLE events_first RENAME CONSTRAINT pk_events TO pk_events_first")
    op.execute("ALTER TABLE events_first RENAME CONSTRAINT uq_events_id TO uq_events_first_id")
    op.execute(
        "CREATE TABLE events (LIKE events_first INCLUDING DEFAULTS INCLUDING STORAGE)"
        " PARTITION BY RANGE (position)"
    )
    op.execute("ALTER TABLE events ADD CONSTRAINT pk_events PRIMARY KEY (position)")
    for name, definition in indexes:
        op.execute(f"ALTER INDEX {name} RENAME TO {name}_first")
        op.execute(definition)
    op.execute(
        "ALTER TABLE events ALTER COLUMN position"
        f" ADD GENERATED ALWAYS AS IDENTITY (START WITH {month * _SIZE})"
    )
    op.execute(
        f"ALTER TABLE events ATTACH PARTITION events_first"
        f" FOR VALUES FROM (MINVALUE) TO ({month * _SIZE})"
    )
    op.execute("ALTER TABLE events_first DROP CONSTRAINT ck_events_first")
    for grant in bind.execute(sa.text(_GRANTS)).all():
        option = " WITH GRANT OPTION" if grant.grantable else ""
        op.execute(f"GRANT {grant.privilege} ON events TO {grant.grantee}{option}")
    for number in (month, _following(month)):
        table, start = f"events_{number}", number * _SIZE
        op.execute(
            f"CREATE TABLE {table} PARTITION OF events"
            f" FOR VALUES FROM ({start}) TO ({_following(number) * _SIZE})"
        )
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT uq_{table}_id UNIQUE (id)")
        bind.execute(
            sa.text("INSERT INTO event_months (month, first_position) VALUES (:month, :start)"),
            {"month": number, "start": start},
        )
    op.execute(f"SELECT setval(pg_get_serial_sequence('events', 'position'), {month * _SIZE})")
    # Under the lock: every transaction that wrote to the first partition has ended.
    bind.execute(
        sa.text("UPDATE event_months SET first_xid = pg_current_xact_id() WHERE month = :month"),
        {"month": month},
    )


def downgrade() -> None:
    """Copy the later months into the first table, which becomes the log again.

    Events keep their positions. With those of later months among them, the log cannot become a
    first partition once more.
    """
    bind = op.get_bind()
    bind.execute(sa.text("LOCK TABLE events IN ACCESS EXCLUSIVE MODE"))
    indexes = bind.execute(sa.text(_INDEXES)).all()
    op.execute("ALTER TABLE events DETACH PARTITION events_first")
    op.execute("INSERT INTO events_first SELECT * FROM events")
    op.execute("DROP TABLE events")
    op.execute("ALTER TABLE events_first RENAME TO events")
    op.execute("ALTER TABLE events RENAME CONSTRAINT pk_events_first TO pk_events")
    op.execute("ALTER TABLE events RENAME CONSTRAINT uq_events_first_id TO uq_events_id")
    for name, _ in indexes:
        op.execute(f"ALTER INDEX {name}_first RENAME TO {name}")
    op.execute("ALTER TABLE events ALTER COLUMN position ADD GENERATED ALWAYS AS IDENTITY")
    op.execute(
        "SELECT setval(pg_get_serial_sequence('events', 'position'),"
        " (SELECT coalesce(max(position), 0) + 1 FROM events), false)"
    )


def _following(month: int) -> int:
    return month + 1 if month % 100 < 12 else month + 89
