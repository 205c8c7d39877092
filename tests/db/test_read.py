"""Which reads PostgreSQL plans once, and which for their values."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import ARRAY, Uuid, bindparam, column, func, select, table
from sqlalchemy.orm import aliased

from db.engine import Database
from db.models import Task
from db.read import Statement


@pytest.mark.parametrize(
    ("plan_once", "mode"), [(True, "force_generic_plan"), (False, "auto")], ids=["once", "values"]
)
async def test_a_statement_is_planned_as_it_says(
    database: Database, plan_once: bool, mode: str
) -> None:
    modes = Statement(
        select(func.current_setting("plan_cache_mode").label("mode")), plan_once=plan_once
    )
    (row,) = await database.reader.fetch(modes, {})
    assert row.mode == mode


async def test_what_is_planned_once_is_not_planned_for_each_read(database: Database) -> None:
    task = aliased(Task, name=f"task_{uuid.uuid4().hex}")
    keys = bindparam("keys", type_=ARRAY(Uuid()))
    read = Statement(select(task.id).where(task.id == keys.any_()), plan_once=True)
    for _ in range(12):
        await database.reader.fetch(read, {"keys": [uuid.uuid4()]})
    prepared = table("pg_prepared_statements", *map(column, ("statement", "custom_plans")))
    plans = Statement(
        select(prepared.c.custom_plans).where(prepared.c.statement == read.text), plan_once=True
    )
    rows = await database.reader.fetch(plans, {})
    assert [row.custom_plans for row in rows] == [0]
