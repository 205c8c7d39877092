"""Words are found whatever stands around and between them.

The oracle: Python's own split of texts into letters and digits.
"""

from __future__ import annotations

import re
from random import Random

import pytest

from domain.folding import fold
from tests.accounts import Person
from tests.factories import World
from tests.graph.tasks.test_search import _found

FILTERED = "query ($w: String!) { tasks(filter: {search: $w}, first: 100) { nodes { title } } }"
TEXTS = [
    "see src/app.py on node.js v1.2.3 at https://example.com/path?x=1 by jo@example.com 2026-11-3",
    "key=value a.b.c alpha beta-gamma c++ O'Reilly 50% e-mail a_b foo/bar",
    "“quoted”, «zitiert» – and—dashed… 3×4 ÷5 §6 ¿qué? „unten“ 1,5 kg (in brackets)[too]{and}<b>",  # noqa: RUF001
    "東京（駅）node.jsの設定、v2.0。 x²y 10€",  # noqa: RUF001
    "--flag=on -v @someone #tag $HOME ~user 0x1F 1e5 1_000 +49-170 a|b a\\b `code`",
]
WORD = re.compile(r"[^\W_]+")


@pytest.fixture
async def ada(world: World) -> Person:
    ada = await world.person()
    for text in TEXTS:
        await world.task(ada, text)
    return ada


async def test_every_word_finds_its_texts(world: World, ada: Person) -> None:
    words = {word for text in TEXTS for word in WORD.findall(fold(text)) if word.isascii()}
    for word in sorted(words):
        # The last word may be the beginning of another one.
        expected = {
            text
            for text in TEXTS
            if any(other.startswith(word) for other in re.findall(r"[a-z0-9]+", fold(text)))
        }
        assert set(await _found(world, ada, word)) == expected, word


async def test_parts_of_texts_find_them_as_they_are_written(world: World, ada: Person) -> None:
    random = Random(7)
    for text in TEXTS:
        parts = text.split()
        for _ in range(12):
            part = random.choice(parts)
            if WORD.search(part):
                assert text in await _found(world, ada, part), part
                reply = await world.run(FILTERED, ada, w=part)
                assert {"title": text} in reply.good["tasks"]["nodes"], part


@pytest.mark.parametrize(
    "words", ["alpha & gamma", "alpha, gamma", '"alpha"', "(alpha)", "alpha:", "-alpha", "alpha !"]
)
async def test_punctuation_around_words_does_not_matter(
    world: World, ada: Person, words: str
) -> None:
    assert await _found(world, ada, words) == [TEXTS[1]]
    found = (await world.run(FILTERED, ada, w=words)).good["tasks"]["nodes"]
    assert found == [{"title": TEXTS[1]}]


async def test_what_was_found_is_marked(world: World, ada: Person) -> None:
    query = "query ($w: String!) { search(query: $w) { nodes { fragments { html } } } }"
    reply = await world.run(query, ada, w="src/app.py")
    ((fragment,),) = (node["fragments"] for node in reply.good["search"]["nodes"])
    assert fragment["html"].startswith("see <mark>src</mark>/<mark>app</mark>.<mark>py</mark>")
