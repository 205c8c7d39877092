"""Notice early that the server is to stop.

uvicorn tells an application only after the last response has ended, for which event streams would
wait forever. So we handle the signals ourselves, and then call uvicorn's own handlers.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


@contextlib.contextmanager
def before_shutdown(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` in the loop as soon as the process is asked to end."""
    loop = asyncio.get_running_loop()
    previous: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)
        earlier = previous[number]
        if callable(earlier):
            earlier(number, frame)

    # Signals belong to the main thread; a server in another thread is stopped by its owner.
    with contextlib.suppress(ValueError):
        for number in (int(signal.SIGTERM), int(signal.SIGINT)):
            previous[number] = signal.getsignal(number)
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, earlier in previous.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, earlier)
