"""Restarts the parts of `taskloom serve` when they die.

A thread of the first process checks them twice a second. A part that has died is restarted at once,
then after one second, two, four and so on up to a minute, until it has lived for a minute. The
state is written to a file that the server's processes read, for `/health/ready` and `/metrics`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

log = logging.getLogger("taskloom.supervision")

_VARIABLE: Final = "_TASKLOOM_SUPERVISION"
_EVERY: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
# A part that lives this long has recovered.
_WELL_AFTER: Final = 60.0


class State(NamedTuple):
    """The state of one part: whether it lives, and how often it was restarted."""

    alive: bool
    restarts: int


@dataclass(slots=True)
class _Part:
    alive: Callable[[], bool]
    start: Callable[[], None]
    lives: bool = True
    restarts: int = 0
    pause: float = 0.0
    not_before: float = 0.0
    started_at: float = 0.0


class Supervisor:
    """One in the first process of a server; a context manager, in which the thread runs."""

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._folder = tempfile.TemporaryDirectory(
            prefix="taskloom-supervision-", ignore_cleanup_errors=True
        )
        self._file = Path(self._folder.name) / "state.json"
        self._written = True
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        os.environ[_VARIABLE] = str(self._file)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        os.environ.pop(_VARIABLE, None)
        self._folder.cleanup()

    @contextlib.contextmanager
    def watching(
        self, name: str, alive: Callable[[], bool], start: Callable[[], None]
    ) -> Iterator[None]:
        """Restart a part whenever it is not alive, until the block ends."""
        with self._lock:
            self._parts[name] = _Part(alive, start, started_at=time.monotonic())
            self._write()
        try:
            yield
        finally:
            # Waits for a start that is under way, so that none follows the end.
            with self._lock:
                del self._parts[name]

    def _run(self) -> None:
        while not self._stop.wait(_EVERY):
            with self._lock:
                before = self._states()
                for name, part in self._parts.items():
                    self._look_at(name, part)
                if self._states() != before or not self._file.exists():
                    self._write()

    def _look_at(self, name: str, part: _Part) -> None:
        now = time.monotonic()
        part.lives = part.alive()
        if part.lives:
            if now - part.started_at > _WELL_AFTER:
                part.pause = 0.0
            return
        if now < part.not_before:
            return
        log.error("the %s died and is being restarted", name)
        part.restarts += 1
        part.pause = min(max(1.0, 2 * part.pause), _LONGEST_PAUSE)
        part.not_before = now + part.pause
        self._write()
        try:
            part.start()
        except Exception:
            log.exception("the %s could not be started; retrying in %g s", name, part.pause)
        part.started_at = time.monotonic()
        part.lives = part.alive()

    def _states(self) -> dict[str, State]:
        return {name: State(part.lives, part.restarts) for name, part in self._parts.items()}

    def _write(self) -> None:
        """Whatever becomes of it, the parts must be looked after."""
        try:
            # Systems delete what is old below /tmp.
            with contextlib.suppress(FileExistsError):
                self._file.parent.mkdir(mode=0o700)
            draft = self._file.with_suffix(".draft")
            draft.unlink(missing_ok=True)
            with draft.open("x", encoding="utf-8") as file:
                json.dump(self._states(), file)
            draft.replace(self._file)
            self._written = True
        except OSError as error:
            if self._written:
                log.warning("the state of the parts cannot be written: %s", error)
            self._written = False


def states() -> dict[str, State]:
    """The state of the parts; empty if this process belongs to no supervised server."""
    file = os.environ.get(_VARIABLE)
    if file is None:
        return {}
    try:
        found = json.loads(Path(file).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: State(*state) for name, state in found.items()}
