"""Declarations that are wrong are reported when their module is imported."""

from __future__ import annotations

import pytest

from db import models
from graph.core.fields import column
from graph.core.node import TYPE_NAMES, node_type


def test_a_field_has_a_column_of_its_own_name() -> None:
    fields = {"__annotations__": {"nickname": "str"}, "nickname": column("What friends say.")}
    with pytest.raises(AttributeError, match="nickname"):
        node_type(models.User, "A person.")(type("Friend", (), fields))
    assert TYPE_NAMES.get(models.User) != "Friend"
