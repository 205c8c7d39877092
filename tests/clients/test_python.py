"""The Python client against a server of its own: expired tokens, a SIGKILL, a restart."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from standardwebhooks import Webhook
from taskloom_client import (
    AsyncTaskloom,
    Conflict,
    CursorExpired,
    LiveList,
    NotFound,
    SignInAgain,
    Taskloom,
    TaskloomError,
    Tokens,
    WebhookRefused,
    protocol,
    verified,
)
from taskloom_client.protocol import Credentials
from taskloom_client.streams import Stream

from db.base import new_id
from events.cursor import Cursor
from graph.core.context import utc_now
from tests.accounts import PASSWORD, House, Person
from tests.clients.conftest import Server
from tests.factories import World, gid, missing

CREATE = (
    "mutation ($input: TaskCreateInput!) { taskCreate(input: $input) "
    "{ task { id title version } errors { code path message } } }"
)
UPDATE = (
    "mutation ($input: TaskUpdateInput!) { taskUpdate(input: $input) "
    "{ task { id title version } errors { code path message conflictingFields } } }"
)
LIST = (
    "query ($after: String) { tasks(first: 2, after: $after, orderBy: [{createdAt: ASC}]) "
    "{ nodes { id title } pageInfo { hasNextPage endCursor } } }"
)
LIVE = (
    "subscription ($after: String) { taskEvents(after: $after) "
    "{ cursor kind matches subjectId task { id title version } } }"
)


def tokens_of(person: Person) -> Tokens:
    return Tokens(person.grant.access_token, person.grant.refresh_token)


async def test_reading_and_changing(server: Server, ada: Person, tmp_path: Path) -> None:
    def use() -> None:
        with Taskloom(server.url) as api:
            api.sign_in(ada.username, PASSWORD)
            titles = [f"task {number}" for number in range(5)]
            made = [
                api.mutate(CREATE, input={"title": title})["taskCreate"]["task"] for title in titles
            ]
            assert [task["title"] for task in api.pages(LIST, "tasks")] == titles
            first = made[0]
            api.mutate(UPDATE, input={"id": first["id"], "title": "theirs"})
            with pytest.raises(Conflict) as conflict:
                api.mutate(
                    UPDATE,
                    input={"id": first["id"], "title": "mine", "ifVersion": first["version"]},
                )
            assert conflict.value.data["taskUpdate"]["task"]["title"] == "theirs"
            assert conflict.value.problems[0].more["conflictingFields"] == ["title"]
            with pytest.raises(NotFound):
                api.query("query ($id: ID!) { task(id: $id) { id } }", id=missing(first["id"]))
            with pytest.raises(TaskloomError) as refused:
                api.mutate(CREATE, input={"title": "", "estimate": -1})
            places = {problem.path for problem in refused.value.problems}
            assert places == {("input", "title"), ("input", "estimate")}
            file = tmp_path / "notes.txt"
            file.write_bytes(b"many notes\n" * 20_000)
            steps: list[tuple[int, int]] = []
            attachment = api.upload(
                first["id"], file, progress=lambda sent, size: steps.append((sent, size))
            )
            assert attachment["byteSize"] == 220_000
            assert [sent for sent, _ in steps] == [65_536, 131_072, 196_608, 220_000]
        with Taskloom(server.url) as nobody, pytest.raises(SignInAgain):
            nobody.sign_in(ada.username, "not the password")

    await asyncio.to_thread(use)


async def test_an_expired_token_is_renewed_once_for_all_threads(
    server: Server, expired: Person
) -> None:
    def use() -> None:
        saved: list[Tokens] = []
        with Taskloom(server.url, tokens=tokens_of(expired), save=saved.append) as api:
            ready = threading.Barrier(8)

            def ask(_: int) -> str:
                ready.wait()
                name: str = api.query("{ viewer { user { username } } }")["viewer"]["user"][
                    "username"
                ]
                return name

            with ThreadPoolExecutor(8) as pool:
                assert set(pool.map(ask, range(8))) == {expired.username}
        assert len(saved) == 1

    await asyncio.to_thread(use)


async def test_a_lost_answer_changes_nothing_twice(server: Server, ada: Person) -> None:
    """The server is killed among forty creates, and started again."""
    async with AsyncTaskloom(server.url) as api:
        await api.sign_in(ada.username, PASSWORD)

        async def create(number: int) -> str:
            made = await api.mutate(CREATE, input={"title": f"task {number}"})
            id_: str = made["taskCreate"]["task"]["id"]
            return id_

        creating = [asyncio.create_task(create(number)) for number in range(40)]
        done, _ = await asyncio.wait(creating, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) < 40
        server.kill()
        await asyncio.to_thread(server.start)
        acknowledged = await asyncio.gather(*creating)
        found = [task async for task in api.pages(LIST, "tasks")]
    assert sorted(task["id"] for task in found) == sorted(acknowledged)
    assert len({task["title"] for task in found}) == 40


async def test_a_stream_continues_after_everything(
    server: Server, expiring: Person, world: World
) -> None:
    """While tasks are created, the token expires and the server is killed."""
    saved: list[Tokens] = []
    made = AsyncTaskloom(server.url, tokens=tokens_of(expiring), save=saved.append)
    async with made as api:
        after = (await api.query("{ eventCursor }"))["eventCursor"]
        seen: list[str] = []

        async def listen(events: AsyncIterator[Any]) -> None:
            async for event in events:
                if event["kind"] == "TASK_CREATED":
                    seen.append(event["task"]["title"])
                if len(seen) == 30:
                    return

        listening = asyncio.create_task(listen(api.live(LIVE, after=after)))
        titles = [f"task {number}" for number in range(30)]
        for number, title in enumerate(titles):
            await world.task(expiring, title)
            await asyncio.sleep(0.3)
            if number == 18:
                server.kill()
            if number == 21:
                await asyncio.to_thread(server.start)
        async with asyncio.timeout(60):
            await listening
    assert seen == titles
    assert saved


class Plan:
    """A server that answers by a plan: to renewals, and to everything else."""

    def __init__(self, renewals: list[Any], others: list[Any]) -> None:
        self.renewals, self.others = renewals, others
        self.renewed = 0
        self._lock = threading.Lock()

    def answer(self, body: Any) -> Any:
        with self._lock:
            if "sessionRefresh" in body["query"]:
                self.renewed += 1
                return self.renewals.pop(0) if len(self.renewals) > 1 else self.renewals[0]
            return self.others.pop(0) if len(self.others) > 1 else self.others[0]

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve; gives the address."""
        plan = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                answer = plan.answer(json.loads(self.rfile.read(length)))
                status, kind, text = 200, "application/json", json.dumps(answer)
                if answer == BUSY:
                    status, kind, text = 503, "text/html", "<h1>Busy</h1>"
                elif answer == EVENT:
                    kind, text = "text/event-stream", EVENT
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


BUSY = "busy"
EVENT = (
    'event: next\ndata: {"data": {"taskEvents": {"cursor": "c", "kind": "TASK_CREATED"}}}\n\n'
    "event: complete\ndata:\n\n"
)
EXPIRED = {"errors": [{"message": "Expired.", "extensions": {"code": "UNAUTHENTICATED"}}]}
ENDED = {
    "data": {
        "sessionRefresh": {
            "accessToken": None,
            "refreshToken": None,
            "errors": [{"code": "INVALID_CREDENTIALS", "message": "Ended.", "path": []}],
        }
    }
}
RENEWED = {"data": {"sessionRefresh": {"accessToken": "b", "refreshToken": "s", "errors": []}}}


async def test_a_session_that_has_ended_is_renewed_by_nobody_else() -> None:
    """Each further attempt would count as another use of a stolen token."""
    plan = Plan([ENDED], [EXPIRED])

    def use(url: str) -> None:
        with Taskloom(url, tokens=Tokens("a", "r")) as api:
            ready = threading.Barrier(6)

            def ask(_: int) -> None:
                ready.wait()
                with pytest.raises(SignInAgain):
                    api.query("{ viewer { user { username } } }")

            with ThreadPoolExecutor(6) as pool:
                list(pool.map(ask, range(6)))

    with plan.serving() as url:
        await asyncio.to_thread(use, url)
    assert plan.renewed == 1


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_stream_waits_for_a_server_that_cannot_renew(
    is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "ATTEMPTS", 1)
    plan = Plan([BUSY, RENEWED], [EXPIRED, EXPIRED, EVENT])

    def listen(url: str) -> list[str]:
        with Taskloom(url, tokens=Tokens("a", "r")) as api:
            return [event["kind"] for event in api.live(LIVE, after="x")]

    with plan.serving() as url:
        if is_async:
            async with AsyncTaskloom(url, tokens=Tokens("a", "r")) as api:
                kinds = [event["kind"] async for event in api.live(LIVE, after="x")]
        else:
            kinds = await asyncio.to_thread(listen, url)
    assert kinds == ["TASK_CREATED"]
    assert plan.renewed == 2


async def test_a_stream_goes_on_with_other_rights(
    server: Server, ada: Person, house: House, world: World
) -> None:
    admin = await house.admin()
    promote = (
        "mutation ($input: AdminUserUpdateInput!) { adminUserUpdate(input: $input) "
        "{ errors { code message path } } }"
    )
    async with (
        AsyncTaskloom(server.url, tokens=tokens_of(ada)) as api,
        AsyncTaskloom(server.url, tokens=tokens_of(admin)) as boss,
    ):
        after = (await api.query("{ eventCursor }"))["eventCursor"]
        async with asyncio.timeout(60), aclosing(api.live(LIVE, after=after)) as events:
            await world.task(ada, "before")
            await anext(events)
            await boss.mutate(promote, input={"id": f"user_{ada.id.hex}", "isAdmin": True})
            await world.task(ada, "with other rights")
            while (await anext(events))["task"]["title"] != "with other rights":
                pass


def stream(query: str) -> Stream:
    return Stream(Credentials("tl_key", None, None), query, {}, None)


def test_a_document_that_cannot_resume_is_refused() -> None:
    with pytest.raises(TypeError):
        stream("subscription ($after: String) { taskEvents(after: $after) { kind } }")
    with pytest.raises(TypeError):
        stream("subscription { taskEvents { cursor } }")
    stream("subscription { projectPresence(projectId: 1) { people { since } } }")


async def test_a_cursor_of_another_epoch_has_expired(server: Server, ada: Person) -> None:
    async with AsyncTaskloom(server.url) as api:
        await api.sign_in(ada.username, PASSWORD)
        with pytest.raises(CursorExpired):
            await anext(api.live(LIVE, after=str(Cursor(uuid4(), 1, 1))))


TIMER = "subscription ($after: String) { timerChanged(after: $after) { cursor kind } }"
EXPORTED = (
    "subscription ($id: ID!, $after: String) "
    "{ reportExportChanged(id: $id, after: $after) { cursor reportExport { id } } }"
)


async def test_without_a_cursor_events_begin_now(server: Server, ada: Person, world: World) -> None:
    """Also those that come while the first connection is not there yet, or is lost at once."""
    async with AsyncTaskloom(server.url, tokens=tokens_of(ada)) as api:
        await world.task(ada, "before")
        server.kill()
        first = asyncio.ensure_future(anext(api.live(LIVE)))
        await asyncio.to_thread(server.start)
        for number in range(100):
            await world.task(ada, f"then {number}")
            done, _ = await asyncio.wait([first], timeout=0.3)
            if done:
                break
        assert (await first)["task"]["title"].startswith("then")


async def test_a_key_for_the_timer_needs_no_cursor_of_events(server: Server, ada: Person) -> None:
    async with AsyncTaskloom(server.url, tokens=tokens_of(ada)) as api:
        create = (
            "mutation ($input: ApiKeyCreateInput!) { apiKeyCreate(input: $input) { secret "
            "errors { code message } } }"
        )
        wanted = {"name": "timer", "scopes": ["TIME_READ", "TIME_WRITE"]}
        key = (await api.mutate(create, input=wanted))["apiKeyCreate"]["secret"]
    async with AsyncTaskloom(server.url, key=key) as api:
        first = asyncio.ensure_future(anext(api.live(TIMER)))
        again = (
            "mutation { timerStart(input: {}) { errors { code } } "
            "timerStop(input: {}) { errors { code } } }"
        )
        async with asyncio.timeout(60):
            while not first.done():
                await api.mutate(again)
                await asyncio.wait([first], timeout=0.5)
        assert first.result()["kind"]


async def test_an_export_begins_with_its_latest_change(server: Server, ada: Person) -> None:
    async with AsyncTaskloom(server.url, tokens=tokens_of(ada)) as api:
        create = (
            "mutation ($input: ReportExportCreateInput!) { reportExportCreate(input: $input) "
            "{ reportExport { id } errors { code message path } } }"
        )
        wanted = {"format": "CSV", "filter": {"firstDay": "2026-11-01", "lastDay": "2026-11-30"}}
        made = (await api.mutate(create, input=wanted))["reportExportCreate"]["reportExport"]
        async with asyncio.timeout(30):
            event = await anext(api.live(EXPORTED, id=made["id"]))
        assert event["reportExport"] == made


async def test_a_list_follows_its_events(server: Server, ada: Person, world: World) -> None:
    first = await world.task(ada, "first")
    second = await world.task(ada, "second")
    async with AsyncTaskloom(server.url) as api:
        await api.sign_in(ada.username, PASSWORD)
        start = await api.query(
            "{ eventCursor tasks(filter: {isOpen: true}) { nodes { id title version } } }"
        )
        tasks = LiveList(start["tasks"]["nodes"], order=lambda task: task["title"])
        live = LIVE.replace("after: $after", "after: $after, filter: {task: {isOpen: true}}")
        events = api.live(live, after=start["eventCursor"])
        complete = (
            "mutation ($input: TaskCompleteInput!) { taskComplete(input: $input) "
            "{ errors { code } } }"
        )
        await api.mutate(complete, input={"id": gid(first)})
        await api.mutate(UPDATE, input={"id": gid(second), "title": "a new name"})
        await api.mutate(CREATE, input={"title": "third"})
        for _ in range(3):
            tasks.apply(await anext(events))
        await events.aclose()
    assert [task["title"] for task in tasks] == ["a new name", "third"]


def test_a_list_of_pages_has_no_gap() -> None:
    def task(name: str, version: int = 1, project: str | None = None) -> Any:
        made = {"id": name, "version": version, "title": name}
        return {**made, "project": {"id": project} if project else None}

    def event(task: Any, *, matches: bool = True, **more: Any) -> Any:
        return {"kind": "TASK_UPDATED", "subjectId": "?", "matches": matches, "task": task, **more}

    def page(*tasks: Any, more: bool) -> Any:
        return {"nodes": tasks, "pageInfo": {"hasNextPage": more, "endCursor": tasks[-1]["id"]}}

    tasks = LiveList(order=lambda task: task["title"])
    tasks.append(page(task("a"), task("c", project="p"), more=True))
    assert tasks.apply(event(task("b", project="p")))
    # It belongs to a page that was not read.
    assert not tasks.apply(event(task("d")))
    assert [shown["id"] for shown in tasks] == ["a", "b", "c"]
    assert tasks.apply(event(task("a", 3), matches=False))
    # The answer to a mutation, late.
    assert not tasks.put(task("a", 2))
    tasks.append(page(task("d"), task("e"), more=False), [event(task("e", 2))])
    assert tasks.apply(event(task("z")))
    assert tasks.apply(event(None, matches=False, kind="ACCESS_LOST", subjectId="p"))
    assert [(shown["id"], shown["version"]) for shown in tasks] == [("d", 1), ("e", 2), ("z", 1)]
    assert not tasks.has_next_page


@pytest.mark.parametrize(
    "response",
    [
        None,
        httpx.Response(504, text="<h1>Gateway Timeout</h1>"),
        httpx.Response(
            429,
            json={
                "errors": [
                    {
                        "message": "Too many tasks.",
                        "extensions": {"code": "RATE_LIMITED", "retryAfter": 3600},
                    }
                ]
            },
        ),
    ],
    ids=["no answer", "a proxy's", "a limit per hour"],
)
def test_what_must_not_be_repeated_is_not(response: httpx.Response | None) -> None:
    """Without an idempotency key nobody knows what has happened; and nobody waits for an hour."""
    flow = protocol.mutated(Credentials("tl_key", None, None), "mutation { … }", {})
    next(flow)
    with pytest.raises(TaskloomError):
        flow.send(response)


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (None, "UNAVAILABLE"),
        (httpx.Response(502, text="<h1>Bad Gateway</h1>"), "UNAVAILABLE"),
        (httpx.Response(413, text="<h1>Too large</h1>"), "BAD_REQUEST"),
    ],
)
def test_an_upload_that_fails_says_so(response: httpx.Response | None, code: str) -> None:
    credentials = Credentials("tl_key", None, None)
    flow = protocol.uploaded(credentials, "1", "a.txt", b"words", None)
    next(flow)
    upload = {"id": "2", "url": "http://127.0.0.1/files"}
    step = flow.send(
        httpx.Response(200, json={"data": {"attachmentUploadStart": {"upload": upload}}})
    )
    assert isinstance(step, protocol.Put)
    with pytest.raises(TaskloomError) as failed:
        flow.send(response)
    assert failed.value.code == code


def test_a_proxy_says_when_to_come_back() -> None:
    flow = protocol.queried(Credentials("tl_key", None, None), "{ … }", {})
    next(flow)
    step = flow.send(httpx.Response(503, text="<h1>Busy</h1>", headers={"Retry-After": "7"}))
    assert isinstance(step, protocol.Pause)
    assert step.seconds == 7


def test_a_stream_that_is_complete_ends() -> None:
    complete = stream(LIVE)
    assert [*complete.read("event: complete"), *complete.read("")] == []
    assert complete.completed


def test_webhooks_are_verified() -> None:
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    id_, body = str(new_id(utc_now())), b'{"kind":"TASK_CREATED"}'
    now = utc_now()
    headers = {
        "Webhook-Id": id_,
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": Webhook(secret).sign(id_, now, body.decode()),
    }
    assert verified(secret, headers, body) == {"kind": "TASK_CREATED"}
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    assert verified([other, secret], headers, body) == {"kind": "TASK_CREATED"}
    for secrets, given, content, at in (
        (other, headers, body, None),
        (secret, headers, body + b" ", None),
        (secret, headers, body, now.timestamp() + 301),
        (secret, {**headers, "Webhook-Id": "another"}, body, None),
        (secret, {}, body, None),
        # Headers are whatever the sender likes.
        (secret, {**headers, "Webhook-Signature": "v1,\u00e9"}, body, None),
        (secret, {**headers, "Webhook-Signature": "v1,\udce9"}, body, None),
        (secret, {**headers, "Webhook-Id": "\udce9"}, body, None),
        (secret, {**headers, "Webhook-Timestamp": "9" * 400}, body, None),
        (secret, {**headers, "Webhook-Timestamp": "yesterday"}, body, None),
    ):
        with pytest.raises(WebhookRefused):
            verified(secrets, given, content, now=at)
