"""Exit with 0 if this container's server is ready."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

from settings import load_settings

try:
    port = load_settings().server.port
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=4) as answer:
        sys.exit(0 if answer.status == 200 else 1)
except (OSError, urllib.error.URLError):
    sys.exit(1)
