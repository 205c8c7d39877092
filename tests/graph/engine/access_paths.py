"""Access paths for tests: which one a list takes must not change what it says."""

from __future__ import annotations

from typing import Any

from auth.viewer import Viewer
from graph.core.access_paths import AccessPaths


class Counting(AccessPaths):
    """Always looks first how many rows the viewer sees."""

    def uses_candidates(self, viewer: Viewer, model: Any) -> bool:
        return True
