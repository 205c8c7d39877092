"""The TypeScript client in two tabs of a browser that share a session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, Request, Route, async_playwright

from tests.accounts import Person
from tests.browsers import CHROMIUM
from tests.clients.conftest import Server
from tests.clients.test_typescript import FOLDER, tokens_of

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed on this machine"),
]

# A page of the server's origin, which has the modules as a bundler would find them.
LIBRARIES = {
    "graphql-ws/client": "graphql-ws/dist/client.js",
    "idb-keyval": "idb-keyval/dist/index.js",
}
IMPORTS = {"imports": {name: f"/kit/{path}" for name, path in LIBRARIES.items()}}
PAGE = f"<script type=importmap>{json.dumps(IMPORTS)}</script>"

BEGIN = """
async () => {
  const { Taskloom, browserStorage } = await import("/kit/client/index.js")
  window.storage = browserStorage("test")
  window.api = new Taskloom({ url: "", storage })
  window.session = []
  api.onSession((signedIn) => session.push(signedIn))
}
"""
ASK = """
async () => {
  const ask = () => api.request("{ viewer { user { username } } }")
  const answers = await Promise.all(Array.from({ length: 5 }, ask))
  return answers.map(({ viewer }) => viewer.user.username)
}
"""
LISTEN = """
() => {
  window.kinds = []
  return new Promise((connected) => {
    const listen = async () => {
      for await (const { kind } of api.live(
        "subscription ($after: String) { taskEvents(after: $after) { cursor kind } }",
        {},
        { onStatus: connected },
      )) kinds.push(kind)
    }
    listen().catch((error) => (window.ended = error.code))
  })
}
"""
UPLOAD = """
async () => {
  const create = `mutation ($input: TaskCreateInput!) {
    taskCreate(input: $input) { task { id } errors { code message } }
  }`
  const { taskCreate } = await api.request(create, { input: { title: "With a file" } })
  const file = new File(["All work and no play.\\n".repeat(200_000)], "play.txt")
  const steps = []
  const onProgress = (sent, size) => steps.push(sent / size)
  const attachment = await api.upload(taskCreate.task.id, file, { onProgress })
  const stop = new AbortController()
  const options = { signal: stop.signal, onProgress: () => stop.abort() }
  const aborted = await api.upload(taskCreate.task.id, file, options).catch(({ name }) => name)
  return { steps, byteSize: attachment.byteSize, size: file.size, aborted }
}
"""


@pytest.fixture
async def context() -> AsyncIterator[BrowserContext]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                *("--no-sandbox", "--disable-gpu", "--disable-quic"),
                # A page that the test answers for the server may open a WebSocket to it.
                "--disable-features=LocalNetworkAccessChecks",
            ],
        )
        async with await browser.new_context() as made:
            yield made
        await browser.close()


async def test_two_tabs_share_a_session(
    server: Server, expired: Person, context: BrowserContext
) -> None:
    if not (FOLDER / "dist").exists():
        pytest.skip("The TypeScript client is not built: make test builds it from npm.")
    refreshes: list[str] = []

    async def serve(route: Route) -> None:
        name = route.request.url.partition("/kit/")[2]
        library = FOLDER / "node_modules" / name
        if name == "index.html":
            await route.fulfill(body=PAGE, content_type="text/html")
        else:
            path = library if library.exists() else FOLDER / "dist" / name.partition("/")[2]
            await route.fulfill(path=path, content_type="text/javascript")

    def note(request: Request) -> None:
        if "sessionRefresh" in (request.post_data or ""):
            refreshes.append(request.url)

    await context.route("**/kit/**", serve)
    context.on("request", note)
    tabs: list[Page] = [await context.new_page() for _ in range(2)]
    for tab in tabs:
        await tab.goto(f"{server.url}/kit/index.html")
        await tab.evaluate(BEGIN)
    await tabs[0].evaluate("(tokens) => storage.write(tokens)", tokens_of(expired))

    # Both renew the tokens at once, and only one of them does it.
    answers = await asyncio.gather(*(tab.evaluate(ASK) for tab in tabs))
    assert answers == [[expired.username] * 5] * 2
    assert len(refreshes) == 1

    await tabs[1].evaluate(LISTEN)
    uploaded: Any = await tabs[0].evaluate(UPLOAD)
    assert uploaded["byteSize"] == uploaded["size"]
    assert uploaded["aborted"] == "AbortError"
    assert uploaded["steps"] == sorted(uploaded["steps"])
    assert uploaded["steps"][-1] == 1
    await tabs[1].wait_for_function("kinds.includes('ATTACHMENT_CREATED')")

    await tabs[0].evaluate("api.signOut()")
    await tabs[1].wait_for_function("window.ended === 'UNAUTHENTICATED'")
    assert await tabs[1].evaluate("session") == [False]
    assert await tabs[1].evaluate("api.isSignedIn()") is False
