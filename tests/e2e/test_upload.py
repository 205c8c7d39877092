"""An upload from a web page with a progress bar, as docs/files.md shows."""

from __future__ import annotations

from typing import Any, Protocol

import pytest
from playwright.async_api import Browser

from tests.browsers import CHROMIUM

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed on this machine"),
]

# Runs in the page: signs in, creates a task, sends nine million bytes of text, reads them back.
SCRIPT = """
async ({ login, password }) => {
  let token = null
  const ask = async (query, variables) => {
    const headers = { "content-type": "application/json" }
    if (token) headers.authorization = `Bearer ${token}`
    const body = JSON.stringify({ query, variables })
    const answer = await (await fetch("/graphql", { method: "POST", headers, body })).json()
    if (answer.errors) throw new Error(JSON.stringify(answer.errors))
    return Object.values(answer.data)[0]
  }
  token = (await ask(
    "mutation ($i: SessionCreateInput!) { sessionCreate(input: $i) { accessToken } }",
    { i: { login, password } },
  )).accessToken
  // The tests' server has another public address than the one that it listens on.
  const here = (address) => new URL(address).pathname + new URL(address).search
  const { task } = await ask(
    "mutation ($i: TaskCreateInput!) { taskCreate(input: $i) { task { id } } }",
    { i: { title: "Something to read" } },
  )
  const file = new Blob(["All work and no play.\\n".repeat(400_000)], { type: "text/plain" })
  const { upload } = await ask(
    `mutation ($i: AttachmentUploadStartInput!) {
      attachmentUploadStart(input: $i) { upload { id url } }
    }`,
    { i: { taskId: task.id, filename: "play.txt", byteSize: file.size } },
  )
  const bar = []
  const status = await new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.upload.onprogress = (event) => bar.push(event.loaded / event.total)
    request.onload = () => resolve(request.status)
    request.onerror = reject
    request.open("PUT", here(upload.url))
    request.send(file)
  })
  const { attachment } = await ask(
    `mutation ($i: AttachmentUploadFinishInput!) {
      attachmentUploadFinish(input: $i) { attachment { filename byteSize contentType downloadUrl } }
    }`,
    { i: { uploadId: upload.id } },
  )
  const fetched = await (await fetch(here(attachment.downloadUrl))).text()
  return { bar, status, attachment, size: file.size, same: fetched === (await file.text()) }
}
"""


class LiveServer(Protocol):
    """A running server with demo data."""

    url: str
    demo_login: str
    demo_password: str


async def test_a_page_uploads_a_file_and_shows_its_progress(
    chromium: Browser, live_server: LiveServer
) -> None:
    page = await chromium.new_page()
    # Any page of the server, whose policy allows a script to send requests to it.
    await page.goto(f"{live_server.url}/version")
    login = {"login": live_server.demo_login, "password": live_server.demo_password}
    sent: dict[str, Any] = await page.evaluate(SCRIPT, login)
    await page.close()
    assert sent["status"] == 204
    assert sent["attachment"]["filename"] == "play.txt"
    assert sent["attachment"]["byteSize"] == sent["size"]
    assert sent["attachment"]["contentType"] == "text/plain"
    assert sent["same"]
    assert sent["bar"] == sorted(sent["bar"])
    assert sent["bar"][-1] == 1
