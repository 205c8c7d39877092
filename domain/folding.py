"""Text without case and accents, as the database folds it (`taskloom_fold`, migration 0023).

Search words are folded here and the texts that they are compared with there, and sort keys are
folded by the same table, so that `straße`, `STRASSE` and `Straße` are one word everywhere. Scripts
without spaces are searched by pairs of characters (`taskloom_words`).
"""

from __future__ import annotations

import re

import texts

# Alphabets whose letters have two cases, without those that are a letter and an accent.
_ALPHABETS = (range(0x80, 0x300), range(0x370, 0x590), range(0x1C80, 0x2000))
# Letters that are written differently if they are not available.
_OTHERS = {
    "ø": "o",
    "đ": "d",
    "ð": "d",
    "ħ": "h",
    "\u0131": "i",
    "ł": "l",
    "ŋ": "n",
    "ŧ": "t",
    "\u03c2": "\u03c3",
}
_SEVERAL = {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th", "ĳ": "ij"}
_TABLE = str.maketrans(
    {
        letter: _OTHERS.get(letter.lower(), letter.lower())
        for letter in map(chr, (code for alphabet in _ALPHABETS for code in alphabet))
        if len(letter.lower()) == 1 and letter.lower() != letter
    }
    | _OTHERS
)
_SMALL = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_MARKS = re.compile("[\u0300-\u036f]")

# Characters of scripts that put no space between words, for a class of a regular expression: kana
# with the marks that belong to words, ideographs, and Hangul syllables.
PAIRED = (
    "\u3005\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U000323af"
)
# Characters that end a word in every text, for a class of a regular expression: punctuation and
# symbols, as in migration 0038.
MARKS = (
    "\u0001-/:-@\\[-`{-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7"
    "\u2010-\u205e\u3001-\u3003\u3008-\u301f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)


def fold(text: str) -> str:
    """Without accents and case, in NFC."""
    if text.isascii():
        return text.lower()
    folded = _MARKS.sub("", texts.normalized(text, "NFD")).translate(_SMALL).translate(_TABLE)
    for letter, several in _SEVERAL.items():
        folded = folded.replace(letter, several)
    return texts.normalized(folded)


# Between the texts that are indexed together, and the pieces of one (migration 0036).
SEPARATOR = "\x1f"


def pieces(part: str, *, folded: bool = False) -> list[str]:
    """The pieces of three characters that every folded text has which contains this part, whether
    it is compared folded or only without case. For an index (migration 0036). Empty if there are
    none, or if the database might find the part in texts that it folds otherwise.
    """
    if not (folded or part.isascii() or all(map(_folds_with_its_case, part))):
        return []
    text = part if folded else fold(part)
    found = {text[place : place + 3] for place in range(len(text) - 2)}
    return sorted(piece for piece in found if SEPARATOR not in piece)


def _folds_with_its_case(letter: str) -> bool:
    """Whether all letters that are equal to this one without case are folded as it is."""
    return fold(letter) == fold(letter.lower()) == fold(letter.upper())


def pairs(run: str) -> list[str]:
    """The overlapping pairs of a run of such characters; a single one as it is."""
    if len(run) == 1:
        return [run]
    return [run[place : place + 2] for place in range(len(run) - 1)]
