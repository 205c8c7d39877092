"""However the newest matches are looked for, they are the same.

The oracle is plain Python: of each kind, the newest of the visible texts that have all words.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from auth.viewer import Viewer
from db import models
from db.statements import Plan
from graph.kit import mixed_pages
from graph.types import search_rows
from tests.accounts import Person
from tests.factories import World, gid

SEARCH = """query ($words: String!, $kinds: [SearchKind!], $first: Int, $after: String) {
  search(query: $words, kinds: $kinds, first: $first, after: $after) {
    totalCount pageInfo { endCursor hasNextPage }
    nodes { kind rank subject { ... on Node { id } } }
  }
}"""
COMMENT = """mutation ($task: ID!, $body: Markdown!) {
  commentCreate(input: {taskId: $task, body: $body}) { comment { id } errors { message } }
}"""
KINDS = tuple(search_rows.SearchKind)
RANKED = 4
# Constants of `graph.types.search_rows` with which each way is taken by everybody, and the parts of
# the statement by which it is known.
WAYS: dict[str, dict[str, float]] = {
    "by words": {"_FEW_MATCHES": 10**9},
    "newest first": {"_FEW_MATCHES": -1, "_REACH": -1, "_FETCH": 10**9, "_PATIENCE": 10**6},
    "newest first, too few": {"_FEW_MATCHES": -1, "_REACH": -1, "_FETCH": 10**9, "_PATIENCE": 0.01},
    "by reach": {"_FEW_MATCHES": -1, "_REACH": 10**6},
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Everybody's searches take this way, and few matches are ranked."""
    for name, value in {**WAYS[request.param], "RANKED": RANKED}.items():
        monkeypatch.setattr(search_rows, name, value)
    kept = (
        mixed_pages._page_statement,
        mixed_pages._count_statement,
        search_rows._visible_statement,
    )
    for statements in kept:
        statements.cache_clear()
    yield request.param
    for statements in kept:
        statements.cache_clear()


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that is found: its words, its place in time, and who sees it."""

    kind: str
    id: str
    words: frozenset[str]
    people: frozenset[str]


async def _things(world: World, people: list[Person], words: list[str]) -> list[Thing]:
    """Projects of some of them, with tasks, subtasks and comments; personal and shared tasks."""
    chance = random.Random(4)
    made: list[Thing] = []

    def text() -> tuple[str, frozenset[str]]:
        chosen = chance.sample(words, chance.randint(0, 3))
        return " ".join(["text", *chosen]), frozenset(chosen)

    async def task(owner: Person, seen: frozenset[str], **values: Any) -> models.Task:
        title, of = text()
        row = await world.task(owner, title, **values)
        made.append(Thing("TASK", gid(row), of, seen))
        for _ in range(chance.randint(0, 2)):
            body, of = text()
            reply = await world.run(COMMENT, owner, task=gid(row), body=body)
            comment = reply.good["commentCreate"]["comment"]["id"]
            made.append(Thing("COMMENT", comment, of, seen))
        return row

    for number in range(4):
        members = people[: number + 1]
        name, of = text()
        project = await world.project(members[0], name=name, editors=members[1:])
        seen = frozenset(person.username for person in members)
        made.append(Thing("PROJECT", gid(project), of, seen))
        for _ in range(4):
            row = await task(members[0], seen, project_id=project.id)
            await task(members[0], seen, project_id=project.id, parent_id=row.id)
    for person in people:
        other = chance.choice([one for one in people if one is not person])
        both = frozenset({person.username, other.username})
        row = await task(person, both)
        await world.share(row, other)
        await task(person, both, parent_id=row.id)
    return made


def _expected(things: list[Thing], person: Person, words: set[str]) -> set[str]:
    found: set[str] = set()
    for kind in ("TASK", "COMMENT", "PROJECT"):
        matching = [
            thing
            for thing in things
            if thing.kind == kind and person.username in thing.people and words <= thing.words
        ]
        # Ids begin with their time.
        matching.sort(key=lambda thing: thing.id.partition("_")[2], reverse=True)
        found |= {thing.id for thing in matching[:RANKED]}
    return found


async def test_each_way_finds_the_newest_matches(world: World, way: str) -> None:
    people = await world.people(4)
    words = ["w" + secrets.token_hex(5) for _ in range(4)]
    things = await _things(world, people, words)
    sought = [{word} for word in words] + [set(words[:2]), set(words[1:3]), set(words)]
    for person in [*people, await world.person()]:
        for some in sought:
            wanted = _expected(things, person, some)
            found = await _pages(world, person, " ".join(some))
            assert {node["subject"]["id"] for node in found} == wanted, (way, some)
            assert len(found) == len(wanted)
            order = [(node["rank"], node["subject"]["id"].partition("_")[2]) for node in found]
            assert order == sorted(order, reverse=True)


async def _pages(world: World, person: Person, words: str) -> list[Any]:
    found: list[Any] = []
    after = None
    while True:
        reply = await world.run(SEARCH, person, words=words, first=3, after=after)
        search = reply.good["search"]
        found += search["nodes"]
        after = search["pageInfo"]["endCursor"]
        if not search["pageInfo"]["hasNextPage"]:
            assert search["totalCount"] == len(found)
            return found


async def test_the_planner_is_asked_and_nothing_is_looked_for(world: World) -> None:
    ada = await world.person()
    await world.tasks(ada, ["expectation here"] * 3)
    expected = await search_rows._expected(world.database.reader, "'expectation' & 'here':*")
    names = {f"{kind.value}_{of}" for kind in search_rows.SearchKind for of in ("ROWS", "MATCHES")}
    assert expected.keys() == names
    for kind in search_rows.SearchKind:
        assert 0 <= expected[f"{kind.value}_MATCHES"] <= expected[f"{kind.value}_ROWS"]


# It reads outside of `viewing`, where row-level security shows nothing.
@pytest.mark.statements
async def test_common_words_are_looked_for_where_they_are_seen(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, nobody = await world.people(2)
    project = await world.project(ada)
    await world.many_tasks(ada, project, 20)

    async def expected(_reader: Any, _query: str) -> dict[str, int]:
        few = {"MATCHES": 10, "ROWS": 10**5}
        common = {"TASK_MATCHES": 4_000, "TASK_ROWS": 10**5}
        return {f"{kind.value}_{of}": n for kind in KINDS for of, n in few.items()} | common

    monkeypatch.setattr(search_rows, "_expected", expected)
    everything = search_rows.Wanted(tuple((kind, None) for kind in KINDS))
    reader = world.database.reader

    async def way(person: Person, wanted: search_rows.Wanted = everything) -> Any:
        taken, scans = await search_rows.way_to(wanted, "x", Viewer(user_id=person.id), reader)
        found = {name: scan for name, scan in scans.items() if scan}
        # How many of the newest rows are read must be known when the statement is planned.
        assert (taken.plan is Plan.ONCE) == (not found and not taken.filtered)
        return taken.by_reach, found

    assert await way(nobody) == (True, {})
    assert await way(ada) == (True, {})
    monkeypatch.setattr(search_rows, "_REACH", 10)
    # She sees 20 of 100,000: a match every 25 rows is one that she sees every 125,000.
    assert await way(ada) == (False, {})
    monkeypatch.setattr(search_rows, "_FETCH", 10**6)
    assert await way(ada) == (False, {"scan_task": 10**5})
    filtered = search_rows.Wanted(tuple((kind, ()) for kind in KINDS))
    assert await way(ada, filtered) == (False, {})


def test_more_of_the_newest_rows_are_read_before_more_matches_are_fetched() -> None:
    """Most tasks have a word with “a”, but the newest thousands, imported yesterday, may not."""
    read = [search_rows.newest_to_read(n, 400_000, 1.0) for n in (4_000, 40_000, 350_000)]
    assert read == [0, 15_000, 17_500]
    assert search_rows.newest_to_read(350_000, 400_000, 0.001) == 400_000
