"""The audit suite of GraphQL over HTTP, as npm's `graphql-http` has it: every MUST and SHOULD."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.build_npm import npm_command

AUDIT = Path(__file__).resolve().parents[1] / "audit"


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """An environment with Node.js, and the suite installed as its lock says."""
    npm, environment = npm_command()
    if not npm:
        pytest.skip("there is no Node.js, and none can be had")
    lock, installed = AUDIT / "package-lock.json", AUDIT / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = [*npm, "ci", "--loglevel=error", "--fetch-retries=1"]
        done = subprocess.run(command, cwd=AUDIT, env=environment, capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"the suite cannot be had from npm: {done.stderr.decode()[-300:]}")
    return environment


async def test_every_audit_is_passed(live_url: str, environment: dict[str, str]) -> None:
    running = await asyncio.create_subprocess_exec(
        "node",
        "audit.js",
        f"{live_url}/graphql",
        cwd=AUDIT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await running.communicate()
    found: list[dict[str, Any]] = json.loads(printed)
    assert [audit for audit in found if audit["status"] != "ok"] == []
    assert len(found) >= 61
