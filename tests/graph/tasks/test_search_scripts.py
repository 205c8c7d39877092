"""Both searches find the same words, whatever their case, accents and script.

The oracle is plain Python: casefolded text without combining marks, compared by `in`.
"""

from __future__ import annotations

import html
import random
import re
import sys
import unicodedata

import pytest
from sqlalchemy import text

from domain.folding import fold
from tests.factories import ENGINES, Engine, World

BOTH = """query ($q: String!) {
  search(query: $q, kinds: [TASK]) { nodes {
    subject { ... on Task { title } } fragments { field html }
  } }
  tasks(filter: { search: $q }) { nodes { title } }
}"""
TITLES = [
    "今月の売上レポート",
    "東京都の予算",
    "京都と東京",
    "会議2026年の議事録",
    "고객 만족도조사 결과",
    "项目进度报告",
    "Café Straße",
    "CAFE STRASSE",
    "naïve Ärger",
    "ΟΔΥΣΣΕΥΣ Οδυσσεύς",
    "İstanbul ISPARTA \u0131sparta",
    "Łódź Ørsted",
    "plain words",
]
WANTED = {
    "売上": [0],
    "上レ": [0],
    "レポート": [0],
    "今月の売上レポート": [0],
    "東京": [1, 2],
    "東京都": [1],
    "京": [1, 2],
    "算": [1],
    "議事録": [3],
    "会議2026": [3],
    "만족도": [4],
    "조사": [4],
    "进度": [5],
    "cafe": [6, 7],
    "CAFÉ": [6, 7],
    "straße": [6, 7],
    "STRASSE": [6, 7],
    "NAIVE": [8],
    "arger": [8],
    "οδυσσευσ": [9],
    "Οδυσσεύς": [9],
    "ΟΔΥΣΣΕΎΣ": [9],
    "istanbul": [10],
    "İSTANBUL": [10],
    "\u0131sparta": [10],
    "isparta": [10],
    "lodz": [11],
    "ØRSTED": [11],
    "売下": [],
}


def plain(value: str) -> str:
    """Written otherwise than the code's: by casefolding, and the letters that it leaves apart."""
    bare = "".join(c for c in unicodedata.normalize("NFD", value) if not unicodedata.combining(c))
    table = str.maketrans({"\u0131": "i", "ł": "l", "ø": "o"})
    return unicodedata.normalize("NFC", bare.casefold().translate(table))


@pytest.mark.parametrize("engine", ENGINES)
async def test_two_searches_find_the_same(world: World, engine: Engine) -> None:
    person = await world.person()
    await world.tasks(person, TITLES)
    for query, places in WANTED.items():
        reply = (await world.run(BOTH, person, engine=engine, q=query)).good
        found = {node["subject"]["title"] for node in reply["search"]["nodes"]}
        assert found == {TITLES[place] for place in places}, query
        assert {node["title"] for node in reply["tasks"]["nodes"]} == found, query
        assert found == {title for title in TITLES if plain(query) in plain(title)}, query
        for node in reply["search"]["nodes"]:
            (fragment,) = node["fragments"]
            marked = "".join(re.findall("<mark>(.*?)</mark>", fragment["html"]))
            assert plain(query) in plain(html.unescape(marked)), query


async def test_any_part_of_a_text_without_spaces_is_found(world: World) -> None:
    person, chance = await world.person(), random.Random(7)
    letters = "売上今月東京都京会議高低한글조사进度报告のをはレポート"
    bodies = ["".join(chance.choices(letters, k=40)) for _ in range(30)]
    for place, body in enumerate(bodies):
        await world.task(person, f"number {place}", description=body)
    for _ in range(60):
        body, start = chance.choice(bodies), chance.randrange(36)
        part = body[start : start + chance.randint(1, 4)]
        reply = (await world.run(BOTH, person, q=part)).good
        wanted = {f"number {place}" for place, one in enumerate(bodies) if part in one}
        assert {node["subject"]["title"] for node in reply["search"]["nodes"]} == wanted, part
        for node in reply["search"]["nodes"]:
            (fragment,) = node["fragments"]
            assert part in "".join(re.findall("<mark>(.*?)</mark>", fragment["html"]))


async def test_the_database_folds_as_the_application_does(world: World) -> None:
    letters = [chr(code) for code in range(1, sys.maxunicode) if not 0xD800 <= code <= 0xDFFF]
    assigned = [c for c in letters if unicodedata.category(c) not in {"Cn", "Co", "Cc"}]
    # Each after a letter of its own, since no stored text has many combining marks in a row.
    words = ["x" + "x".join(assigned[start : start + 50]) for start in range(0, len(assigned), 50)]
    words = [unicodedata.normalize("NFC", word) for word in words]
    async with world.database.session() as session:
        rows = await session.execute(
            text(
                "SELECT word, taskloom_fold(word), taskloom_sort_key(word) "
                "FROM unnest(CAST(:words AS text[])) word"
            ),
            {"words": words},
        )
        different = [
            word
            for word, folded, key in rows
            if not (fold(word) == folded == key.partition("\1")[0])
        ]
    assert different == []
