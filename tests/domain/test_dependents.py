"""Foreign keys that act when a row is deleted do so in one statement: something must bound it."""

from __future__ import annotations

from db import models
from db.base import Base

# Tables whose rows are deleted after what belongs to them (`domain.trash`).
IN_STEPS = {"tasks", "projects"}
# For the rows of other tables: what keeps few from belonging to one of them.
BOUNDED = {
    "users": "is never deleted",
    "sessions": "has the tokens of a week, and one device",
    "api_keys": "has at most 50 webhooks and integrations",
    "stored_files": "belongs to one export",
    "comments": "goes with its task, or has no replies, and a history made by hand",
    "webhook_deliveries": "has ten attempts each time that it is requested",
}


def test_something_bounds_what_a_deletion_changes() -> None:
    acting = {
        key.column.table.name: f"{key.parent.table.name}.{key.parent.name}"
        for table in Base.metadata.sorted_tables
        for key in table.foreign_keys
        if key.ondelete is not None
    }
    assert models.Task.__tablename__ in acting
    assert set(acting) == IN_STEPS | set(BOUNDED)
