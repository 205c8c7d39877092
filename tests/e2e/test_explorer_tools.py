"""What the explorer adds to GraphiQL: costs, links to the guide, code to copy, and its keyboard."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from typing import Any

import pytest
from playwright.async_api import Page, Request, expect

from tests.e2e import axe
from tests.e2e.test_explorer import SCREENSHOTS, Visit, expect_answer, pytestmark, run_tab, visit

__all__ = ["pytestmark", "visit"]

COUNTED = "query Counted($first: Int!) { tasks(first: $first) { nodes { assignee { username } } } }"
EXPENSIVE = """query Expensive {
  projects(first: 100) { nodes { tasks(first: 100) { nodes { comments { nodes { id } } } } } }
}"""
BROKEN = "query Broken { viewer {"
# What ends a string in one of the three languages, or begins something in it.
DESCRIPTION = (
    "It's \"5\" o'clock: \\ \\n `id` $HOME ${x} $(id) ''' \"\"\"\nsecond é漢字 🧵 %s {0} !!"
)
COPIED = (
    r"""# It's "quoted": \ `id` $HOME ${x} """
    "''' é漢字"
    r'''
mutation Copied($input: TaskCreateInput!) {
  variable: taskCreate(input: $input) { ...Made }
  literal: taskCreate(input: {
    title: "It's \"5\" \\ `id` $HOME ${x} \u00e9漢"
    description: """
    A "block" isn't \d `one` $(line)
    """
  }) { ...Made }
}
fragment Made on TaskCreatePayload { task { title description tags } errors { code message } }
'''
)
WATCHED = "subscription Watched($after: String) { taskEvents(after: $after) { kind cursor } }"
LANGUAGES = {
    "curl": ["sh"],
    "JavaScript (fetch)": ["node", "--input-type=module"],
    "Python (gql)": [sys.executable, "-"],
}
# In GraphiQL's tabs the button that closes one is inside of the tab. Its name is "Close Tab", and
# the keyboard reaches it; only GraphiQL can place it elsewhere.
GRAPHIQLS_OWN = {("nested-interactive", "graphiql-tab")}
# The colours of the editor, which are the last to change.
EDITOR: dict[axe.Scheme, str] = {
    "light": ".graphiql-query-editor .monaco-editor:not(.vs-dark)",
    "dark": ".graphiql-query-editor .monaco-editor.vs-dark",
}


async def open_with(visit: Visit, *tabs: tuple[str, Any]) -> Page:
    """The explorer, signed in, with these documents and variables in its tabs."""
    state = {
        "activeTabIndex": 0,
        "tabs": [
            {
                "id": str(number),
                "hash": None,
                "title": "Mine",
                "query": query,
                "variables": variables and json.dumps(variables, ensure_ascii=False),
                "headers": None,
                "operationName": None,
                "response": None,
            }
            for number, (query, variables) in enumerate(tabs)
        ],
    }
    stored = json.dumps(json.dumps(state))
    await visit.context.add_init_script(
        f"if (origin !== 'null') localStorage['graphiql:tabState'] = {stored}"
    )
    page = await visit.open()
    await visit.sign_in(page)
    await visit.expect_signed_in(page)
    return page


async def test_the_cost_before_and_after(visit: Visit) -> None:
    dry_runs: list[Request] = []

    def note(request: Request) -> None:
        if "costOnly" in (request.post_data or ""):
            dry_runs.append(request)

    visit.context.on("request", note)
    page = await open_with(visit, (COUNTED, {"first": 10}), (EXPENSIVE, None), (BROKEN, None))
    estimate = page.get_by_test_id("estimate")
    cost = page.get_by_test_id("cost")
    await expect(estimate).to_have_text("Costs 1 point")
    await expect(cost).to_have_count(0)

    # A change of the variables is noticed, and nothing has been run for all that.
    await page.locator(".graphiql-editor-tool .view-line").first.click()
    await page.keyboard.press("Control+A")
    await page.keyboard.insert_text('{"first": 100}')
    await expect(estimate).to_have_text("Costs 5 points")
    await expect(page.locator(".result-window")).not_to_contain_text("data")

    await page.get_by_role("button", name=re.compile("^Execute query")).click()
    await expect(cost).to_have_text(
        re.compile(r"^5 points · [\d,]+ left until \d\d:\d\d:00 · \d+ ms$")
    )
    SCREENSHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / "explorer-cost.png")

    # Another tab has costs of its own.
    await page.get_by_role("tab").nth(1).click()
    await expect(estimate).to_contain_text("More than the 2,000 points")
    await expect(cost).to_have_count(0)
    await page.screenshot(path=SCREENSHOTS / "explorer-expensive.png")
    await page.get_by_role("tab").nth(0).click()
    await expect(cost).to_contain_text("5 points")
    await expect(estimate).to_have_text("Costs 5 points")
    await expect(estimate).not_to_have_class(re.compile("outdated"))

    # A document that cannot be parsed is not sent.
    asked = len(dry_runs)
    await page.get_by_role("tab").nth(2).click()
    await expect(estimate).to_have_count(0)
    await page.get_by_role("button", name=re.compile("^Execute query")).click()
    await expect_answer(page, "GRAPHQL_PARSE_FAILED")
    assert len(dry_runs) == asked

    # Nor is anything of somebody who has not signed in.
    await page.get_by_role("tab").nth(0).click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(estimate).to_have_count(0)
    asked = len(dry_runs)
    await page.get_by_role("button", name=re.compile("^Execute query")).click()
    await expect_answer(page, "UNAUTHENTICATED")
    assert len(dry_runs) == asked


async def test_error_codes_lead_to_the_guide(visit: Visit) -> None:
    page = await visit.open()
    await run_tab(page, "Board")
    codes = page.get_by_role("list", name="Error codes")
    await expect(codes.get_by_role("listitem")).to_contain_text("no valid credentials")
    await visit.sign_in(page)
    await visit.expect_signed_in(page)
    await page.get_by_role("button", name="Show Examples").click()
    examples = page.get_by_role("region", name="Examples")
    await examples.get_by_role("button", name="Every error at once").click()
    await page.get_by_role("button", name=re.compile("^Execute query")).click()

    # Each code once, with its meaning, and as a link in the answer too.
    await expect(codes.get_by_role("listitem")).to_contain_text("A value is invalid.")
    # Not the address in `docsUrl`, which is that of the server's settings.
    linked = page.locator(".result-window .detected-link", has_text=re.compile("^BAD_USER_INPUT$"))
    await expect(linked.first).to_be_visible()
    await page.screenshot(path=SCREENSHOTS / "explorer-error.png")
    async with visit.context.expect_page() as opened:
        await codes.get_by_role("link", name="BAD_USER_INPUT").click()
    guide = await opened.value
    await expect(guide.get_by_role("heading", name="BAD_USER_INPUT")).to_be_in_viewport()
    async with visit.context.expect_page() as opened:
        await linked.first.click(modifiers=["Control"])
    assert (await opened.value).url.endswith("/docs/errors#BAD_USER_INPUT")


async def test_copied_code_runs(visit: Visit) -> None:
    await visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    given = {"title": 'Émile\'s "$5" \\ task', "description": DESCRIPTION, "tags": ["ü", "it's"]}
    page = await open_with(visit, (COPIED, {"input": given}), (WATCHED, {"after": ""}))
    environment = {**os.environ, "TOKEN": await visit.access_token(page)}

    async def copied(language: str) -> str:
        await page.get_by_role("button", name="Copy as code").click()
        # Not by a click: on a busy machine the menu may move between aiming and clicking.
        await page.get_by_role("menuitem", name=language).press("Enter")
        notice = page.get_by_role("status").filter(has_text=f"Copied as {language}")
        await expect(notice).to_be_visible()
        await notice.get_by_role("button", name="Close").click()
        code = await page.evaluate("navigator.clipboard.readText()")
        assert environment["TOKEN"] not in code
        return str(code)

    async def started(language: str) -> asyncio.subprocess.Process:
        running = await asyncio.create_subprocess_exec(
            *LANGUAGES[language],
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert running.stdin is not None
        running.stdin.write((await copied(language)).encode())
        running.stdin.close()
        return running

    for language in LANGUAGES:
        running = await started(language)
        printed, _ = await running.communicate()
        answer = json.loads(printed)
        variable, literal = (answer.get("data", answer)[name] for name in ("variable", "literal"))
        assert (variable["errors"], literal["errors"]) == ([], []), language
        assert variable["task"] == given, language
        assert literal["task"]["title"] == 'It\'s "5" \\ `id` $HOME ${x} é漢', language
        assert literal["task"]["description"] == 'A "block" isn\'t \\d `one` $(line)', language

    # A subscription delivers until it is stopped.
    await page.get_by_role("tab").nth(1).click()
    for language in LANGUAGES:
        running = await started(language)
        assert running.stdout is not None
        printed = b""
        while b'"cursor"' not in printed or b'"TASK_CREATED"' not in printed:
            line = await running.stdout.readline()
            assert line, (language, printed)
            printed += line
        # With the programs that it has started: they hold its output open.
        os.killpg(running.pid, signal.SIGKILL)
        await running.wait()


async def test_nothing_is_copied_of_a_document_with_a_fault(visit: Visit) -> None:
    page = await open_with(visit, (BROKEN, None))
    await page.get_by_role("button", name="Copy as code").click()
    await page.get_by_role("menuitem", name="curl").click()
    await expect(page.get_by_role("status").filter(has_text="Nothing was copied")).to_be_visible()


async def test_everything_by_keyboard(visit: Visit) -> None:
    await visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await visit.open()
    focus = page.locator(":focus")

    async def go_to(name: str) -> None:
        """Press Tab until something of this name has the focus, which can be seen all the way."""
        for _ in range(50):
            await page.keyboard.press("Tab")
            found, outline = await page.evaluate("""() => {
                const { ariaLabel, textContent, tagName } = document.activeElement;
                const style = getComputedStyle(document.activeElement);
                return [ariaLabel || textContent || tagName, style.outline];
            }""")
            if await page.evaluate("document.activeElement !== document.body"):
                assert "solid 2px" in outline, (found, outline)
            if found.startswith(name):
                return
        pytest.fail(f"Tab does not reach {name}")

    await go_to("Username or email")
    await page.keyboard.type(visit.server.demo_login)
    await go_to("Password")
    await page.keyboard.type(visit.server.demo_password)
    await page.keyboard.press("Enter")
    await visit.expect_signed_in(page)
    await go_to("Show Examples")
    await page.keyboard.press("Enter")
    await go_to("Reading")
    await page.keyboard.press("Space")
    await go_to("Many at once")
    await page.keyboard.press("Enter")
    await go_to("Execute query")
    await page.keyboard.press("Enter")
    await expect_answer(page, '"validCount": 2')
    await go_to("Copy as code")
    await page.keyboard.press("Enter")
    await expect(focus).to_have_text("curl")
    await page.keyboard.press("ArrowDown")
    await expect(focus).to_have_text("JavaScript (fetch)")
    await expect(focus).to_have_css("outline-style", "solid")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Copied as JavaScript")).to_be_visible()
    # A cost is read by screen readers and the codes are links; a conflict shows both.
    await go_to("A conflict")
    await page.keyboard.press("Enter")
    await go_to("Execute query")
    await page.keyboard.press("Enter")
    await expect_answer(page, "CONFLICT")
    await go_to("CONFLICT")


@pytest.mark.skipif(not axe.AXE.is_file(), reason="the board, which has axe, is not built")
@pytest.mark.parametrize("width", [1360, 390])
async def test_axe_finds_nothing(width: int, visit: Visit) -> None:
    page = await visit.open()
    await page.set_viewport_size({"width": width, "height": 844})
    await page.get_by_role("button", name="Show Documentation Explorer").click()
    await expect(page.locator(".graphiql-plugin")).to_contain_text("Authentication", timeout=20_000)
    await check(page)
    await visit.sign_in(page)
    await visit.expect_signed_in(page)
    await page.get_by_role("button", name="Show Explain").click()
    await page.get_by_role("checkbox", name="Explain queries and mutations").check()
    await run_tab(page, "Board")
    await expect(page.get_by_test_id("explain-summary")).to_be_visible()
    await check(page)
    await page.get_by_role("button", name="Show Examples").click()
    examples = page.get_by_role("region", name="Examples")
    await examples.get_by_role("button", name="Every error at once").click()
    await page.get_by_role("button", name=re.compile("^Execute query")).click()
    await expect(page.get_by_role("link", name="BAD_USER_INPUT")).to_be_visible()
    await expect(page.get_by_test_id("estimate")).to_be_visible()
    await check(page)
    picture = SCREENSHOTS / f"explorer-{{}}-{width}.png"
    await axe.picture(page, picture, full_page=width < 700)
    await page.get_by_role("button", name="Copy as code").click()
    await check(page)
    await page.get_by_role("menuitem", name="curl").click()
    await check(page)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_a_chosen_theme_wins_over_that_of_the_system(visit: Visit) -> None:
    await visit.context.add_init_script(
        "if (origin !== 'null') localStorage['graphiql:theme'] = 'dark'"
    )
    page = await visit.open()
    await expect(page.get_by_role("banner")).to_have_css("background-color", "rgb(33, 42, 59)")
    await check(page, follows=False)


async def check(page: Page, *, follows: bool = True) -> None:
    """Nothing serious, except for what only GraphiQL can mend. `follows`: the system's colours."""
    found = []
    for rule in await axe.violations(page, shows=EDITOR if follows else None):
        name, asks, elements = axe.summary(rule)
        mine = [
            element
            for element in elements
            if not any(rule == name and part in element for rule, part in GRAPHIQLS_OWN)
        ]
        if rule["impact"] in {"serious", "critical"} and mine:
            found.append((name, asks, mine))
    assert found == []


async def test_the_schema_pane_begins_with_an_introduction(visit: Visit) -> None:
    page = await visit.open()
    await page.get_by_role("button", name="Show Documentation Explorer").click()
    pane = page.locator(".graphiql-plugin")
    await expect(pane).to_contain_text("Taskloom is an API for projects, tasks", timeout=20_000)
    await page.screenshot(path=SCREENSHOTS / "explorer-schema.png")


async def test_without_colours_one_sees_the_button_and_the_tab(visit: Visit) -> None:
    page = await visit.open()
    await page.emulate_media(forced_colors="active")
    icon = page.get_by_role("button", name=re.compile("^Execute")).locator("svg")
    colours = """(icon) => [icon, icon.parentElement].map((element, index) =>
      getComputedStyle(element)[index ? "backgroundColor" : "color"])"""
    white, pink = await icon.evaluate(colours)
    assert white != pink
    tab = page.get_by_role("tab", selected=True)
    await expect(tab).not_to_have_css("outline-style", "none")
