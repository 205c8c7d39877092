"""The browser of the tests."""

from __future__ import annotations

import shutil

# The first that is installed. The shell is Chromium without windows: a new page in it costs a
# seventh of the time.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
