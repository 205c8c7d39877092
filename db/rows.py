"""Many rows in one statement whose text does not depend on their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Text, bindparam, column, func
from sqlalchemy.types import TypeEngine

from db.base import Base


def given_rows(model: type[Base], *names: str, texts: Sequence[str] = ()) -> Any:
    """A table of the rows that are passed as parameters: for each of these columns of `model`, an
    array under the column's name, all of the same length. No column may be an array itself. `texts`
    are further columns, of text.

        new = given_rows(Job, "id", "key")
        insert(Job).from_select(["id", "key"], select(new.c.id, new.c.key))
    """
    types: dict[str, TypeEngine[Any]] = {name: model.__table__.c[name].type for name in names}
    types |= {name: Text() for name in texts}
    arrays = (bindparam(name, type_=ARRAY(type_), required=False) for name, type_ in types.items())
    return (
        func.unnest(*arrays)
        .table_valued(*(column(name, type_) for name, type_ in types.items()))
        .render_derived(name="given")
    )
