"""The end of a child process whose parent was killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

# For what runs when a parent was killed.
_END_SECONDS = 30.0


def end_with_parent() -> None:
    """Stop a child process when its parent was killed; otherwise it would hold the port forever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        # Nothing may keep it: nobody is left who could end it.
        time.sleep(_END_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
