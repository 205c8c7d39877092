from __future__ import annotations

from collections.abc import Iterator

import pytest

from db.engine import Database
from settings import Settings
from tests.accounts import House


@pytest.fixture
def house(settings: Settings, database: Database) -> Iterator[House]:
    """A server process with its own clock."""
    made = House(settings, database)
    yield made
    made.auth.close()
