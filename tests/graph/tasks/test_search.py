"""Searching, as different people."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from bench.attacks.texts import Pauses
from graph.types.search_terms import highlight, terms_of
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, gid

SEARCH = """
query ($words: String!, $filter: SearchFilter, $kinds: [SearchKind!], $first: Int, $after: String,
       $last: Int, $before: String) {
  search(query: $words, filter: $filter, kinds: $kinds, first: $first, after: $after, last: $last,
         before: $before) {
    totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    nodes {
      kind rank
      subject {
        __typename
        ... on Task { id title } ... on Comment { id body } ... on Project { id name }
      }
      fragments { field html }
    }
  }
}
"""
COMMENT = "mutation ($task: ID!, $body: Markdown!) { commentCreate(input: {taskId: $task, body: $body}) { errors { code } } }"  # noqa: E501 - one line reads best


def _word() -> str:
    return "w" + secrets.token_hex(5)


async def _found(world: World, person: Person, words: str, **options: Any) -> list[str]:
    reply = await world.run(SEARCH, person, words=words, **options)
    return [
        node["subject"].get("title") or node["subject"].get("body") or node["subject"]["name"]
        for node in reply.good["search"]["nodes"]
    ]


@pytest.mark.parametrize("engine", ENGINES)
async def test_everything_that_matches_is_found_best_first(world: World, engine: Engine) -> None:
    ada, word = await world.person(), _word()
    project = await world.project(ada, name=f"The {word} project")
    await world.task(ada, "In the description", description=f"Here is {word}.")
    await world.task(ada, "In a tag", tags=[word.upper()])
    task = await world.task(ada, f"{word} in the title", project_id=project.id)
    (await world.run(COMMENT, ada, task=gid(task), body=f"I say {word}")).good  # noqa: B018
    reply = await world.run(SEARCH, ada, engine=engine, words=word)
    search = reply.good["search"]
    kinds = [node["kind"] for node in search["nodes"]]
    assert sorted(kinds) == ["COMMENT", "PROJECT", "TASK", "TASK", "TASK"]
    assert search["totalCount"] == 5
    ranks = [node["rank"] for node in search["nodes"]]
    assert ranks == sorted(ranks, reverse=True)
    titles = [node["subject"].get("title") for node in search["nodes"] if node["kind"] == "TASK"]
    assert titles == [f"{word} in the title", "In a tag", "In the description"]
    assert len(reply.statements) <= 9


async def test_what_one_may_not_see_is_neither_found_nor_counted(world: World) -> None:
    ada, eve = await world.people(2)
    word = _word()
    project = await world.project(ada, name=word)
    task = await world.task(ada, word, project_id=project.id)
    await world.run(COMMENT, ada, task=gid(task), body=word)
    reply = await world.run(SEARCH, eve, words=word)
    assert reply.good["search"] == {
        "totalCount": 0,
        "pageInfo": {
            "hasNextPage": False,
            "hasPreviousPage": False,
            "startCursor": None,
            "endCursor": None,
        },
        "nodes": [],
    }
    await world.share(task, eve)
    assert await _found(world, eve, word) == [word, word]


async def test_case_accents_and_the_end_of_the_last_word_do_not_count(world: World) -> None:
    ada, word = await world.person(), _word()
    await world.task(ada, f"Crème brûlée {word}")
    for words in (f"creme {word}", f"{word} BRÛ", f"{word[:8]}", f"{word.upper()} crème"):
        assert await _found(world, ada, words) == [f"Crème brûlée {word}"], words
    # Only the last word may be a beginning.
    assert await _found(world, ada, f"brul {word}") == []


async def test_pages_go_on_where_the_last_one_ended(world: World) -> None:
    ada, word = await world.person(), _word()
    await world.tasks(ada, [f"{word} {n}" for n in range(7)])
    seen: list[str] = []
    after = None
    while True:
        reply = await world.run(SEARCH, ada, words=word, first=3, after=after)
        search = reply.good["search"]
        seen += [node["subject"]["title"] for node in search["nodes"]]
        after = search["pageInfo"]["endCursor"]
        if not search["pageInfo"]["hasNextPage"]:
            break
    assert sorted(seen) == [f"{word} {n}" for n in range(7)]


async def test_kinds_narrow_the_search(world: World) -> None:
    ada, word = await world.person(), _word()
    await world.project(ada, name=f"{word} p")
    await world.task(ada, f"{word} t")
    assert await _found(world, ada, word, kinds=["PROJECT"]) == [f"{word} p"]
    assert await _found(world, ada, word, kinds=["TASK", "COMMENT"]) == [f"{word} t"]


async def test_fragments_are_escaped_and_mark_the_words(world: World) -> None:
    ada, word = await world.person(), _word()
    await world.task(ada, "x", description=f"<script>alert(1)</script> and Ünï {word} & so on")
    reply = await world.run(SEARCH, ada, words=f"uni {word}")
    (node,) = reply.good["search"]["nodes"]
    assert node["fragments"] == [
        {
            "field": "description",
            "html": "&lt;script&gt;alert(1)&lt;/script&gt; and <mark>Ünï</mark> "
            f"<mark>{word}</mark> &amp; so on",
        }
    ]


@pytest.mark.parametrize("words", ["", "  ", "&|!()", "' | '", "___", "x" * 201, "a " * 11])
async def test_a_search_without_words_or_with_too_many_says_so(world: World, words: str) -> None:
    reply = await world.run(SEARCH, await world.person(), words=words)
    assert reply.codes == ["BAD_USER_INPUT"]
    assert reply.errors[0]["extensions"]["argumentPath"] == ["query"]


async def test_operators_are_words_like_others(world: World) -> None:
    ada, word = await world.person(), _word()
    await world.task(ada, f"{word} here")
    assert await _found(world, ada, f"{word}' | 'nothing") == []
    assert await _found(world, ada, f"!{word}") == [f"{word} here"]


def test_a_long_text_is_shown_around_the_match() -> None:
    text = "blah " * 200 + "needle " + "blah " * 200
    shown = highlight(text, terms_of("need", ("query",)))
    assert shown is not None
    assert "<mark>needle</mark>" in shown
    assert len(shown) < 200
    assert shown.startswith("…")
    assert shown.endswith("…")


async def test_a_page_of_the_longest_texts_leaves_others_their_turn(world: World) -> None:
    ada, word = await world.person(), _word()
    description = "\u00e9 " * 4_980 + word
    await world.tasks(ada, [f"long {number}" for number in range(100)], description=description)
    async with Pauses() as pauses:
        reply = await world.run(SEARCH, ada, words=word, first=100)
    assert len(reply.good["search"]["nodes"]) == 100
    # Together they take longer than that; each takes some milliseconds.
    assert pauses.longest < 0.2


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_search_in_projects(world: World, engine: Engine) -> None:
    ada, eve = await world.people(2)
    word = _word()
    one = await world.project(ada, name=f"One {word}")
    other = await world.project(ada, name=f"Other {word}")
    for project_id in (one.id, other.id, None):
        task = await world.task(ada, f"{word} here", project_id=project_id)
        (await world.run(COMMENT, ada, task=gid(task), body=f"about {word}")).good  # noqa: B018
        # Eve sees the tasks, and not their projects.
        await world.share(task, eve)

    async def found(who: Person, project: Any, **values: Any) -> tuple[list[str], int]:
        filter_ = {"project": project}
        reply = await world.run(SEARCH, who, engine=engine, words=word, filter=filter_, **values)
        search = reply.good["search"]
        return sorted(node["kind"] for node in search["nodes"]), search["totalCount"]

    by_key = {"key": {"eq": one.key}}
    assert await found(ada, by_key) == (["COMMENT", "PROJECT", "TASK"], 3)
    assert await found(ada, by_key, kinds=["COMMENT", "PROJECT"]) == (["COMMENT", "PROJECT"], 2)
    either = {"or": [by_key, {"id": {"eq": gid(other)}}]}
    assert await found(ada, either) == (["COMMENT"] * 2 + ["PROJECT"] * 2 + ["TASK"] * 2, 6)
    assert (await found(ada, {}))[1] == 8
    assert await found(ada, {"owner": {"username": {"eq": eve.username}}}) == ([], 0)
    assert await found(eve, by_key) == ([], 0)
    assert (await found(eve, {}))[1] == 6


async def test_what_is_wrong_with_a_search_filter_is_where_it_was_written(world: World) -> None:
    ada = await world.person()
    wrong = {"project": {"id": {"eq": gid(await world.task(ada))}}}
    for kinds in (None, ["COMMENT"], ["PROJECT"]):
        reply = await world.run(SEARCH, ada, words="x", filter=wrong, kinds=kinds)
        (error,) = reply.errors
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["extensions"]["argumentPath"] == ["filter", "project", "id", "eq"]


async def test_pages_of_results_in_both_directions(world: World) -> None:
    ada, word = await world.person(), _word()
    for number in range(5):
        await world.task(ada, f"{word} {number}")
    every = await _found(world, ada, word)
    assert len(every) == 5
    seen: list[str] = []
    before = None
    while True:
        reply = await world.run(SEARCH, ada, words=word, last=2, before=before)
        page = reply.good["search"]
        seen = [node["subject"]["title"] for node in page["nodes"]] + seen
        info = page["pageInfo"]
        assert info["hasNextPage"] is (before is not None)
        before = info["startCursor"]
        if not info["hasPreviousPage"]:
            break
    assert seen == every
