"""Failures in the runs show the values that were compared, as those in test modules do."""

from __future__ import annotations

import pytest

for name in ("pages", "actions", "integrators"):
    pytest.register_assert_rewrite(f"tests.graph.operations.{name}")
