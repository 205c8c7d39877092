"""Every snippet of the guide, and of the page of error codes, runs against a server with demo data,
in the order of its page.

GraphQL is sent over HTTP and its answer compared with the one that the page shows; subscriptions
run over WebSocket. Python, TypeScript and shell run as programs of their own, with `SERVER`,
`TOKEN` and what the page has saved in the environment. Pages use the demo's names, so that readers
can paste everything.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from demo.company import LOGIN, PASSWORD
from scripts.build_npm import npm_command
from tests.conftest import LiveServer
from tests.docs.snippets import Snippet, snippets
from web.docs.site import Page, pages

ROOT = Path(__file__).resolve().parents[2]
# Built folders beside the libraries that programs import. In node_modules itself, Node.js runs no
# TypeScript.
EXPLORER = ROOT / "explorer" / "dist"
CLIENTS = ROOT / "clients"
PAGES = [page for page in pages().values() if page.section == "Guide" or page.name == "errors"]
# From this version on, Node.js runs TypeScript.
TYPESCRIPT = (22, 18)
PROGRAMS = {"python", "sh", "ts"}


class Reader:
    """Somebody who tries one page: what they have saved so far, and their tokens."""

    def __init__(self, server: LiveServer, folder: Path) -> None:
        self.url = server.url
        self.folder = folder
        self.saved: dict[str, str] = {}
        self.tokens: dict[str, str] = {}

    async def run(self, snippet: Snippet, shown: str | None) -> None:
        """Run a snippet. `shown`: the answer that the page has below it."""
        if "skip" in snippet.options:
            return
        if snippet.language == "graphql":
            await self._ask(snippet, shown)
        else:
            assert snippet.language in PROGRAMS, snippet.place
            await self._start(snippet)

    async def token(self, options: dict[str, str]) -> str | None:
        """Who asks."""
        if "token" in options:
            return self.saved[options["token"]]
        login = options.get("as", LOGIN)
        if login == "nobody":
            return None
        if login not in self.tokens:
            query = (
                "mutation ($login: String!, $password: String!) { sessionCreate(input: "
                "{login: $login, password: $password}) { accessToken errors { code } } }"
            )
            answer = await self._post(query, None, {"login": login, "password": PASSWORD})
            self.tokens[login] = answer.json()["data"]["sessionCreate"]["accessToken"]
        return self.tokens[login]

    def filled(self, text: str) -> str:
        """The text with saved values in place of their names."""
        for name in sorted(self.saved, key=len, reverse=True):
            text = re.sub(rf"\b{name}\b", self.saved[name], text)
        return text

    # --- GraphQL -------------------------------------------------------------------------------

    async def _ask(self, snippet: Snippet, shown: str | None) -> None:
        document = self.filled(snippet.text)
        token = await self.token(snippet.options)
        if document.startswith("subscription"):
            number = int(snippet.options.get("deliveries", 0))
            answers = await self._listen(document, token, number)
            answer = answers[0] if answers else {"data": None}
        else:
            response = await self._post(document, token)
            assert response.status_code == int(snippet.options.get("status", 200)), snippet.place
            answer = response.json()
        expected = set(filter(None, snippet.options.get("codes", "").split(",")))
        assert set(codes_of(answer)) == expected, (snippet.place, answer)
        if shown is not None:
            differences = list(differing(json.loads(shown), answer))
            assert not differences, (snippet.place, differences, answer)
        for saved in filter(None, snippet.options.get("save", "").split(",")):
            name, _, path = saved.partition(":")
            value: Any = answer["data"]
            for key in path.split("."):
                value = value[int(key)] if key.isdigit() else value[key]
            self.saved[name] = str(value)

    async def _post(
        self, query: str, token: str | None, variables: dict[str, Any] | None = None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = {"query": query, "variables": variables}
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as http:
            return await http.post("/graphql", json=body, headers=headers)

    async def _listen(self, query: str, token: str | None, number: int) -> list[Any]:
        """The first deliveries of a subscription; without any, that it has been opened."""
        protocol = Subprotocol("graphql-transport-ws")
        address = f"{self.url.replace('http', 'ws')}/graphql"
        found: list[Any] = []
        async with asyncio.timeout(60), connect(address, subprotocols=[protocol]) as socket:

            async def send(**message: Any) -> None:
                await socket.send(json.dumps(message))

            credentials = {"Authorization": f"Bearer {token}"}
            await send(type="connection_init", payload=credentials)
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            await send(type="subscribe", id="1", payload={"query": query})
            while len(found) < number:
                message = json.loads(await socket.recv())
                if message["type"] == "ping":
                    await send(type="pong")
                elif message["type"] == "error":
                    found.append({"errors": message["payload"]})
                else:
                    found.append(message["payload"])
            if not number:
                await send(type="ping")
                assert json.loads(await socket.recv())["type"] == "pong"
        return found

    # --- programs --------------------------------------------------------------------------------

    async def _start(self, snippet: Snippet) -> None:
        command = program(snippet.language)
        if command is None:
            return
        # The pages say where `make serve` serves.
        text = snippet.text.replace("http://127.0.0.1:8000", self.url)
        home = self.folder
        if snippet.language == "ts":
            kit = CLIENTS / "typescript" / "dist"
            built = kit if "@taskloom/client" in text else EXPLORER
            if not built.exists():
                return
            home = built / ".guide"
            home.mkdir(exist_ok=True)
        file = home / f"{uuid4().hex}.{'mts' if snippet.language == 'ts' else snippet.language}"
        file.write_text(text, encoding="utf-8")
        token = await self.token(snippet.options)
        values = {**self.saved, "SERVER": self.url, "TOKEN": token or ""}
        values["PYTHONPATH"] = str(CLIENTS / "python")
        try:
            running = await asyncio.create_subprocess_exec(
                *command,
                str(file),
                cwd=self.folder,
                env={**os.environ, **values},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(60):
                printed, problems = await running.communicate()
        finally:
            file.unlink()
        assert running.returncode == 0, (snippet.place, problems.decode())
        assert printed.strip(), (snippet.place, problems.decode())
        # What GraphQL answers is 200 even where it was of no use.
        assert b'"code":"' not in printed.replace(b" ", b""), (snippet.place, printed)


def program(language: str) -> list[str] | None:
    """What runs a language; None if this machine lacks it."""
    if language == "python":
        return [sys.executable]
    if language == "sh":
        return ["sh"] if shutil.which("curl") else None
    command, environment = npm_command()
    node = shutil.which("node", path=environment.get("PATH")) if command else None
    if node is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    return [node] if version >= TYPESCRIPT else None


def codes_of(answer: dict[str, Any]) -> Iterator[str]:
    """The codes of the errors of an answer, of the request and in payloads."""
    for error in answer.get("errors") or []:
        yield error["extensions"]["code"]
    for payload in (answer.get("data") or {}).values():
        for error in (isinstance(payload, dict) and payload.get("errors")) or []:
            yield error["code"]


def differing(shown: Any, found: Any, at: str = "") -> Iterator[str]:
    """What an answer lacks of the one that a page shows. `…` stands for any text, and every number
    called `version` for any other.
    """
    if isinstance(shown, dict) and isinstance(found, dict):
        for name, value in shown.items():
            if name not in found:
                yield f"{at}.{name} is missing"
            elif name != "version":
                yield from differing(value, found[name], f"{at}.{name}")
    elif isinstance(shown, list) and isinstance(found, list):
        if len(shown) != len(found):
            yield f"{at} has {len(found)} items"
        for number, (value, other) in enumerate(zip(shown, found, strict=False)):
            yield from differing(value, other, f"{at}.{number}")
    elif shown != found and not (shown == "…" and isinstance(found, str)):
        yield f"{at} is {found!r}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_every_snippet_runs(page: Page, live_server: LiveServer, tmp_path: Path) -> None:
    reader = Reader(live_server, tmp_path)
    found = list(snippets(page.name, page.read()))
    ran = 0
    for snippet, after in zip(found, [*found[1:], None], strict=True):
        if snippet.language == "json" or snippet.text.startswith("make "):
            continue
        shown = after.text if after is not None and after.language == "json" else None
        await reader.run(snippet, shown)
        ran += "skip" not in snippet.options
    assert ran, "the page shows nothing that runs"
