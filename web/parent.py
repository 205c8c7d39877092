"""The end of a child process whose parent was killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

# For what runs when a parent was killed.
_END_SECONDS = 30.0


def end_with_parent() -> None:
    """Stop a child process when its parent was killed; otherwise it would hold the port forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        _end_after(parent.join)


def end_with_input() -> None:
    """Stop this process when its standard input ends: it is a pipe that its parent holds."""
    # Not through `sys.stdin`, whose lock Python needs when the process ends by itself: it would
    # abort.
    number = sys.stdin.fileno()

    def read() -> None:
        while os.read(number, 1024):
            pass

    _end_after(read)


def _end_after(wait: Callable[[], object]) -> None:
    def watch() -> None:
        wait()
        os.kill(os.getpid(), signal.SIGTERM)
        # Nothing may keep it: nobody is left who could end it.
        time.sleep(_END_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
