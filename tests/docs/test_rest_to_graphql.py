"""docs/rest-to-graphql.md: every route of the documents is in it, and every example runs.

The examples are one story, told from top to bottom. In their fences stands what the test has to
know: `save=NAME:path` keeps a value of the answer for the examples after it, `as=COLLEAGUE` has the
colleague ask. What comes by mail is made here.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from auth.codes import AccountCodes
from db.engine import Database
from domain.accounts import account_mail
from tests import uploads
from tests.accounts import House
from tests.conftest import PUBLIC_URL, LiveServer
from tests.factories import fresh_id

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rest-to-graphql.md"
FENCE = re.compile(r"^```(graphql|sh)(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# As the documents have them.
ROUTES = """
POST /auth/register, POST /auth/login, POST /auth/refresh, POST /auth/password-reset/request,
POST /auth/password-reset/verify, GET /tasks, POST /tasks, GET /tasks/stats, PATCH /tasks/bulk,
GET /tasks/{id}, PATCH /tasks/{task_id}, PUT /tasks/{id}, DELETE /tasks/{id},
POST /tasks/{task_id}/tags, DELETE /tasks/{task_id}/tags/{tag}, GET /tasks/shared-with-me,
GET /tasks/{task_id}/shares, POST /tasks/{task_id}/share, PUT /tasks/{task_id}/share/{username},
DELETE /tasks/{task_id}/share/{username}, POST /tasks/{task_id}/comments,
GET /tasks/{task_id}/comments, PATCH /comments/{comment_id}, DELETE /comments/{comment_id},
POST /tasks/{task_id}/files, GET /tasks/{task_id}/files, GET /files/{file_id},
DELETE /files/{file_id}, GET /notifications/preferences, PATCH /notifications/preferences,
POST /notifications/subscribe, GET /notifications/verify?token=..., POST /notifications/verify,
POST /notifications/send-verification, GET /activity, GET /activity/stats,
GET /activity/tasks/{task_id}, GET /users/me, PUT /users/me, POST /users/me/avatar,
PATCH /users/me/change-password, GET /users/search?query=...&limit=...,
GET /users/{user_id}/avatar.{ext}, GET /projects, POST /projects, GET /projects/{id},
PUT /projects/{id}, DELETE /projects/{id}, GET /projects/{project_id}/tasks,
POST /projects/{project_id}/tasks, GET /health, GET /version, GET /, GET /docs
"""


@dataclass(frozen=True, slots=True)
class Example:
    """A block of the page, and the heading that it stands under."""

    heading: str
    kind: str
    options: dict[str, str]
    text: str


def examples() -> Iterator[Example]:
    page = PAGE.read_text()
    for found in FENCE.finditer(page):
        heading = page.rfind("\n### ", 0, found.start())
        title = page[heading + 5 : page.index("\n", heading + 1)]
        options = dict(option.split("=", 1) for option in found[2].split())
        yield Example(title, found[1], options, found[3])


def test_every_route_is_listed_once_and_has_an_example() -> None:
    headings = re.findall(r"^### `([A-Z]+ /[^`]*)`", PAGE.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(route.strip() for route in ROUTES.split(","))
    shown = {example.heading.split("`")[1] for example in examples() if "`" in example.heading}
    assert set(headings) <= shown


class Story:
    """What is known so far; blanks in the examples are filled with it."""

    def __init__(self, server: LiveServer, folder: Path, **known: str) -> None:
        self.server = server
        self.folder = folder
        self.known = known

    def filled(self, text: str) -> str:
        # The longest first: one name may end with another.
        for name in sorted(self.known, key=len, reverse=True):
            text = re.sub(rf"\b{name}\b", self.known[name], text)
        return text

    async def ask(self, example: Example) -> None:
        token = self.known.get("COLLEAGUE_TOKEN" if "as" in example.options else "TOKEN")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=self.server.url, timeout=30) as http:
            query = self.filled(example.text)
            response = await http.post("/graphql", json={"query": query}, headers=headers)
        answer = response.json()
        assert "errors" not in answer, (example.heading, answer)
        for payload in answer["data"].values():
            assert payload is not None, (example.heading, answer)
            if isinstance(payload, dict):
                assert not payload.get("errors"), (example.heading, answer)
        for saved in filter(None, example.options.get("save", "").split(",")):
            name, _, path = saved.partition(":")
            value: Any = answer["data"]
            for key in path.split("."):
                value = value[key]
            self.known[name] = value.replace(PUBLIC_URL, self.server.url)

    async def run(self, example: Example) -> None:
        running = await asyncio.create_subprocess_exec(
            "sh", "-c", example.text,
            cwd=self.folder,
            env={**os.environ, **self.known, "SERVER": self.server.url},
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        printed, _ = await running.communicate()
        assert running.returncode == 0, (example.heading, printed)
        # What GraphQL answers is 200 even where it was of no use.
        assert b'"code"' not in printed, (example.heading, printed)


@pytest.fixture
async def house(live_server: LiveServer) -> AsyncIterator[House]:
    """Creates users beside the demo company."""
    database = await Database.connect(live_server.settings.database)
    made = House(live_server.settings, database)
    yield made
    made.auth.close()
    await database.close()


async def test_every_example_runs(live_server: LiveServer, house: House, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(uploads.image())
    colleague = await house.person()
    story = Story(
        live_server,
        tmp_path,
        COLLEAGUE=colleague.username,
        COLLEAGUE_TOKEN=colleague.grant.access_token,
    )
    for example in examples():
        if "RESET_TOKEN" in example.text:
            story.known["RESET_TOKEN"] = await _reset_token(house)
        if "VERIFY_TOKEN" in example.text:
            story.known["VERIFY_TOKEN"] = await _verify_token(house)
        if example.kind == "graphql":
            await story.ask(example)
        elif shutil.which("curl"):
            await story.run(example)


async def _reset_token(house: House) -> str:
    id_ = fresh_id()
    async with house.work() as work:
        await account_mail.begin_reset(work, id_, "grace@example.com")
    return AccountCodes(house.settings).token(id_)


async def _verify_token(house: House) -> str:
    id_ = fresh_id()
    async with house.work() as work:
        user = await account_mail.begin_reset(work, fresh_id(), "grace@example.com")
        assert user is not None
        await account_mail.begin_verification(work, id_, user.id, "grace@example.com")
    return AccountCodes(house.settings).token(id_)
