"""The explorer as a user sees it: in a browser without internet, against the running server."""

import datetime as dt
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Route,
    WebSocket,
    WebSocketRoute,
    expect,
)

from tests.browsers import CHROMIUM

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "tests" / "screenshots"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed on this machine"),
    pytest.mark.skipif(
        not (ROOT / "explorer" / "dist" / "index.html").is_file(),
        reason="the explorer has not been built (make explorer)",
    ),
]


class LiveServer(Protocol):
    """A running server with demo data; `url` is like `http://127.0.0.1:8000`, without a slash."""

    url: str
    demo_login: str
    demo_password: str


class Visit:
    """A browser window, and all violations of the rules in it."""

    def __init__(self, context: BrowserContext, server: LiveServer) -> None:
        self.context = context
        self.server = server
        self.host = urlsplit(server.url).netloc
        self.outside: list[str] = []
        self.complaints: list[str] = []

    async def begin(self) -> None:
        await self.context.route("**/*", self._pass_or_block)
        self.context.on("weberror", lambda fault: self.complaints.append(str(fault.error)))
        self.context.on("console", self._note_refusal)

    async def _pass_or_block(self, route: Route) -> None:
        if urlsplit(route.request.url).netloc == self.host:
            await route.continue_()
        else:
            self.outside.append(route.request.url)
            await route.abort()

    def _note_socket(self, socket: WebSocket) -> None:
        if urlsplit(socket.url).netloc != self.host:
            self.outside.append(socket.url)

    def _note_refusal(self, message: ConsoleMessage) -> None:
        # What the policy forbids is not even requested, and appears only here.
        if "Content Security Policy" in message.text:
            self.complaints.append(message.text)

    async def open(self) -> Page:
        page = await self.context.new_page()
        page.on("websocket", self._note_socket)
        await page.goto(self.server.url)
        await ready(page)
        return page

    async def sign_in(self, page: Page, password: str | None = None) -> None:
        await page.get_by_label("Username or email").fill(self.server.demo_login)
        await page.get_by_label("Password").fill(password or self.server.demo_password)
        await page.get_by_role("button", name="Sign in", exact=True).click()

    async def expect_signed_in(self, page: Page) -> None:
        await expect(page.get_by_test_id("viewer")).to_have_text(self.server.demo_login)

    async def access_token(self, page: Page) -> str:
        session = await page.evaluate("sessionStorage.getItem('taskloom:session')")
        token = json.loads(session)["accessToken"]
        assert isinstance(token, str)
        return token

    async def create_task(self, page: Page, title: str) -> None:
        """Create a task as the one who is signed in on this page, without the page's own code."""
        answer = await page.request.post(
            f"{self.server.url}/graphql",
            headers={"Authorization": f"Bearer {await self.access_token(page)}"},
            data={
                "query": """mutation ($input: TaskCreateInput!) {
                    taskCreate(input: $input) { errors { message } }
                }""",
                "variables": {"input": {"title": title}},
            },
        )
        assert (await answer.json())["data"] == {"taskCreate": {"errors": []}}


@pytest.fixture
async def visit(chromium: Browser, live_server: LiveServer) -> AsyncIterator[Visit]:
    context = await chromium.new_context(viewport={"width": 1360, "height": 800})
    context.set_default_timeout(20_000)
    visit = Visit(context, live_server)
    await visit.begin()
    yield visit
    await context.close()
    assert visit.outside == []
    assert visit.complaints == []


async def ready(page: Page) -> None:
    for editor in (".graphiql-query-editor", ".result-window"):
        await page.locator(f"{editor} .view-lines").wait_for(state="attached")
    await page.locator(".graphiql-query-editor .view-line").first.wait_for()


async def run_tab(page: Page, name: str) -> None:
    """Open an example's tab and press the button; the answer appears beside it."""
    await page.get_by_role("tab", name=name).click()
    await page.get_by_role("button", name=re.compile("^Execute query")).click()


async def expect_answer(page: Page, text: str) -> None:
    await expect(page.locator(".result-window .view-lines")).to_contain_text(text, timeout=20_000)


async def test_the_examples_run_in_a_browser_without_internet(visit: Visit) -> None:
    page = await visit.open()
    await visit.sign_in(page)
    await visit.expect_signed_in(page)

    await run_tab(page, "Board")
    await expect_answer(page, f'"username": "{visit.server.demo_login}"')
    await expect_answer(page, '"totalCount"')
    SCREENSHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / "explorer.png")

    await run_tab(page, "OpenTasks")
    await expect_answer(page, '"hasNextPage"')

    await run_tab(page, "WatchTasks")
    await expect(page.get_by_role("button", name=re.compile("^Stop query"))).to_be_visible()

    # A second window, in which the same user creates a task with the example.
    other = await visit.open()
    await other.get_by_role("button", name="Sign in as the demo user").click()
    await visit.expect_signed_in(other)
    await run_tab(other, "CreateTask")
    await expect_answer(other, "Try the Taskloom explorer")
    await expect_answer(other, '"errors": []')

    # The example has an idempotency key, and creates nothing the second time. This one always
    # creates a task, and the first window receives the event.
    title = f"Seen live {uuid4().hex}"
    await visit.create_task(other, title)
    await expect_answer(page, "TASK_CREATED")
    await expect_answer(page, title)
    await page.screenshot(path=SCREENSHOTS / "explorer-live.png")


async def test_examples_by_topic_and_what_changing_tabs_stops(visit: Visit) -> None:
    page = await visit.open()
    await visit.sign_in(page)
    await visit.expect_signed_in(page)
    await page.get_by_role("button", name="Show Examples").click()
    examples = page.get_by_role("region", name="Examples")
    for topic in ("Reading", "Changing", "Time", "Integrating", "Live"):
        await expect(examples.get_by_text(topic, exact=True)).to_be_visible()
    await examples.get_by_role("button", name="Hours by project and day").click()
    await page.get_by_role("button", name=re.compile("^Execute query")).click()
    await expect_answer(page, '"billable"')

    notice = page.get_by_role("status").filter(has_text="subscription stopped")
    await run_tab(page, "WatchTasks")
    await expect(page.get_by_role("button", name=re.compile("^Stop query"))).to_be_visible()
    await expect(notice).to_have_count(0)
    await page.get_by_role("tab", name="Board").click()
    await expect(notice).to_be_visible()
    await notice.get_by_role("button", name="Close").click()
    await expect(notice).to_have_count(0)

    # A new tab is one, too: its answer would be that of the other.
    await run_tab(page, "WatchTasks")
    await expect(page.get_by_role("button", name=re.compile("^Stop query"))).to_be_visible()
    await examples.get_by_role("button", name="My week").click()
    await expect(notice).to_be_visible()
    await page.get_by_role("button", name=re.compile("^Execute query")).click()
    await expect_answer(page, '"identifier"')


async def test_a_lost_subscription_goes_on_from_its_last_cursor(visit: Visit) -> None:
    sockets: list[WebSocketRoute] = []
    begun: list[str | None] = []

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        sockets.append(socket)

        def pass_on(message: str | bytes) -> None:
            said = json.loads(message)
            if said["type"] == "subscribe":
                begun.append(said["payload"]["variables"]["after"])
            server.send(message)

        socket.on_message(pass_on)

    await visit.context.route_web_socket("**/graphql", between)
    page = await visit.open()
    await visit.sign_in(page)
    await visit.expect_signed_in(page)
    await run_tab(page, "WatchTasks")
    await expect(page.get_by_role("button", name=re.compile("^Stop query"))).to_be_visible()
    while not begun:
        await page.wait_for_timeout(50)
    title = f"Seen live {uuid4().hex}"
    await visit.create_task(page, title)
    await expect_answer(page, title)
    await sockets[0].close(code=1012)
    missed = f"Missed {uuid4().hex}"
    await visit.create_task(page, missed)
    await expect_answer(page, missed)
    assert begun[0] is None
    assert begun[1]


async def test_a_phone_shows_the_answer_below_the_query(visit: Visit) -> None:
    page = await visit.open()
    await page.set_viewport_size({"width": 390, "height": 844})
    await visit.sign_in(page)
    await visit.expect_signed_in(page)
    await run_tab(page, "Board")
    await expect_answer(page, '"totalCount"')
    query = await page.locator(".graphiql-query-editor").bounding_box()
    answer = await page.locator(".result-window").bounding_box()
    assert query is not None
    assert answer is not None
    assert answer["width"] > 250
    assert answer["y"] >= query["y"] + query["height"]
    await page.screenshot(path=SCREENSHOTS / "explorer-phone.png", full_page=True)


async def test_a_session_from_a_failed_sign_in_to_signing_out(visit: Visit) -> None:
    page = await visit.open()
    problem = page.get_by_role("form", name="Sign in").get_by_role("alert")
    await visit.sign_in(page, password="not the password")
    await expect(problem).not_to_be_empty()

    await visit.sign_in(page)
    await visit.expect_signed_in(page)

    # A token that the server does not accept is renewed unnoticed, after a reload too.
    await page.evaluate("""() => {
        const session = JSON.parse(sessionStorage.getItem("taskloom:session"));
        session.accessToken = "expired";
        sessionStorage.setItem("taskloom:session", JSON.stringify(session));
    }""")
    await page.reload()
    await ready(page)
    await visit.expect_signed_in(page)
    await run_tab(page, "Board")
    await expect_answer(page, f'"username": "{visit.server.demo_login}"')

    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Password")).to_be_visible()
    await run_tab(page, "Board")
    await expect_answer(page, "UNAUTHENTICATED")
    assert await page.evaluate("sessionStorage.getItem('taskloom:session')") is None


async def test_a_clock_that_is_wrong_does_no_harm(visit: Visit) -> None:
    page = await visit.context.new_page()
    await page.clock.install(time=dt.datetime.now(dt.UTC) + dt.timedelta(hours=3))
    renewed: list[str] = []

    def note(request: Request) -> None:
        if "sessionRefresh" in (request.post_data or ""):
            renewed.append(request.url)

    page.on("request", note)
    await page.goto(visit.server.url)
    await ready(page)
    await visit.sign_in(page)
    await visit.expect_signed_in(page)
    await run_tab(page, "Board")
    await expect_answer(page, f'"username": "{visit.server.demo_login}"')
    assert renewed == []
    # It is renewed when it is time.
    left = "JSON.parse(sessionStorage['taskloom:session']).expiresAt - Date.now()"
    await page.clock.fast_forward(await page.evaluate(left))
    await run_tab(page, "OpenTasks")
    await expect_answer(page, '"hasNextPage"')
    assert len(renewed) == 1


async def test_the_pane_explains_what_was_run(visit: Visit) -> None:
    page = await visit.open()
    await visit.sign_in(page)
    await visit.expect_signed_in(page)
    await page.get_by_role("button", name=re.compile("Explain")).click()
    await page.get_by_role("checkbox", name="Explain queries and mutations").check()
    await run_tab(page, "Board")
    summary = page.get_by_test_id("explain-summary")
    await expect(summary).to_contain_text(re.compile(r"Batch engine, run \d+, .*; \d+ statements"))
    explained = page.get_by_role("region", name="Explain")
    await expect(explained.locator("pre").first).to_contain_text("SELECT")
    await expect(explained.locator("figcaption").first).to_contain_text("UUID")
    # The report is not shown a second time among the answer.
    await expect_answer(page, f'"username": "{visit.server.demo_login}"')
    await expect(page.locator(".result-window .view-lines")).not_to_contain_text("explain")
    SCREENSHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / "explorer-explain.png")
