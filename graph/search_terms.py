"""From what a person types to a full-text query, and from a text to the parts that match it.

All words must occur; the last one may be the beginning of a word, since it is still being typed.
Case and accents do not count. Highlighting folds words as the database does (migration 0003), so
that what was found is what is marked.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

import texts
from domain import rules
from errors import BadInput

MAX_CHARACTERS = 200
MAX_WORDS = 10
# Characters of a fragment: about two lines on a screen.
FRAGMENT = 160

_WORD = re.compile(r"\w+")
_QUOTED = re.compile(r"'(\w+)'")


@dataclass(frozen=True, slots=True)
class Terms:
    """The folded words of a search; the last is a prefix."""

    words: tuple[str, ...]

    @property
    def query(self) -> str:
        """The words for `to_tsquery`: quoted, so that nothing in them is an operator."""
        return " & ".join(f"'{word}'" for word in self.words[:-1]) + (
            f"{' & ' if len(self.words) > 1 else ''}'{self.words[-1]}':*"
        )

    @classmethod
    def of_query(cls, query: str) -> Terms:
        """The terms whose `query` this is."""
        return cls(tuple(_QUOTED.findall(query)))

    def matches(self, word: str) -> bool:
        """Whether a folded word of a text is one of the terms."""
        return word in self.words or word.startswith(self.words[-1])


def terms_of(text: str, path: rules.Path) -> Terms:
    """The terms of a search text; `BadInput` where it has no word in it, or too many."""
    clean = rules.text(text, path, least=1, most=MAX_CHARACTERS)
    words = tuple(fold(word) for word in _WORD.findall(clean) if word.strip("_"))
    if not words:
        raise BadInput("The search text has no word in it, only signs.", path=path)
    if len(words) > MAX_WORDS:
        raise BadInput(f"The search text may have at most {MAX_WORDS} words.", path=path)
    return Terms(words)


def fold(text: str) -> str:
    """Without accents and case, as `taskloom_fold` does it."""
    if text.isascii():
        return text.lower()
    decomposed = texts.normalized(text, "NFD")
    return "".join(c for c in decomposed if not "\u0300" <= c <= "\u036f").lower()


def highlight(text: str, terms: Terms) -> str | None:
    """The part of a text around the first match, as HTML with `<mark>`; None where none matches."""
    found = [match for match in _WORD.finditer(text) if terms.matches(fold(match[0]))]
    if not found:
        return None
    start = max(0, found[0].start() - FRAGMENT // 4)
    if start:
        # Begin with a whole word.
        start = text.find(" ", start, found[0].start()) + 1 or found[0].start()
    end = min(len(text), start + FRAGMENT)
    if end < len(text):
        end = max(text.rfind(" ", found[0].end(), end), found[0].end())
    parts, place = [], start
    for match in found:
        if match.end() > end:
            break
        parts += [html.escape(text[place : match.start()]), f"<mark>{html.escape(match[0])}</mark>"]
        place = match.end()
    parts.append(html.escape(text[place:end]))
    return f"{'…' if start else ''}{''.join(parts)}{'…' if end < len(text) else ''}"
