"""Stored filters of report exports name related objects by the relation, not by a field of ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0030"
down_revision: str | None = "0029"
branch_labels: str | None = None
depends_on: str | None = None

_RELATIONS = {
    f"{name}Id": name
    for name in (
        "assignee",
        "author",
        "owner",
        "parent",
        "project",
        "sharedBy",
        "task",
        "uploader",
        "user",
    )
}
_OF_RELATIONS = {name: old for old, name in _RELATIONS.items()}


def upgrade() -> None:
    _each(_upgraded)


def downgrade() -> None:
    """What earlier versions cannot express stays, and ends the export that has it."""
    _each(_downgraded)


def _upgraded(value: Any) -> Any:
    if isinstance(value, list):
        return [_upgraded(item) for item in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    # Conditions whose field is there already, by itself.
    more: list[dict[str, Any]] = []
    for name, inner in value.items():
        for new, condition in _condition(name, inner).items():
            if new in found or (new != name and new in value):
                more.append({new: condition})
            else:
                found[new] = condition
    if more:
        found["and"] = [*found.get("and", []), *more]
    return found


def _condition(name: str, inner: Any) -> dict[str, Any]:
    if name in _RELATIONS and isinstance(inner, dict):
        null = {key: answer for key, answer in inner.items() if key == "isNull"}
        others = {key: operand for key, operand in inner.items() if key != "isNull"}
        return {_RELATIONS[name]: {**null, **({"id": others} if others else {})}}
    if name == "completed" and isinstance(inner, bool):
        return {"status": {"eq" if inner else "notEq": "COMPLETED"}}
    if name == "sharedWithMe" and isinstance(inner, bool):
        mine = {"user": {"isMe": True}, "isExpired": False}
        return {"shares": {"some" if inner else "none": mine}}
    return {name: _upgraded(inner)}


def _downgraded(value: Any) -> Any:
    if isinstance(value, list):
        return [_downgraded(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, inner in value.items():
        if name in _OF_RELATIONS and isinstance(inner, dict) and inner.keys() == {"isNull"}:
            found[_OF_RELATIONS[name]] = inner
        elif name == "parent" and isinstance(inner, dict) and inner.keys() == {"id"}:
            found["parentId"] = inner["id"]
        else:
            found[name] = _downgraded(inner)
    return found


def _each(rewrite: Callable[[Any], Any]) -> None:
    connection = op.get_bind()
    stored = sa.table("report_exports", sa.column("id", sa.Uuid()), sa.column("filter", JSONB()))
    rows = connection.execute(sa.select(stored).where(stored.c.filter.is_not(None))).all()
    for id_, before in rows:
        after = rewrite(before)
        if after != before:
            change = sa.update(stored).where(stored.c.id == id_)
            connection.execute(change.values(filter=after))
