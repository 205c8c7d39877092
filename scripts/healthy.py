"""Exit with 0 if this container's server is ready."""

from __future__ import annotations

import http.client
import os
import sys

# Read here and not by `settings`, whose import takes three times as long as all the rest: this runs
# every few seconds.
port = int(os.environ.get("TASKLOOM_PORT") or os.environ.get("PORT") or 8000)
try:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    connection.request("GET", "/health/ready")
    sys.exit(0 if connection.getresponse().status == 200 else 1)
except (OSError, http.client.HTTPException):
    sys.exit(1)
