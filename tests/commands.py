"""Commands of `taskloom`: in this process, since a separate one imports the application first, or
in one of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from cli import main

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Result:
    """Exit status, standard output and standard error of a command."""

    returncode: int
    stdout: str
    stderr: str


def is_ours(name: str) -> bool:
    """Whether this environment variable is a setting of Taskloom."""
    return name.startswith("TASKLOOM_") or name in {"DATABASE_URL", "REDIS_URL", "PORT"}


def taskloom(*arguments: str, typed: str = "", **variables: str) -> Result:
    """Run a command that ends by itself; `variables` are its only settings. An exception that the
    command does not report as a message is raised. Blocks, like a separate process.
    """
    kept: dict[str, str | None] = {name: None for name in os.environ if is_ours(name)}
    # In a thread without an event loop, since commands run their own.
    with ThreadPoolExecutor(1) as thread:
        result = thread.submit(
            CliRunner().invoke, main, arguments, input=typed, env={**kept, **variables}
        ).result()
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Result(result.exit_code, result.stdout, result.stderr)


def environment(**variables: str) -> dict[str, str]:
    """Our environment without settings of Taskloom, plus the given ones."""
    kept = {name: value for name, value in os.environ.items() if not is_ours(name)}
    return {**kept, "PYTHONPATH": str(ROOT), **variables}


def separately(
    *arguments: str, folder: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
