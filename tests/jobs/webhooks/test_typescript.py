"""The TypeScript client verifies the requests that the worker sends, byte by byte."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from domain.integrations import webhook as webhooks
from scripts.build_npm import npm_command
from tests.jobs.webhooks.conftest import Scene

MODULE = Path(__file__).resolve().parents[3] / "clients" / "typescript" / "dist" / "webhooks.js"
PROGRAM = """
import { readFileSync } from "node:fs";
const [module, body, headers, ...secrets] = process.argv.slice(1);
const { verifyWebhook } = await import(module);
const verified = verifyWebhook(secrets, JSON.parse(headers), readFileSync(body));
console.log(JSON.stringify(await verified.catch(({ name }) => name)));
"""


async def verified(body: bytes, headers: dict[str, str], folder: Path, *secrets: str) -> Any:
    """What the client makes of a request."""
    _, environment = npm_command()
    node = shutil.which("node", path=environment["PATH"])
    assert node is not None
    file = folder / "body"
    file.write_bytes(body)
    running = await asyncio.create_subprocess_exec(
        *(node, "--input-type=module", "--eval", PROGRAM, "--"),
        *(MODULE.as_uri(), str(file), json.dumps(headers), *secrets),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await running.communicate()
    return json.loads(printed)


async def test_requests_on_the_wire_are_verified(scene: Scene, tmp_path: Path) -> None:
    if not MODULE.exists():
        pytest.skip("The TypeScript client is not built: make test builds it from npm.")
    webhook, old = await scene.webhook()
    _, new = await scene.house.do(
        scene.ada.viewer, webhooks.rotate_secret, scene.encryption, webhook.id, 3_600
    )
    await scene.task("Dig, 植える 🌱")
    await scene.settle()
    sent = scene.receiver.requests[-1]
    assert sent.json["task"]["title"] == "Dig, 植える 🌱"
    # Signed with both; the first secret given is another one.
    other = "whsec_" + "b3RoZXI" * 4
    assert await verified(sent.body, sent.headers, tmp_path, other, old) == sent.json
    assert await verified(sent.body, sent.headers, tmp_path, new) == sent.json
    assert await verified(sent.body, sent.headers, tmp_path, other) == "WebhookError"
    changed = sent.body.replace(b"Dig", b"Dug")
    assert await verified(changed, sent.headers, tmp_path, new) == "WebhookError"
