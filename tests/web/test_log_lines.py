"""Lines that are written without `logging` look like those that structlog writes."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Writes each line twice: as a logger does, and directly.
WRITE = """
import logging, structlog
from logs import logger
from settings import ServerSettings
from web.log_lines import configure_logging, write_line

configure_logging(ServerSettings())
structlog.contextvars.bind_contextvars(request_id="r1", path="bound")
for level in (logging.DEBUG, logging.INFO, logging.WARNING):
    for fields in (
        {"path": "/graphql", "status": 200, "ms": 0.4, "operation": None, "kind": "query"},
        {"path": "/a b=c", "codes": ["A", "B"], "slow": ["SELECT 'x'\\nFROM t"], "user": "é"},
        {"quoted": "it's", "line": "a\\nb", "tab": "a\\tb", "empty": "", "none": {}},
    ):
        logger("taskloom.access").log(level, "request", **fields)
        write_line("taskloom.access", level, "request", fields)
"""
CONTROL = """
from settings import ServerSettings
from web.log_lines import configure_logging, write_line

configure_logging(ServerSettings())
write_line("taskloom.access", 20, "request", {"path": "/\\x1b[2J\\x9b"})
"""
ABANDONED = """
from settings import ServerSettings
from web.log_lines import configure_logging, write_line

configure_logging(ServerSettings())
input()
for _ in range(100):
    write_line("taskloom.access", 20, "request", {"path": "/" * 1000})
print("answered")
"""


@pytest.mark.parametrize(
    ("env", "terminal"), [("production", False), ("development", False), ("development", True)]
)
def test_lines_look_like_those_of_a_logger(env: str, terminal: bool) -> None:
    said = (_said_to_terminal if terminal else _said)(WRITE, env)
    lines = [re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", line) for line in said.splitlines()]
    assert len(lines) == 18
    assert all("TIME" in line for line in lines)
    if env == "production":
        # An object has no order.
        lines = ["".join(sorted(line)) for line in lines]
    assert lines[::2] == lines[1::2]


def test_text_for_a_terminal_contains_no_control_characters() -> None:
    said = _said(CONTROL, "development")
    assert said.rstrip("\n").isprintable()
    assert r"path='/\x1b[2J\x9b'" in said


def test_nobody_has_to_read_the_lines() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ABANDONED],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        process.stderr.close()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.read() == "answered\n"


def _environment(env: str) -> dict[str, str]:
    return {**os.environ, "TASKLOOM_ENV": env, "TASKLOOM_LOG_LEVEL": "debug"}


def _said(code: str, env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=_environment(env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def _said_to_terminal(code: str, env: str) -> str:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=_environment(env), stderr=theirs
    ) as process:
        os.close(theirs)
        parts = []
        # Linux says EIO once the other side is closed.
        try:
            while part := os.read(ours, 65536):
                parts.append(part)
        except OSError:
            pass
        os.close(ours)
    assert process.returncode == 0
    return b"".join(parts).decode()
