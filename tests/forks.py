"""`taskloom` in processes of its own, forked from one that has imported it.

Importing the application takes seconds of a processor, and a run of the tests starts a hundred such
processes. All else is as if a shell had started the command: its environment, its folder, signals.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import cli

_ROOT = Path(__file__).resolve().parents[1]
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["app", "cli", "jobs.worker", "tests.forks"])


class Fork:
    """A running command; what tests use of `subprocess.Popen`."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = _forks.Process(
            target=_run, args=(list(arguments), dict(environment), _Output())
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; `None` while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """As `returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, for so many seconds at most."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("taskloom", timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class _Output:
    """Standard output and error of the process that starts a fork, which takes them over."""

    def __reduce__(self) -> Any:
        return _Output._take, (DupFd(1), DupFd(2))

    @staticmethod
    def _take(*streams: Any) -> _Output:
        for number, stream in enumerate(streams, start=1):
            given = stream.detach()
            os.dup2(given, number)
            os.close(given)
        return _Output()


def _run(arguments: list[str], environment: dict[str, str], _: _Output) -> None:
    # Not the code of another folder, where this one is a copy.
    assert Path(cli.__file__).parents[1] == _ROOT
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(_ROOT)
    sys.argv = ["taskloom", *arguments]
    cli.main(arguments)
