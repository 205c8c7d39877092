"""Many rows or IDs in one statement whose text does not depend on their number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, any_, bindparam, column, func, literal
from sqlalchemy.dialects.postgresql import JSONB

from db.base import Base


def given_rows(model: type[Base], *names: str) -> Any:
    """A table of the rows that are passed as the parameter `rows`: a list of dictionaries, each
    with a value for these columns of `model`. They travel as JSON.

        new = given_rows(Job, "id", "key")
        insert(Job).from_select(["id", "key"], select(new.c.id, new.c.key))
    """
    columns = model.__table__.c
    return (
        func.jsonb_to_recordset(bindparam("rows", type_=JSONB()))
        .table_valued(*(column(name, columns[name].type) for name in names))
        .render_derived(name="given", with_types=True)
    )


def among(key: Any, ids: Iterable[UUID]) -> ColumnElement[bool]:
    """As `key.in_(ids)`, for any number of IDs: a statement can have 32,767 parameters."""
    condition: ColumnElement[bool] = key == any_(literal(list(ids), ARRAY(Uuid())))
    return condition
