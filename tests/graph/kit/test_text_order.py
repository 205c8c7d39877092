"""Names and titles are ordered as people expect, the same on every database."""

from __future__ import annotations

import random
import secrets
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from db import migrate
from settings import Settings
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, gid

# In the order that a reader of an index expects; each one is different from all others.
WORDS = [
    "10 things", "aesthetic", "Æther", "apple", "Apple", "APPLE", "apple tart", "Arger", "Ärger",
    "élan", "Elan vital", "istanbul", "İstanbul", "Łódź", "lodz 2", "Ørsted", "resume", "résumé",
    "Resume", "strasse", "Straße", "Straßen", "zebra", "Zürich", "ωμέγα", "ωμέγας", "Борис",
    "борода", "ящик", "日本", "한국",
]  # fmt: skip
TASKS = """
query ($id: ID!, $direction: SortOrder!, $first: Int, $last: Int, $a: String, $b: String) {
  project(id: $id) {
    tasks(orderBy: [{ title: $direction }], first: $first, after: $a, last: $last,
          before: $b) {
      nodes { title } pageInfo { startCursor endCursor hasNextPage hasPreviousPage }
    }
  }
}
"""
OTHERS = """
query ($id: ID!, $prefix: String!) {
  projects(filter: {name: {startsWith: $prefix}}, orderBy: [{ name: ASC }]) { nodes { name } }
  project(id: $id) {
    tagUsage(orderBy: [{ name: ASC }], first: 100) { nodes { name } }
    members(orderBy: [{ user: { fullName: ASC } }]) { nodes { user { fullName } } }
  }
}
"""


@pytest.fixture(scope="module")
async def owner(world: World) -> Person:
    return await world.person()


@pytest.mark.parametrize("engine", ENGINES)
async def test_pages_by_title_lose_nothing_in_either_direction(
    world: World, owner: Person, engine: Engine
) -> None:
    project = await world.project(owner)
    # Some titles twice, since only their ids tell them apart.
    titles = [*WORDS, "apple", "Straße"]
    for title in random.Random(1).sample(titles, len(titles)):
        await world.task(owner, title, project_id=project.id)
    expected = sorted(titles, key=WORDS.index)

    async def page(**window: Any) -> tuple[list[str], dict[str, Any]]:
        reply = await world.run(TASKS, owner, engine=engine, id=gid(project), **window)
        found = reply.good["project"]["tasks"]
        return [node["title"] for node in found["nodes"]], found["pageInfo"]

    for direction in ("ASC", "DESC"):
        whole = expected if direction == "ASC" else expected[::-1]
        read, more = await page(direction=direction, first=4)
        while more["hasNextPage"]:
            rows, more = await page(direction=direction, first=4, a=more["endCursor"])
            read += rows
        assert read == whole
        read, more = await page(direction=direction, last=7)
        while more["hasPreviousPage"]:
            rows, more = await page(direction=direction, last=7, b=more["startCursor"])
            read = rows + read
        assert read == whole


async def test_projects_tags_and_people_are_ordered_so_too(world: World, owner: Person) -> None:
    mixed = random.Random(2).sample(WORDS, len(WORDS))
    names = ["apple", "Ärger", "zebra", "Élan"]
    members = [await world.person(full_name=name) for name in names]
    project = await world.project(owner, viewers=members)
    prefix = f"O{secrets.token_hex(3)} "
    for word in mixed:
        await world.project(owner, name=f"{prefix}{word}")
    # Of tags that differ in case alone there is one.
    tags = ["zebra", "Ärger", "apple", "élan", "Borg"]
    await world.task(owner, "t", project_id=project.id, tags=tags)
    found = (await world.run(OTHERS, owner, id=gid(project), prefix=prefix)).good
    assert [node["name"] for node in found["projects"]["nodes"]] == [prefix + w for w in WORDS]
    tag_names = [node["name"] for node in found["project"]["tagUsage"]["nodes"]]
    assert tag_names == ["apple", "Ärger", "Borg", "élan", "zebra"]
    people = [node["user"]["fullName"] for node in found["project"]["members"]["nodes"]]
    assert [name for name in people if name in names] == ["apple", "Ärger", "Élan", "zebra"]


async def test_a_title_that_changes_moves(world: World, owner: Person) -> None:
    project = await world.project(owner)
    task, _ = await world.tasks(owner, ["b", "c"], project_id=project.id)
    change = 'mutation ($id: ID!) { taskUpdate(input: {id: $id, title: "D"}) { errors { code } } }'
    assert not (await world.run(change, owner, id=gid(task))).codes
    reply = await world.run(TASKS, owner, id=gid(project), direction="ASC")
    assert [node["title"] for node in reply.good["project"]["tasks"]["nodes"]] == ["c", "D"]


async def test_the_longest_titles_can_be_stored_and_paged(world: World, owner: Person) -> None:
    """An entry of an index has a limit, and a title of the most bytes stays below it."""
    project = await world.project(owner)
    generator = random.Random(3)
    for _ in range(3):
        title = "".join(chr(generator.randint(0x20000, 0x2A6DF)) for _ in range(200))
        await world.task(owner, title, project_id=project.id)
    page = await world.run(TASKS, owner, id=gid(project), direction="ASC", first=1)
    info = page.good["project"]["tasks"]["pageInfo"]
    rest = await world.run(TASKS, owner, id=gid(project), direction="ASC", a=info["endCursor"])
    assert len(rest.good["project"]["tasks"]["nodes"]) == 2


async def test_a_database_of_another_locale_orders_alike(settings: Settings) -> None:
    """Under the locale C the database knows no letters but those of ASCII."""
    name = f"locale_{secrets.token_hex(6)}"
    server = await asyncpg.connect(settings.database.dsn)
    try:
        await server.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' "
            "LOCALE_PROVIDER libc LOCALE 'C'"
        )
        url = urlunsplit(urlsplit(settings.database.dsn)._replace(path=f"/{name}"))
        await migrate.upgrade(settings.with_database(url).database)
        other = await asyncpg.connect(url)
        rows = await other.fetch(
            "SELECT word FROM unnest($1::text[]) AS word "
            'ORDER BY taskloom_sort_key(word) COLLATE "C"',
            random.Random(4).sample(WORDS, len(WORDS)),
        )
        await other.close()
        assert [row["word"] for row in rows] == WORDS
    finally:
        await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await server.close()
