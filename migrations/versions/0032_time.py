"""Exports that wait keep the filter of entries by its new names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0032"
down_revision: str | None = "0033"
branch_labels: str | None = None
depends_on: str | None = None

# Relations had a twin that compared the ID.
_TWINS = {
    *("projectId", "ownerId", "assigneeId", "parentId", "userId", "taskId"),
    *("sharedById", "authorId", "uploaderId"),
}


def upgrade() -> None:
    exports = sa.table("report_exports", sa.column("id", sa.Uuid()), sa.column("filter", JSONB()))
    connection = op.get_bind()
    rows = connection.execute(sa.select(exports).where(exports.c.filter.has_key("entries"))).all()
    for id_, before in rows:
        after = before | {"entries": entry_filter(before["entries"])}
        if after != before:
            change = sa.update(exports).where(exports.c.id == id_)
            connection.execute(change.values(filter=after))


def downgrade() -> None:
    # A filter that the version before does not understand ends its export with that reason.
    pass


def entry_filter(value: Any) -> Any:
    """A filter of entries, or of what they belong to, by the new names."""
    if isinstance(value, list):
        return [entry_filter(item) for item in value]
    if not isinstance(value, dict):
        return value
    made: dict[str, Any] = {}
    for name, inner in value.items():
        for new, meaning in _field(name, inner):
            if new not in made:
                made[new] = meaning
            elif new == "and":
                made["and"] = [*made["and"], *meaning]
            else:
                made["and"] = [*made.get("and", []), {new: meaning}]
    return made


def _field(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if name in _TWINS:
        yield name.removesuffix("Id"), _end(value)
    elif name == "completed":
        completed = {"status": {"eq": "COMPLETED"}}
        yield ("status", completed["status"]) if value else ("not", completed)
    elif name == "sharedWithMe":
        shared = {"shares": {"some": {"user": {"isMe": True}}}}
        yield ("shares", shared["shares"]) if value else ("not", shared)
    else:
        yield name, entry_filter(value)


def _end(comparators: dict[str, Any]) -> dict[str, Any]:
    if comparators.get("isNull"):
        # What compares with no end says nothing more.
        return {"isNull": True}
    by_id = {name: operand for name, operand in comparators.items() if name != "isNull"}
    if by_id:
        return {"id": by_id}
    return {"isNull": False} if "isNull" in comparators else {}
