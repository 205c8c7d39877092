"""Convert what a user types to a full-text query, and find the parts of a text that match it.

All words must occur; the last one may be the beginning of a word, since it is still being typed.
Punctuation only ends words, in texts as in searches: `node.js` is two words.
Case and accents are ignored (`domain.folding`). Words in Chinese, Japanese and Korean text match
anywhere within it. Highlighting follows the same rules, so that what was found is marked.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from domain import rules
from domain.folding import MARKS, PAIRED, fold, pairs
from errors import BadInput, check

MAX_CHARACTERS = 200
MAX_WORDS = 10
# Characters of a fragment: about two lines on a screen.
FRAGMENT = 160

# A run of characters that are searched by pairs, or else a word.
_WORD = re.compile(rf"[{PAIRED}]+|(?:(?![{PAIRED}{MARKS}])\w)+")
_RUN = re.compile(rf"[{PAIRED}]+")
_QUOTED = re.compile(r"'(\w+)'")


@dataclass(frozen=True, slots=True)
class Terms:
    """The folded words of a search; the last is a prefix."""

    words: tuple[str, ...]

    @property
    def query(self) -> str:
        """The words for `to_tsquery`, quoted so that nothing in them is an operator."""
        last = len(self.words) - 1
        return " & ".join(_requested(word, place == last) for place, word in enumerate(self.words))

    @classmethod
    def of_query(cls, query: str) -> Terms:
        """The terms whose `query` this is."""
        words = []
        for part in query.split(" & "):
            first, *others = _QUOTED.findall(part)
            words.append(first + "".join(pair[-1] for pair in others))
        return cls(tuple(words))

    def found_in(self, text: str) -> Iterator[tuple[int, int]]:
        """The spans of the terms in a text, in order and without overlap."""
        end = 0
        for unit in _WORD.finditer(text):
            folded, start = fold(unit[0]), unit.start()
            if not _RUN.fullmatch(unit[0]):
                if folded in self.words or folded.startswith(self.words[-1]):
                    yield unit.span()
                continue
            # Characters of these scripts are folded one by one.
            places = (
                (start + found.start(), start + found.start() + len(word))
                for word in self.words
                for found in re.finditer(f"(?={re.escape(word)})", folded)
            )
            for begin, stop in sorted(places):
                if stop > end:
                    yield max(begin, end), stop
                    end = stop


def _requested(word: str, last: bool) -> str:
    if not _RUN.fullmatch(word):
        return f"'{word}':*" if last else f"'{word}'"
    if len(word) == 1:
        # It begins a pair, or is the last of its run.
        return f"'{word}':*"
    found = " <-> ".join(f"'{pair}'" for pair in pairs(word))
    return f"({found})" if len(word) > 2 else found


@check(Terms(()))
def terms_of(text: str, path: rules.Path) -> Terms:
    """The terms of a search text. Raises `BadInput` if it has no word or too many."""
    clean = rules.text(text, path, least=1, most=MAX_CHARACTERS)
    words = tuple(_WORD.findall(fold(clean)))
    if not words:
        raise BadInput(
            f"{path[-1]} must contain at least one word; it has only punctuation.", path=path
        )
    if len(words) > MAX_WORDS:
        raise BadInput(
            f"{path[-1]} must have at most {MAX_WORDS} words; it has {len(words)}.",
            path=path,
            limit=MAX_WORDS,
            actual=len(words),
        )
    return Terms(words)


def highlight(text: str, terms: Terms) -> str | None:
    """The part of a text around the first match, as HTML with `<mark>`; None if nothing matches."""
    found = list(terms.found_in(text))
    if not found:
        return None
    begin, stop = found[0]
    start = max(0, begin - FRAGMENT // 4)
    if start:
        # Begin at a whole word or, in scripts without spaces, at any character.
        start = text.find(" ", start, begin) + 1 or (start if _RUN.match(text, start) else begin)
    end = min(len(text), start + FRAGMENT)
    if end < len(text) and not _RUN.match(text, end):
        end = max(text.rfind(" ", stop, end), stop)
    parts, place = [], start
    for begin, stop in found:
        if stop > end:
            break
        marked = html.escape(text[begin:stop])
        parts += [html.escape(text[place:begin]), f"<mark>{marked}</mark>"]
        place = stop
    parts.append(html.escape(text[place:end]))
    return f"{'…' if start else ''}{''.join(parts)}{'…' if end < len(text) else ''}"
