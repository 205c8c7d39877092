"""The documentation at `/docs`: every page is there, and every link leads somewhere."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from graphql import GraphQLObjectType, parse, validate

from errors import ErrorCode
from graph.schema import schema
from web.docs.examples import example
from web.docs.site import FILES, FOLDER

CORE = schema._schema
# For those who work on the code, and not for those who use the server.
INTERNAL = {"adding-a-field.md", "adding-a-noun.md", "architecture.md", "development.md"}
# The file is sent beside the variables.
UPLOADS = {"attachmentUpload", "avatarUpload"}
# In the repository, beside the pages.
ELSEWHERE = ("decisions/",)


class Links(HTMLParser):
    """The links of a page, and the IDs that links may lead to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect."""
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        if given.get("id"):
            self.ids.append(given["id"] or "")


@pytest.fixture(scope="module")
async def pages(app: object) -> dict[str, Links]:
    """All pages that can be reached from the first one, by name."""
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    found: dict[str, Links] = {}
    async with httpx.AsyncClient(transport=transport, base_url="http://taskloom.test") as client:
        home = await client.get("/docs")
        assert home.status_code == 307
        waiting = [home.headers["location"].removeprefix("docs/")]
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            response = await client.get(f"/docs/{name}")
            assert response.status_code == 200, name
            # The policy of the pages would forbid it.
            assert " style=" not in response.text, name
            found[name] = page = Links(response.text)
            assert len(set(page.ids)) == len(page.ids), name
            for link in page.links:
                target = urlsplit(link)
                if not target.scheme and target.path and "/" not in target.path:
                    waiting.append(target.path)
    return found


def test_every_document_for_users_is_a_page(pages: dict[str, Links]) -> None:
    files = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.md")}
    files = {file for file in files if not file.startswith(ELSEWHERE)} - INTERNAL
    listed = [name for names in FILES.values() for name in names]
    assert {name for name in listed if name.endswith(".md")} == files
    assert len(pages) == len(listed)


def test_every_link_leads_somewhere(pages: dict[str, Links]) -> None:
    wrong = []
    for name, page in pages.items():
        for link in page.links:
            target = urlsplit(link)
            if target.scheme or target.path.startswith(("..", *ELSEWHERE)):
                continue
            anchor = unquote(target.fragment)
            if anchor and anchor not in pages[target.path or name].ids:
                wrong.append(f"{name}: {link}")
    assert not wrong


def test_every_code_has_its_place_on_the_page(pages: dict[str, Links]) -> None:
    assert {code.value for code in ErrorCode} <= set(pages["errors"].ids)


def test_the_reference_has_every_type_and_operation(pages: dict[str, Links]) -> None:
    shown = {id_ for name, page in pages.items() if name.startswith("ref") for id_ in page.ids}
    for name in CORE.type_map:
        if name not in {"Query", "Mutation", "Subscription", "Int", "Float", "String", "Boolean"}:
            assert name in shown or name == "ID" or name.startswith("__"), name
    for kind in ("query", "mutation", "subscription"):
        for name in CORE.type_map[kind.capitalize()].fields:  # type: ignore[attr-defined]
            assert f"{kind}-{name}" in shown


@pytest.mark.parametrize("kind", ["query", "mutation", "subscription"])
async def test_every_example_is_accepted(kind: str, client: httpx.AsyncClient) -> None:
    root = CORE.type_map[kind.capitalize()]
    assert isinstance(root, GraphQLObjectType)
    for name, field in root.fields.items():
        document, variables = example(kind, name, field)
        assert not validate(CORE, parse(document)), name
        if kind == "subscription" or name in UPLOADS:
            continue
        # Signed out: variables of the wrong form would be refused before anything else.
        response = await client.post("/graphql", json={"query": document, "variables": variables})
        codes = {error["extensions"]["code"] for error in response.json().get("errors", [])}
        assert codes <= {"UNAUTHENTICATED", "NOT_FOUND"}, (name, response.text)


async def test_sections_are_found_by_their_words(client: httpx.AsyncClient) -> None:
    found = Links((await client.get("/docs/search?q=idempotencyKey+replayed")).text)
    assert "changing#repeating-safely" in found.links
    heading = Links((await client.get("/docs/search?q=taskBulkUpdate")).text)
    hits = [link for link in heading.links if "#" in link and not link.startswith("#")]
    assert hits[0] == "reference-tasks#mutation-taskBulkUpdate"
    # An operation before its input and its payload.
    part = Links((await client.get("/docs/search?q=archive")).text)
    hits = [link for link in part.links if "#" in link and not link.startswith("#")]
    assert hits[0] == "reference-projects#mutation-projectArchive"
    nothing = await client.get("/docs/search", params={"q": "<script>nonsense"})
    assert "<script>" not in nothing.text
    assert "No section contains" in nothing.text


async def test_a_page_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    response = await client.get("/docs/live")
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<script" not in response.text
    assert (await client.get("/docs/style.css")).headers["content-type"].startswith("text/css")


async def test_a_page_that_is_missing_leads_to_the_others(client: httpx.AsyncClient) -> None:
    missing = await client.get("/docs/nothing-here")
    assert missing.status_code == 404
    assert "There is no such page" in missing.text
    assert "changing" in Links(missing.text).links
