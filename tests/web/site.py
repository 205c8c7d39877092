"""A visit of a whole server at its public address, as browsers and programs follow its links."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import ssl
from html import unescape
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from auth.links import UnsubscribeLinks
from db.models import NotificationKind
from settings import Settings
from tests import uploads
from tests.accounts import PASSWORD, Person

SUBPROTOCOL = Subprotocol("graphql-transport-ws")
CREATE = """mutation ($input: TaskCreateInput!) {
    taskCreate(input: $input) { task { id title } errors { code message docsUrl } }
}"""
WATCH = "subscription { taskEvents { kind task { title } } }"


class Site:
    """A server, known by its public address alone: every address that it gives is below it."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient, person: Person) -> None:
        self.url = settings.server.public_url
        self.settings = settings
        self.http = http
        self.person = person
        self.signed = {"Authorization": person.header}

    async def get(self, url: str, **more: Any) -> httpx.Response:
        """Below the public address, wherever the link came from."""
        assert url == self.url or url.startswith(f"{self.url}/"), url
        return await self.http.get(url, **more)

    async def ask(self, query: str, **variables: Any) -> Any:
        """The data of an operation."""
        body = {"query": query, "variables": variables}
        answer = await self.http.post(f"{self.url}/graphql", json=body, headers=self.signed)
        assert answer.status_code == 200, answer.text
        assert "errors" not in answer.json(), answer.text
        return answer.json()["data"]

    async def pages(self) -> None:
        """The explorer, its files and its API; the documentation and its links."""
        browser = {"Accept": "text/html"}
        home = await self.get(self.url, headers=browser, follow_redirects=True)
        assert home.status_code == 200
        page = f"{self.url}/"
        assert str(home.url) in ({page} if urlsplit(self.url).path else {page, self.url})
        assets = re.findall(r'(?:src|href)="(\./[^"]+)"', home.text)
        for asset in assets:
            found = await self.get(urljoin(page, unescape(asset)))
            assert found.status_code == 200
        config = await self.get(urljoin(page, "explorer/config.json"))
        assert urljoin(page, config.json()["endpoint"]) == f"{self.url}/graphql"
        for start in ("docs", "docs/"):
            first = await self.get(f"{self.url}/{start}", follow_redirects=True)
            assert first.status_code == 200
            assert str(first.url) == f"{self.url}/docs/first-ten-minutes"
        links = re.findall(r'(?:href|src|action)="([^"#]+)', first.text)
        assert {"style.css", "search", "../docs", "errors"} <= set(links)
        for link in set(links):
            if not urlsplit(link).scheme:
                target = urljoin(str(first.url), unescape(link))
                assert (await self.get(target)).status_code in {200, 307}, link
        assert (await self.get(f"{self.url}/health")).status_code == 200

    async def accounts(self) -> None:
        """Signing in by OAuth, the pages that mails lead to, and the addresses in errors."""
        form = {
            "grant_type": "password",
            "username": self.person.username,
            "password": PASSWORD,
        }
        granted = await self.http.post(f"{self.url}/auth/token", data=form)
        assert granted.status_code == 200
        # Taskloom has no cookies, so none has a path.
        assert "set-cookie" not in granted.headers
        link = UnsubscribeLinks(self.settings).link(
            self.person.id, [NotificationKind.MENTIONED.value]
        )
        page = await self.get(link)
        assert page.status_code == 200
        for action in re.findall(r'action="([^"]+)"', page.text):
            target = urljoin(str(page.url), unescape(action))
            assert target.startswith(f"{self.url}/unsubscribe?token=")
            assert (await self.http.post(target)).status_code == 200
        # A link that does not work leads to the web application.
        bad = await self.get(f"{self.url}/auth/verify-email?token=nonsense")
        assert bad.status_code == 303
        assert bad.headers["location"].startswith(self.settings.server.frontend_url)
        made = (await self.ask(CREATE, input={"title": ""}))["taskCreate"]
        (error,) = made["errors"]
        assert (await self.get(error["docsUrl"].partition("#")[0])).status_code == 200

    async def files(self, size: int = 300_000) -> None:
        """An attachment in two steps and by a form, a thumbnail, and a picture of the user."""
        task = (await self.ask(CREATE, input={"title": "Files"}))["taskCreate"]["task"]["id"]
        # Text, which is not checked for its type.
        data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
        wanted = {"taskId": task, "filename": "a.txt", "byteSize": size}
        started = (await self.ask(uploads.START, input=wanted))["attachmentUploadStart"]["upload"]
        assert started["url"].startswith(f"{self.url}/files/uploads/")
        put = await self.http.put(started["url"], content=data)
        assert put.status_code in {200, 201, 204}, put.text
        finished = await self.ask(uploads.FINISH, input={"uploadId": started["id"]})
        attachment = finished["attachmentUploadFinish"]["attachment"]
        assert attachment["sha256"] == hashlib.sha256(data).hexdigest()
        loaded = await self.get(attachment["downloadUrl"])
        assert hashlib.sha256(loaded.content).hexdigest() == attachment["sha256"]
        part = await self.get(attachment["downloadUrl"], headers={"Range": "bytes=16-31"})
        assert (part.status_code, part.content) == (206, data[16:32])
        picture = uploads.image()
        form = {
            "operations": json.dumps(
                {"query": uploads.AVATAR, "variables": {"input": {"file": None}}}
            ),
            "map": '{"0": ["variables.input.file"]}',
        }
        sent = await self.http.post(
            f"{self.url}/graphql",
            data=form,
            files={"0": ("me.png", picture, "image/png")},
            headers={**self.signed, **uploads.PREFLIGHT},
        )
        user = sent.json()["data"]["avatarUpload"]["viewer"]["user"]
        shown = await self.get(user["avatarUrl"])
        assert shown.headers["content-type"].startswith("image/")

    async def stream(self) -> None:
        """An event arrives over an event stream while it is open, not when it ends."""
        headers = {**self.signed, "Accept": "text/event-stream"}
        body = {"query": WATCH}
        async with (
            asyncio.timeout(60),
            self.http.stream("POST", f"{self.url}/graphql", json=body, headers=headers) as stream,
        ):
            assert stream.status_code == 200
            lines = stream.aiter_lines()
            assert await anext(lines) == ":"
            await self.ask(CREATE, input={"title": "Streamed"})
            async for line in lines:
                if line.startswith("data: {"):
                    assert "Streamed" in line
                    break

    async def socket(self, tls: ssl.SSLContext | None = None) -> None:
        """The same over a WebSocket, opened by a page of this site."""
        parts = urlsplit(self.url)
        address = f"{self.url.replace('http', 'ws', 1)}/graphql"
        async with (
            asyncio.timeout(60),
            connect(
                address,
                subprotocols=[SUBPROTOCOL],
                origin=f"{parts.scheme}://{parts.netloc}",  # type: ignore[arg-type]
                ssl=tls,
            ) as socket,
        ):
            await socket.send(json.dumps({"type": "connection_init", "payload": self.signed}))
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            message = {"type": "subscribe", "id": "1", "payload": {"query": WATCH}}
            await socket.send(json.dumps(message))
            # The subscription runs as soon as this is answered, since messages are read in order.
            await socket.send('{"type": "ping"}')
            assert json.loads(await socket.recv()) == {"type": "pong"}
            title = None
            while title is None:
                await self.ask(CREATE, input={"title": "By socket"})
                try:
                    received = json.loads(await asyncio.wait_for(socket.recv(), 1))
                except TimeoutError:
                    continue
                title = received["payload"]["data"]["taskEvents"]["task"]["title"]
            assert title == "By socket"
