"""Filters by a part of a text find the same rows with and without a look-up.

The oracle is plain Python: `in`, on lowered or folded text.
"""

from __future__ import annotations

import random
import sys
import unicodedata
from typing import Any

import pytest
from sqlalchemy import text

from domain.folding import SEPARATOR, _folds_with_its_case, fold, pieces
from graph.kit import look_ups
from tests.factories import World, gid

TASKS = """query ($filter: TaskFilter) {
  tasks(filter: $filter, first: 100) { totalCount nodes { title } }
  taskStats(filter: $filter) { total }
}"""
COMMENT = """mutation ($id: ID!, $body: Markdown!) {
  commentCreate(input: {taskId: $id, body: $body}) { errors { message } }
}"""
LETTERS = "abcÀéßẞİ\u0131K\u017f\u03c3ςΣЖжԱאक़か가각売上ＡａⱮɱᎠꭰ%_\\., \n"


def _texts(chance: random.Random, count: int, least: int, most: int) -> list[str]:
    made = ("".join(chance.choices(LETTERS, k=chance.randint(least, most))) for _ in range(count))
    return [unicodedata.normalize("NFC", one) for one in made]


async def test_every_text_has_the_pieces_of_its_parts(world: World) -> None:
    chance = random.Random(11)
    whole = _texts(chance, 100, 5, 40)
    starts = [(one, chance.randrange(len(one))) for one in whole]
    parts = [one[start : start + 6] for one, start in starts]
    parts += [change(part) for part in parts for change in (str.upper, str.lower, str.title)]
    parts = [unicodedata.normalize("NFC", part) for part in parts if part]
    statement = """
    WITH texts AS MATERIALIZED (
        SELECT number, lower(whole) AS lowered, taskloom_fold(whole) AS folded,
            taskloom_pieces_users(whole, 'after') AS pieces
        FROM unnest(CAST(:whole AS text[])) WITH ORDINALITY AS texts (whole, number)
    )
    SELECT number, pieces, part, strpos(lowered, lower(part)) > 0 AS contains,
        strpos(texts.folded, parts.folded) > 0 AS contains_folded
    FROM texts
    CROSS JOIN unnest(CAST(:parts AS text[]), CAST(:folded AS text[])) AS parts (part, folded)
    """
    values = {"whole": whole, "parts": parts, "folded": [fold(part) for part in parts]}
    found = 0
    async with world.database.session() as session:
        for row in await session.execute(text(statement), values):
            if row.contains:
                assert set(pieces(row.part)) <= set(row.pieces), (row.part, row.number)
                found += bool(pieces(row.part))
            if row.contains_folded:
                own = pieces(fold(row.part), folded=True)
                assert set(own) <= set(row.pieces), (row.part, row.number)
    assert found > 100


def test_letters_that_are_equal_without_case_have_equal_pieces() -> None:
    for letter in map(chr, range(sys.maxunicode)):
        lowered = letter.lower()
        if len(lowered) == 1 and lowered != letter and _folds_with_its_case(lowered):
            assert fold(letter) == fold(lowered), hex(ord(letter))


def test_pieces_of_a_part() -> None:
    assert pieces("Crème") == ["cre", "eme", "rem"]
    assert pieces("ab") == []
    assert pieces(f"abc{SEPARATOR}def") == ["abc", "def"]
    # The database knows that these are equal without case, and folding does not.
    assert pieces("\u2c6e\u0271\u2c6e") == []


@pytest.mark.parametrize("most", [0, 2, 1_000])
async def test_a_filter_finds_the_same_whether_few_or_many_match(
    world: World, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(look_ups, "MOST", most)
    look_ups._statement.cache_clear()
    ada, eve = await world.people(2)
    bodies = {1: ["Of the board", "the Heron says nothing"], 4: ["the board, and the board"]}
    titles = ["Replace the belt", "replace THE chain", "Crème brûlée", "a%b_c\\d", "unrelated"]
    for place, title in enumerate(titles):
        notes = "see the Belt drawer" if place == 2 else None
        task = await world.task(ada, title, description=f"number {place} of five", notes=notes)
        if place < 2:
            await world.share(task, eve)
        for body in bodies.get(place, ()):
            reply = await world.run(COMMENT, ada, id=gid(task), body=body)
            assert not reply.data["commentCreate"]["errors"]

    async def found(person: Any, filter_: dict[str, Any]) -> set[str]:
        reply = (await world.run(TASKS, person, filter=filter_)).good
        page, total = reply["tasks"], reply["taskStats"]["total"]
        assert page["totalCount"] == total == len(page["nodes"])
        return {node["title"] for node in page["nodes"]}

    def those(*places: int) -> set[str]:
        return {titles[place] for place in places}

    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"title": {"contains": "replace the"}}, those(0, 1)),
        ({"title": {"contains": "%b_c\\"}}, those(3)),
        ({"title": {"contains": "zeppelin"}}, set()),
        ({"title": {"contains": "el"}}, those(0, 4)),
        ({"title": {"startsWith": "REPLACE", "endsWith": "Chain"}}, those(1)),
        ({"title": {"notEq": "unrelated", "contains": "lat"}}, set()),
        ({"title": {"contains": "creme"}}, set()),
        ({"search": "creme BRUL"}, those(2)),
        ({"search": "belt number"}, those(0, 2)),
        ({"search": "b l"}, those(0, 1, 2, 4)),
        ({"description": {"contains": "number 3"}}, those(3)),
        ({"not": {"title": {"contains": "replace"}}}, those(2, 3, 4)),
        ({"not": {"notes": {"contains": "drawer"}}}, those(0, 1, 3, 4)),
        ({"or": [{"title": {"contains": "chain"}}, {"search": "drawer"}]}, those(1, 2)),
        ({"title": {"contains": "replace"}, "search": "chain"}, those(1)),
        ({"owner": {"username": {"contains": ada.username[1:]}}}, those(0, 1, 2, 3, 4)),
        ({"assignee": {"search": "zeppelin"}}, set()),
        ({"comments": {"some": {"body": {"contains": "THE BOARD"}}}}, those(1, 4)),
        ({"comments": {"some": {"body": {"contains": "zeppelin"}}}}, set()),
        ({"comments": {"none": {"body": {"contains": "the board"}}}}, those(0, 2, 3)),
        ({"comments": {"every": {"body": {"contains": "board"}}}}, those(0, 2, 3, 4)),
        ({"comments": {"some": {"not": {"body": {"contains": "board"}}}}}, those(1)),
        (
            {"comments": {"some": {"body": {"startsWith": "of the", "endsWith": "board"}}}},
            those(1),
        ),
        (
            {
                "title": {"contains": "replace"},
                "or": [
                    {"comments": {"some": {"body": {"contains": "nothing"}}}},
                    {"comments": {"some": {"body": {"contains": "heron"}}}},
                ],
            },
            those(1),
        ),
        # More than are looked up.
        ({"or": [{"title": {"contains": f"{word} the"}} for word in "abcdefghi"]}, those(0, 1)),
    ]
    for filter_, wanted in cases:
        assert await found(ada, filter_) == wanted, filter_
        assert await found(eve, filter_) == wanted & those(0, 1), filter_
    look_ups._statement.cache_clear()


async def test_statistics_look_up_too(world: World) -> None:
    """Otherwise all tasks would be read to count the few that have a word."""
    ada = await world.person()
    await world.task(ada, "Replace the belt")
    query = '{ taskStats(filter: {title: {contains: "belt"}}) { total } }'
    reply = await world.run(query, ada)
    assert reply.good["taskStats"]["total"] == 1
    look_up, counting = reply.statements
    assert "taskloom_pieces_tasks" in look_up
    assert "taskloom_pieces_tasks" not in counting
