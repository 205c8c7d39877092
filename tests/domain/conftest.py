from __future__ import annotations

from collections.abc import Iterator

import pytest

from db.engine import Database
from settings import Settings
from tests.accounts import House


@pytest.fixture
def house(settings: Settings, database: Database) -> Iterator[House]:
    """A process of the server, with a clock of its own."""
    made = House(settings, database)
    yield made
    made.auth.close()
